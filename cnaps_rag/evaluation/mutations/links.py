"""Faults and honest forms of links: each is held against `canonical_link`, so that none can be another's by chance."""

from __future__ import annotations

import re
from collections.abc import Iterator

from cnaps_rag.evaluation.mutations.kinds import Edit, Specimen
from cnaps_rag.links import canonical_link
from cnaps_rag.request import AnswerRequest

_LINK = re.compile(r"(?<=<)https?://[^>]+(?=>)")
_ARXIV = re.compile(
    r"(?P<host>https?://(?:www\.)?arxiv\.org/)(?P<view>abs|pdf)/(?P<id>\d{4}\.\d{4,5})(?P<version>v\d+)?(?P<end>\.pdf)?"
)
_GITHUB = re.compile(r"(?P<host>https?://(?:www\.)?github\.com/)(?P<owner>[^/]+)/(?P<name>[^/]+)")
_FOREIGN = (
    "https://example.org/paper.pdf",
    "https://arxiv.org/abs/1706.03762",
    "https://github.com/example/demo",
    "https://huggingface.co/spaces/example/demo",
)


def _swapped(text: str, found: re.Match[str], new: str) -> Edit:
    return Edit(text[: found.start()] + new + text[found.end() :], f"{found.group()!r} -> {new!r}")


def _is_foreign(link: str, request: AnswerRequest) -> bool:
    return canonical_link(link) not in request.owners


def foreign_link_faults(specimen: Specimen, request: AnswerRequest) -> Iterator[Edit]:
    """A link that was not supplied, in the place of one or behind a claim."""
    for link in filter(lambda link: _is_foreign(link, request), _FOREIGN):
        for found in _LINK.finditer(specimen.text) if specimen.is_line else ():
            yield _swapped(specimen.text, found, link)
        if not specimen.is_line and '"' not in specimen.text:
            yield Edit(f"{specimen.text.rstrip('.')} (see {link}).", f"{link!r} added")


def arxiv_digit_faults(specimen: Specimen, request: AnswerRequest) -> Iterator[Edit]:
    """The arXiv id of another paper: two digits swapped, or one changed."""
    for found in _LINK.finditer(specimen.text) if specimen.is_line else ():
        if (page := _ARXIV.fullmatch(found.group())) is None:
            continue
        number = page["id"]
        turned = [f"{number[:at]}{number[at + 1]}{number[at]}{number[at + 2 :]}" for at in range(5, len(number) - 1)]
        changed = [f"{number[:at]}{(int(number[at]) + 1) % 10}{number[at + 1 :]}" for at in range(5, len(number))]
        for other in (*turned, *changed):
            link = found.group().replace(number, other)
            if _is_foreign(link, request):
                yield _swapped(specimen.text, found, link)


def link_of_other_faults(specimen: Specimen, request: AnswerRequest) -> Iterator[Edit]:
    """Another source's supplied link beside this source's name; of the same kind, so that its label stays true."""
    if not specimen.is_line or specimen.subject is None:
        return
    twins = request.twins(specimen.subject)
    own = {canonical_link(link) for twin in twins for link in request.source(twin).links}
    for found in _LINK.finditer(specimen.text):
        is_code = found.group() == request.source(specimen.subject).github
        for source in request.sources:
            link = source.github if is_code else source.paper
            if link is None or source.id in twins or canonical_link(link) in own or canonical_link(link) is None:
                continue
            if link.startswith("http") and ">" not in link:
                yield _swapped(specimen.text, found, link)


def link_altered_faults(specimen: Specimen, request: AnswerRequest) -> Iterator[Edit]:
    """A supplied link in a form that is another resource or always rejected (urls.md)."""
    for found in _LINK.finditer(specimen.text) if specimen.is_line else ():
        link = found.group()
        forms = [f"{link}?utm_source=chat", re.sub(r"(?<=//)([^/]+)", r"\1.example.net", link)]
        forms += [re.sub(r"//", "//user@", link, count=1), link.replace("://", "://export.", 1)]
        if (page := _GITHUB.fullmatch(link)) is not None:
            forms += [f"{link}/issues/1", f"{page['host']}{page['owner']}-ai/{page['name']}", f"{link}-pro"]
        for form in forms:
            if _is_foreign(form, request):
                yield _swapped(specimen.text, found, form)


def link_forms(specimen: Specimen, request: AnswerRequest) -> Iterator[Edit]:
    """The same resource in another accepted form: scheme, host, view, version, ``.git``, a slash at the end."""
    del request
    for found in _LINK.finditer(specimen.text) if specimen.is_line else ():
        link = found.group()
        canonical = canonical_link(link)
        forms = [link.replace("http://", "https://"), link.replace("https://", "http://"), f"{link}#content"]
        if (page := _ARXIV.fullmatch(link)) is not None:
            forms += [f"https://arxiv.org/abs/{page['id']}", f"https://arxiv.org/pdf/{page['id']}"]
        if _GITHUB.fullmatch(link) is not None and not link.endswith(".git"):
            forms += [f"{link}.git", f"{link}/", link.replace("//github", "//www.github")]
        for form in dict.fromkeys(forms):
            if form != link and canonical is not None and canonical_link(form) == canonical:
                yield _swapped(specimen.text, found, form)
