"""Every span of a plain text that a reader could follow as a link, markup aside: addresses, hosts, ids of papers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from cnaps_rag.links.characters import BLANKS, CJK_LETTERS, CJK_STOPS, WORD, run_end, trimmed_end
from cnaps_rag.links.tlds import TOP_LEVEL_DOMAINS


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """One link of a plain text. `target` is what it leads to, where that is not the text itself.

    `run_end` is where the run of a link's characters ended, before closing punctuation was taken off.
    """

    start: int
    end: int
    run_end: int
    target: str = ""
    fault: str | None = None


COMMON_DOMAINS = frozenset(
    [
        "com",
        "org",
        "net",
        "io",
        "ai",
        "dev",
        "app",
        "co",
        "edu",
        "gov",
        "info",
        "xyz",
        "me",
        "ru",
        "cn",
        "jp",
        "kr",
        "uk",
        "de",
        "fr",
        "eu",
        "example",
    ]
)
"""Top-level domains whose bare ``host.tld`` counts as a link (urls.md, "What counts as a link", 2)."""


def scan(text: str) -> tuple[Span, ...]:
    """Spans in `text`, in the order of their starts; none begins inside another."""
    found = sorted(
        (span for sign, find in _FINDERS if sign in text for span in find(text)),
        key=lambda span: (span.start, -span.end),
    )
    kept: list[Span] = []
    for span in found:
        if not kept or span.start >= kept[-1].end:
            kept.append(span)
    return tuple(kept)


def _each(pattern: re.Pattern[str], text: str, read: Callable[[re.Match[str]], Span | None]) -> Iterator[Span]:
    """What `read` makes of each match that begins in no run before it: so no run is read twice, however it is made."""
    at = 0
    while (found := pattern.search(text, at)) is not None:
        span = read(found)
        at = found.end()
        if span is not None:
            yield span
            at = max(at, span.run_end)


def _span(text: str, start: int, first_end: int) -> Span | None:
    """The link that begins at `start` and reaches at least to `first_end`, without closing punctuation."""
    whole = run_end(text, first_end)
    end = trimmed_end(text, start, whole)
    return Span(start=start, end=end, run_end=whole) if end > start else None


# Schemes: "scheme://", and those that need no slashes.

_LETTERED = rf"[^\W\d_{CJK_LETTERS}]"
_SCHEME_TAIL = re.compile(rf"(?:{_LETTERED}[\w+-]*)$")
_WITHOUT_SLASHES = re.compile(
    r"(?<![a-z0-9+.-])(?:"
    r"(?:https?|hxxps?|ftps?|wss?):(?=[/\\]?\w)"
    r"|(?:https?|hxxps?|ftps?|wss?|file|ssh|git):(?=\\[\w\\/]|/[\w\\]|/{3})"
    r"|(?:javascript|vbscript|livescript):(?=[^\s\"'`*_)\]}>\\]|\\\w)"
    r"|(?:mailto|blob|filesystem|view-source|callto|skype|xmpp|sips?|magnet|jar|intent"
    r"|bitcoin|ethereum|ipfs|ipns):(?=[\w.?+%/&])"
    r"|data:(?=[\w.+-]+(?:/[\w.+-]|;\w)|[;,]\S)"
    r"|(?:tel|sms|geo|facetime):(?=\+?\d)"
    r"|urn:(?=[a-z0-9-]+:)"
    r"|about:(?=blank|config|srcdoc)"
    r"|doi:(?=\d)"
    r")",
    re.IGNORECASE,
)


def _schemes(text: str) -> Iterator[Span]:
    done = 0
    at = text.find("://")
    while at >= 0:
        start = _scheme_start(text, max(done, at - _LIMIT_SCHEME_CHARS), at)
        span = _span(text, start, at + 3) if start is not None else None
        if span is not None and _WORD_CHARACTER.search(text[at + 3 : span.end]) is not None:
            yield _with_cjk_host(text, span, at + 3)
            done = span.run_end
        elif start is not None and _CJK_LETTER.match(text, at + 3) is not None:
            yield _with_cjk_host(text, Span(start=start, end=at + 3, run_end=at + 3), at + 3)
        at = text.find("://", max(at + 3, done))
    if _COLON.search(text) is not None:
        yield from _each(_WITHOUT_SLASHES, text, lambda found: _span(text, found.start(), found.end()))


_COLON = re.compile(r":\S")
_WORD_CHARACTER = re.compile(r"\w")
_LIMIT_SCHEME_CHARS = 40  # the longest registered scheme (ms-secondary-screen-controller) has 30
_CJK_LETTER = re.compile(rf"[{CJK_LETTERS}]")
_NOT_BLANK = re.compile(rf"[^{BLANKS}<>\"`{CJK_STOPS}]+")
_SCHEME_CHARACTERS = re.compile(rf"[^\W{CJK_LETTERS}]|[+.-]")


def _scheme_start(text: str, lowest: int, colon: int) -> int | None:
    """Where the scheme begins that ends before `colon`, or None where no letter stands there."""
    start = colon
    while start > lowest and _SCHEME_CHARACTERS.match(text, start - 1) is not None:
        start -= 1
    scheme = text[start:colon]
    for plain in ("https", "http"):  # a word may touch it: "see:_https://", "end.https://", "1https://"
        if scheme.lower().endswith(plain) and not scheme[: -len(plain)][-1:].isalpha() and "+" not in scheme:
            return colon - len(plain)
    found = _SCHEME_TAIL.search(scheme)
    return start + found.start() if found is not None else None


def _with_cjk_host(text: str, span: Span, host: int) -> Span:
    """`span` with the host that ends it or, where CJK letters stand in the host, with those and what follows."""
    if "/" in text[host : span.end] or _CJK_LETTER.match(text, span.run_end) is None:
        return span
    if "." in text[host : span.end]:
        return span
    rest = _NOT_BLANK.match(text, host)
    end = rest.end() if rest is not None else span.end
    return Span(start=span.start, end=end, run_end=end)


# "//host/..." without a scheme

_RELATIVE = re.compile(rf"(?<![:\w/\\])//(?=(?P<host>(?:{WORD}|[-.])+|\[[0-9a-fA-F:.]+\]))", re.UNICODE)


def _relatives(text: str) -> Iterator[Span]:
    def read(found: re.Match[str]) -> Span | None:
        host = found["host"].strip(".-")
        follows = text[found.end("host") : found.end("host") + 2]
        is_host = is_domain(host.rpartition(".")[2]) and "." in host
        if is_host or host.startswith("[") or re.match(r"/|:\d", follows):
            return _span(text, found.start(), found.end("host"))
        return None

    return _each(_RELATIVE, text, read)


def is_domain(label: str) -> bool:
    """True for a top-level domain that exists."""
    return label.lower() in TOP_LEVEL_DOMAINS or label.lower().startswith("xn--")


# E-mail addresses, "git@host:path"

_MAIL = re.compile(rf"(?<![\w.+%-])(?P<user>(?:{WORD}|[.+%-])++)@(?P<host>{WORD}(?:{WORD}|-)*+(?:\.(?:{WORD}|-)++)*+)")


def _mails(text: str) -> Iterator[Span]:
    def read(found: re.Match[str]) -> Span | None:
        host = found["host"].rstrip("-_")
        follows = text[found.end() : found.end() + 2]
        is_ssh = found["user"].lower().endswith("git") and follows.startswith(":")
        if is_ssh or ("." in host and is_domain(host.rpartition(".")[2])):
            end = found.start("host") + len(host)
            start = found.start() + len(found["user"]) - len(found["user"].lstrip(".%-"))
            if end == found.end() and re.match(r"[:/\\?]\S", follows) is not None:
                return _span(text, start, end)
            return Span(start=start, end=end, run_end=end)
        return None

    return _each(_MAIL, text, read)


# Identifiers of papers

_ARCHIVES = (
    "acc-phys|adap-org|alg-geom|ao-sci|astro-ph|atom-ph|bayes-an|chao-dyn|chem-ph|cmp-lg|comp-gas|cond-mat|cs|dg-ga"
    "|funct-an|gr-qc|hep-ex|hep-lat|hep-ph|hep-th|math|math-ph|mtrl-th|nlin|nucl-ex|nucl-th|patt-sol|physics|plasm-ph"
    "|q-alg|q-bio|quant-ph|solv-int|stat|supr-con"
)
_IDENTIFIER_TAIL = rf"[^{BLANKS}<>\"`()\[\]{{}},;'’{CJK_LETTERS}{CJK_STOPS}]*+"
_NUMBER = r"\d{4}\.(?:\d{4,}+|\d{3}(?!\d)|\s\d{4,5}(?!\d))"
_ARXIV = re.compile(
    rf"(?<!{WORD})(?i:arxiv)(?P<between>[\s:：#/.(\[*_-]{{0,6}}(?:(?:e-?print|preprint|identifier|number|paper|id|no)\b"
    rf"[\s:：.(*_]{{0,4}})?(?:(?:abs|pdf)/)?)(?P<id>(?:(?i:{_ARCHIVES})(?:\.[A-Za-z]{{2}})?/\d{{7}}|{_NUMBER}|(?<=:)\d)"
    rf"{_IDENTIFIER_TAIL})"
)
_OLD_ARXIV = re.compile(rf"(?<![\w/.-])(?P<id>(?:{_ARCHIVES})(?:\.[A-Z]{{2}})?/\d{{7}}(?!\d){_IDENTIFIER_TAIL})")
_DOI = re.compile(
    rf"(?:(?<!{WORD})(?P<label>doi)(?:\s?:\s?|\s))?(?<![\d.])10\.(?:\d{{4,9}}(?:\.\d+)*/|(?<=\b10\.)\d{{4,9}}\s/\S)",
    re.IGNORECASE,
)
_SEVEN_DIGITS = re.compile(r"/\d{7}")


def _identifiers(text: str) -> Iterator[Span]:
    def read_arxiv(found: re.Match[str]) -> Span:
        end = trimmed_end(text, found.start("id"), found.end())
        target = "arXiv:" + text[found.start("id") : end]
        fault = _separator_fault(found["between"]) if found.re is _ARXIV else None
        return Span(start=found.start(), end=end, run_end=found.end(), target=target, fault=fault)

    def read_doi(found: re.Match[str]) -> Span | None:
        span = _span(text, found.start(), found.end())
        if span is None:
            return None
        is_glued = text[max(0, span.start - 1) : span.start] in ("/", "\\")
        target = "doi:" + text[text.index("10.", found.start()) : span.end]
        return replace(span, target=target, fault="it stands at the end of a path" if is_glued else None)

    if "rxiv" in text.lower():
        yield from _each(_ARXIV, text, read_arxiv)
    if _SEVEN_DIGITS.search(text) is not None:
        yield from _each(_OLD_ARXIV, text, read_arxiv)
    if "10." in text:
        yield from _each(_DOI, text, read_doi)


def _separator_fault(between: str) -> str | None:
    if "：" in between:
        return "a full-width colon stands in it"
    if re.search(r"[\n\v\f\r\x85\u2028\u2029]", between) is not None:
        return "it is broken across lines"
    if not between or re.search(r"[#/-]|^\.", between.replace("e-print", "")) is not None:
        return "it is no form of an arXiv id that urls.md knows"
    return None


# Hosts without a scheme, and numbers that are addresses

_DOTTED = re.compile(rf"(?<!{WORD})(?<!-)(?:{WORD}|-)++(?:\.(?:{WORD}|-)++)++")
_MACHINES = re.compile(
    r"(?<![\w.])(?:localhost(?=:\d|/)|(?<!\])\[(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}\](?=:\d|/))", re.I
)
_NUMBERS = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}")
_PATH_OR_PORT = re.compile(r"/|:\d")
_PATH = re.compile(r"[/\\]|:\d|\?[\w%-]+=")
_REACHES = re.compile(r"[/\\#]|:\d|\?[\w%-]")
_ARXIV_CLASS = re.compile(r"(?:cs|stat|math|eess|econ|q-bio|q-fin|physics|cond-mat|astro-ph|nlin)\.[A-Z]{2}")
_ARXIV_CLASSES = re.compile(rf"(?:[/\\](?:{_ARXIV_CLASS.pattern}|[A-Z]{{2}}))*+(?![\w/\\-])")
# Top-level domains that are the names of files too: in "train.py/test.py" and "model.py:12" they are.
_FILES = re.compile(r"(?<=\.)(?P<kind>py|md|pt)(?:/[\w-]+\.(?P=kind)(?![\w/\\])|:\d+(?![\w/\\.]))", re.IGNORECASE)


def _hosts(text: str) -> Iterator[Span]:
    def read(found: re.Match[str]) -> Span | None:
        token = found.group()
        start = found.start() + len(token) - len(token.lstrip("-_"))
        host = token.strip("-_")
        end = start + len(host)
        if host.lower().startswith("www."):
            return _span(text, start, end)
        if not _is_host(text, host, end, found.end()):
            return None
        if end == found.end() and _REACHES.match(text, end) is not None:
            return _span(text, start, end)
        return Span(start=start, end=end, run_end=end)

    yield from _each(_DOTTED, text, read)
    if "]" in text or "localhost" in text.lower():
        yield from _each(_MACHINES, text, lambda found: _span(text, found.start(), found.end()))


def _is_host(text: str, host: str, end: int, token_end: int) -> bool:
    if _NUMBERS.fullmatch(host) is not None:
        return _PATH_OR_PORT.match(text, end) is not None
    last = host.rpartition(".")[2]
    if _ARXIV_CLASS.fullmatch(host) is not None and _ARXIV_CLASSES.match(text, end) is not None:
        return False
    if last.lower() in COMMON_DOMAINS:
        return not (last == "info" and host.count(".") == 1 and text.startswith("(", end))  # logger.info("…")
    if not is_domain(last) or end != token_end or _PATH.match(text, end) is None:
        return False
    return _FILES.match(text, end - len(last)) is None


# Each finder, and a sign without which it finds nothing.
_FINDERS = ((":", _schemes), ("//", _relatives), ("@", _mails), ("", _identifiers), ("", _hosts))
