"""Faults of attribution: a claim told of another source, half of it another source's, an absence of what is told."""

from __future__ import annotations

import re
from collections.abc import Iterator

from cnaps_rag.checks.attribution import find_mentions
from cnaps_rag.evaluation.mutations.kinds import Edit, Specimen, replaced
from cnaps_rag.evaluation.mutations.material import ABSENCE, is_specific, may_tell, own_text
from cnaps_rag.evaluation.mutations.specimens import tell_sources
from cnaps_rag.fit import tells_of
from cnaps_rag.request import AnswerRequest
from cnaps_rag.sources import QUESTION_ID, Source, SourceId

# Facts of the request rather than of a source: they may hold of another source as well.
_OF_REQUEST = re.compile(
    r"\b(?:suppl\w+|recommend\w*|listed|related|relevant|question|user|link\w*|github|arxiv|url|https?|titled?|bears?|"
    r"sources|host\w*|repository|code|available)\b",
    re.IGNORECASE,
)
_FRAMED = re.compile(r'^The paper says: "')
_LEAST_WORDS_OF_HALF = 5


def wrong_source_faults(specimen: Specimen, request: AnswerRequest) -> Iterator[Edit]:
    """The claim told of another source: beneath its heading, or by its name in the place of the claim's own.

    Only what tells its source's own work, or quotes it, moves beneath another heading: a fact of the world stays one.
    """
    text = specimen.text
    if ABSENCE.search(text) or specimen.subject == QUESTION_ID:
        return
    mentions = find_mentions(text, request)
    is_own = (specimen.is_own_work and not _OF_REQUEST.search(text)) or _FRAMED.match(text) is not None
    if specimen.subject is not None and not mentions and is_own:
        for other in _others(specimen.subject, request, text):
            yield Edit(text, f"told of {other.id} instead of {specimen.subject}", moved_to=other.id)
    ids = {mention.source_id for mention in mentions}
    if len(mentions) == 1 and len(ids) == 1 and not _OF_REQUEST.search(text):
        (mention,) = mentions
        named = text[mention.start : mention.end]
        if named in _names(request.source(mention.source_id)):
            for other in _others(mention.source_id, request, text.replace(named, "")):
                yield replaced(text, mention.start, mention.end, _names(other)[-1])


def _names(source: Source) -> tuple[str, ...]:
    """A source's whole name and, for a paper, the head of its title ("FeatSharp: Your …")."""
    head = re.match(r"[^:?!]{2,60}(?=:)", source.title) if source.kind == "paper" else None
    return (source.title, head.group()) if head else (source.title,)


def _others(subject: SourceId, request: AnswerRequest, text: str) -> Iterator[Source]:
    """Sources of which `text` surely does not hold: nothing supplied that may speak of them tells anything like it."""
    twins = request.twins(subject)
    for source in request.sources:
        if source.id in twins:
            continue
        if source.kind == "model":
            # What a paper says of a model by name is evidence on that model.
            tellers = [
                other.text for other in request.sources if tells_of(f"{other.title}. {other.text}", source.title)
            ]
            rival = "\n".join([source.text, *tellers])
        else:
            rival = own_text(request, source.id)
        if not may_tell(text, rival) and is_specific(text, rival):
            yield source


def merged_faults(specimen: Specimen, request: AnswerRequest) -> Iterator[Edit]:
    """One claim of the first half of the specimen, or all of it, and what another source's authors did."""
    if specimen.subject is None or specimen.subject == QUESTION_ID or find_mentions(specimen.text, request):
        return
    framed = _FRAMED.match(specimen.text)
    if not framed and not specimen.is_own_work:
        return
    own = own_text(request, specimen.subject)
    for other in tell_sources(request):
        if other.subject is None or other.subject in request.twins(specimen.subject) or may_tell(other.text, own):
            continue
        if not is_specific(other.text, own):
            continue
        change = f"joined with what {other.subject} says"
        if framed:
            yield from _spliced(specimen.text, other.text, own, change)
        elif other.text.startswith("The authors ") and not find_mentions(other.text, request):
            yield Edit(f"{specimen.text.rstrip('.')}, and t{other.text[1:]}", change)


def _spliced(text: str, other: str, own: str, change: str) -> Iterator[Edit]:
    """The first half of what is quoted run on with the second half of another source's sentence, as one quotation."""
    words = text[text.index('"') + 1 :].rstrip('".').split()
    tail = other.split()[len(other.split()) // 2 :]
    head = words[: len(words) // 2]
    joined = " ".join(tail)
    if min(len(head), len(tail)) >= _LEAST_WORDS_OF_HALF and joined.rstrip(".") not in " ".join(own.split()):
        yield Edit(f'The paper says: "{" ".join(head)} {joined}"', change)


_FINDS = re.compile(
    r"^(?:(?:Finally|Furthermore|Moreover|Additionally|In addition|In this (?:work|paper|study)), )?"
    r"[Tt]he authors (?:find|show|demonstrate|uncover|observe) that (?P<what>\w.+)\.$"
)
_PLAIN = re.compile(
    r"^(?P<what>(?:The|This|These|A|An|Most|Some|Many|Existing|Current|Previous) (?!authors|paper|work)[^;]+)\.$"
)


def absence_faults(specimen: Specimen, request: AnswerRequest) -> Iterator[Edit]:
    """What the sources say, told as what they do not say."""
    del request
    found = _FINDS.match(specimen.text) or _PLAIN.match(specimen.text)
    if specimen.subject is None or found is None or ABSENCE.search(specimen.text) or specimen.group != "told":
        return
    what = found["what"]
    if found.re is _PLAIN:
        what = what[0].lower() + what[1:]
    yield Edit(f"The supplied sources do not say that {what}.", "told as not said")
