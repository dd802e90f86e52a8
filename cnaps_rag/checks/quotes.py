"""Quotations in a claim: where they stand verbatim, and what a claim is that only frames them (policy.md 5)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from cnaps_rag.checks.wording import leaves_out_doubt
from cnaps_rag.passages import Passage

LEAST_WORDS_QUOTED = 4
"""Quotation marks around fewer words may be irony or a term (policy.md 5)."""

_OMISSION = re.compile(r"\s*(?:\[\s*(?:…|\.{3})\s*\]|…|\.{3,}|\. \. \.)\s*")
_QUOTATION = re.compile(r'"([^"“”]*(?:“[^”]*”[^"“”]*)*)"|“([^“”]*(?:“[^“”]*”[^“”]*)*)”|«([^«»]*)»|„([^„“”]*)[“”]')
_SINGLE_QUOTATION = re.compile(r"(?<![\w’'])[‘']([^‘’'\n]*(?:[’'](?=\w)[^‘’'\n]*)*)[’'](?![\w])")

# A frame says whose words follow, and nothing else; {names} are checked by the caller.
_NAMED = r"(?P<of>[^\"“”\n]{1,300}?)"
_TITLED = r"[\"“](?P<title>.{1,400}?)[\"”]"
_VERB = r"(?:says?|asks?|states?|writes?|reads?|notes?|reports?|tells?|explains?)"
_FRAME = re.compile(
    rf"""^[\s\-*•>]*(?:
      (?:{_NAMED}:\s+)?(?:the|a)\s+supplied\s+paper,?\s+{_TITLED},?\s+says
    | (?P<user>(?:the\s+user|you)\s+(?:asks?|says?|writes?|states?|wants?\s+to\s+know)
        | the\s+question\s+(?:asks?|is|reads?|says) | question)
    | its\s+closest\s+sentence\s+to\s+the\s+question\s+is
    | (?:the|this|its)\s+(?:supplied\s+|related\s+)?
        (?:paper|description|summary|abstract|study|authors?|source|entry)\s+{_VERB}
    | (?P<id>(?:[MP]\d+|Q)(?:\.\d+)?),\s+(?:name|title|summary|description|question)
    | (?:in\s+its\s+own\s+words|in\s+the\s+paper's\s+words)
    | (?:the\s+(?:supplied\s+)?paper\s+)?(?P<name>[^\"“”:\n]{{2,300}}?)\s+{_VERB}
    )\s*[:,]?\s*(?=["“«„])""",
    re.IGNORECASE | re.VERBOSE,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Quotation:
    """Words between quotation marks in a claim: ``claim[start:end]`` is `text`, the marks outside."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """What introduces the quotations of a claim that is nothing but them.

    `title` names the paper quoted and `of` the model it is quoted about, where the frame gives them; `source_id` an id.
    """

    text: str
    is_user: bool
    title: str | None
    of: str | None
    source_id: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """Where a quotation stands in one source: the passages it touches, and its span in their field where it is exact.

    `is_whole` is False where what was left out of a sentence could turn its sense.
    """

    passages: tuple[Passage, ...]
    spans: tuple[tuple[Passage, int, int], ...]
    is_whole: bool


def find_quotations(claim: str) -> tuple[Quotation, ...]:
    """Everything in quotation marks, in order; apostrophes are none."""
    quotations: list[Quotation] = []
    for match in [*_QUOTATION.finditer(claim), *_SINGLE_QUOTATION.finditer(claim)]:
        group = match.lastindex or 1
        start, end = match.span(group)
        if all(end <= other.start or other.end <= start for other in quotations):
            quotations.append(Quotation(text=match[group], start=start, end=end))
    return tuple(sorted(quotations, key=lambda quotation: quotation.start))


def is_long(quotation: Quotation) -> bool:
    """True where the words must be verbatim."""
    return len(re.findall(r"[^\W_]+", quotation.text)) >= LEAST_WORDS_QUOTED or _cjk_length(quotation.text) >= 8


def _cjk_length(text: str) -> int:
    return len(re.findall(r"[\u2e80-\u9fff\uac00-\ud7af]", text))


def read_frame(claim: str) -> tuple[Frame, tuple[str, ...]] | None:
    """The frame of a claim that only quotes, and the quoted texts; None for any other claim.

    A quotation may hold quotation marks itself: the outermost pair counts, and where that does not stand verbatim, a
    caller may take the pieces between ``" "``.
    """
    match = _FRAME.match(claim)
    if match is None:
        return None
    rest = claim[match.end() :].strip().rstrip(".").rstrip()
    if len(rest) < 3 or rest[0] not in '"“«„' or rest[-1] not in '"”“»':
        return None
    groups = match.groupdict()
    frame = Frame(
        text=match.group().strip(),
        is_user=bool(groups["user"]),
        title=groups["title"],
        of=groups["of"] or groups["name"],
        source_id=groups["id"],
    )
    return frame, (rest[1:-1],)


def split_pieces(quoted: str) -> tuple[str, ...]:
    """Pieces of a run of quotations, ``a" "b`` as ``a`` and ``b``."""
    return tuple(re.split(r"[\"”»]\s+(?:and\s+)?[\"“«]", quoted))


def find_quoted(text: str, passages: Sequence[Passage], shown: Callable[[str], str]) -> Found | None:
    """Where all of `text` stands word for word in `passages` (those of one source), or None.

    White space, the kind of quotation marks, the letter case of its first letter and punctuation at its end do not
    matter; "…" leaves words out, in order. What passes through `shown` is compared in that form too.
    """
    parts = [part for part in _OMISSION.split(text) if _plain(part)[0]]
    if not parts:
        return None
    for field in dict.fromkeys(passage.field for passage in passages):
        of_field = [passage for passage in passages if passage.field == field]
        found = _find_exact(parts, of_field) or _find_shown(parts, of_field, shown)
        if found is not None:
            return found
    return None


@lru_cache(maxsize=4_096)
def _plain(text: str) -> tuple[str, tuple[int, ...]]:
    """`text` with one blank for white space and straight quotes, and where each of its characters stood."""
    characters: list[str] = []
    places: list[int] = []
    for place, character in enumerate(text):
        if character.isspace():
            if characters and characters[-1] != " ":
                characters.append(" ")
                places.append(place)
            continue
        characters.append(_SAME.get(character, character))
        places.append(place)
    plain = "".join(characters)
    start = len(plain) - len(plain.lstrip())
    return plain.strip(), tuple(places[start : start + len(plain.strip())])


_SAME = dict.fromkeys("“”„«»", '"') | dict.fromkeys("‘’‚‛", "'") | dict.fromkeys("‐‑", "-")


def _find_exact(parts: Sequence[str], passages: Sequence[Passage]) -> Found | None:
    """Searches the field from its first passage on; the blanks between passages are one blank."""
    spans: list[tuple[Passage, int, int]] = []
    joined, owners = _join([(passage, *_plain(passage.text)) for passage in passages])
    at = 0
    gaps: list[str] = []
    for part in parts:
        place = _find_part(part, joined, at)
        if place is None:
            return None
        gaps.append(joined[at : place[0]] if spans else _sentence_before(joined, owners, place[0]))
        spans += _spans_of(owners, *place)
        at = place[1]
    gaps.append(_sentence_after(joined, owners, at))
    return Found(
        passages=tuple(dict.fromkeys(passage for passage, _, _ in spans)),
        spans=tuple(spans),
        is_whole=not any(leaves_out_doubt(gap) for gap in gaps),
    )


Owner = tuple[Passage, int] | None


def _join(rows: Sequence[tuple[Passage, str, tuple[int, ...]]]) -> tuple[str, list[Owner]]:
    pieces: list[str] = []
    owners: list[Owner] = []
    for passage, plain, places in rows:
        if pieces:
            pieces.append(" ")
            owners.append(None)
        pieces.append(plain)
        owners += [(passage, place) for place in places]
    return "".join(pieces), owners


def _find_part(part: str, joined: str, at: int) -> tuple[int, int] | None:
    """Where a part stands, between words; its end punctuation need not."""
    plain = _plain(part)[0]
    trimmed = re.sub(r"[.,;:!?。！？]+$", "", plain)
    for wanted in (plain, trimmed):
        if not wanted:
            continue
        pattern = re.escape(wanted)
        if wanted[0].isalpha():
            pattern = f"[{re.escape(wanted[0].lower() + wanted[0].upper())}]" + re.escape(wanted[1:])
        edge = r"(?<![^\W_])" if wanted[0].isalnum() and wanted[0].isascii() else ""
        end = r"(?![^\W_])" if wanted[-1].isalnum() and wanted[-1].isascii() else ""
        if match := re.compile(edge + pattern + end).search(joined, at):
            return match.span()
    return None


def _spans_of(owners: Sequence[Owner], start: int, end: int) -> list[tuple[Passage, int, int]]:
    places: dict[Passage, list[int]] = {}
    for owner in owners[start:end]:
        if owner is not None:
            places.setdefault(owner[0], []).append(owner[1])
    return [(passage, passage.start + min(at), passage.start + max(at) + 1) for passage, at in places.items()]


def _sentence_before(joined: str, owners: Sequence[Owner], place: int) -> str:
    owner = owners[place]
    start = place
    while start > 0 and owners[start - 1] is not None and owner is not None and owners[start - 1][0] is owner[0]:  # type: ignore[index]
        start -= 1
    return joined[start:place]


def _sentence_after(joined: str, owners: Sequence[Owner], place: int) -> str:
    owner = owners[place - 1]
    end = place
    while end < len(owners) and owners[end] is not None and owner is not None and owners[end][0] is owner[0]:  # type: ignore[index]
        end += 1
    return joined[place:end]


def _find_shown(parts: Sequence[str], passages: Sequence[Passage], shown: Callable[[str], str]) -> Found | None:
    """As `_find_exact` on what a reader is shown of each passage; the evidence is then whole passages."""
    joined, owners = _join([(p, *_plain(shown(p.text))) for p in passages])
    at = 0
    touched: list[Passage] = []
    for part in parts:
        place = _find_part(shown(part), joined, at)
        if place is None:
            return None
        touched += [owner[0] for owner in owners[place[0] : place[1]] if owner is not None]
        at = place[1]
    found = tuple(dict.fromkeys(touched))
    whole = " ".join(_plain(shown(passage.text))[0] for passage in found)
    left_out = len(whole) - sum(len(_plain(shown(part))[0]) for part in parts)
    return Found(
        passages=found,
        spans=tuple((passage, passage.start, passage.end) for passage in found),
        is_whole=left_out <= len(parts) or not leaves_out_doubt(whole),
    )
