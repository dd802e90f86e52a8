"""A text as a reader or a program puts it together: references decoded, disguises taken off, with the way back."""

from __future__ import annotations

import html
import re
import unicodedata
from bisect import bisect_right
from dataclasses import dataclass

from cnaps_rag.links.characters import INVISIBLE


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """A place that folding rewrote: ``source[start:end]`` became `length` characters from `place` on, for `reason`."""

    place: int
    length: int
    start: int
    end: int
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Folded:
    """A folded text, and where its characters stood in the source."""

    text: str
    changes: tuple[Change, ...]
    places: tuple[int, ...]

    def source_span(self, start: int, end: int) -> tuple[int, int]:
        """The span of the source that became ``text[start:end]``, with what was taken out inside it and not beside."""
        return self._source(start, is_end=False), self._source(end, is_end=True)

    def _source(self, place: int, *, is_end: bool) -> int:
        """Where the character at `place` stood; for an end, where the character before it ended."""
        index = bisect_right(self.places, place if not is_end else place - 1) - 1
        # Changes that left nothing share their place with what follows: an end lies before them, a start behind.
        if index < 0:
            return place
        change = self.changes[index]
        beyond = place - (change.place + change.length)
        if beyond > 0 or (beyond == 0 and not is_end):
            return change.end + beyond
        return change.end if is_end else change.start

    def changes_within(self, start: int, end: int) -> tuple[Change, ...]:
        """Changes inside ``text[start:end]``; what was taken out at its very edges is not inside."""
        first = bisect_right(self.places, start - 1)
        last = bisect_right(self.places, end - 1)
        return tuple(change for change in self.changes[first:last] if change.length or change.place > start)


def fold(text: str) -> Folded:
    """`text` folded, or as it is where there is nothing to fold."""
    pieces: list[str] = []
    changes: list[Change] = []
    done = place = 0
    for found in _FOLDED.finditer(text):
        kind = found.lastgroup or ""
        became = _became(kind, found.group(kind))
        if became is None or became == found.group():
            continue
        pieces += [text[done : found.start()], became]
        place += found.start() - done
        changes.append(
            Change(place=place, length=len(became), start=found.start(), end=found.end(), reason=_REASONS[kind])
        )
        place += len(became)
        done = found.end()
    pieces.append(text[done:])
    return Folded(text="".join(pieces), changes=tuple(changes), places=tuple(change.place for change in changes))


_SIGN = r"[ ]?(?:\.|://|:/|:|//|/|@|at|d[o0]t|point|punkt|punto|slash|colon)[ ]?"
_FOLDED = re.compile(
    rf"""
    (?=[&<*~\\%\[({{ \t\x00-\x1f\x7f-\U0010ffff])  # this alone decides for nearly all places of a text
    (?:
      (?P<reference> & (?:amp;)* (?: \#\d{{1,7}};? | \#x[0-9a-f]{{1,6}};? | [a-z][a-z0-9]{{1,31}}; ) )
    | (?P<invisible> [{INVISIBLE}]+ )
    | (?P<spelt> [ \t]? (?: \[{_SIGN}\] | \({_SIGN}\) | \{{{_SIGN}\}} | <{_SIGN}> ) [ \t]? )
    | (?P<word> (?<=[\w\])}}]) [ \t] (?:
          d[o0]t [ \t] (?= (?:com|org|net|io|ai|xyz|example) \b )
        | \. [ \t] (?= (?:com|org|net|io|xyz|example) \b (?: /\w | [^\w./] | $ ) ) ) )
    | (?P<comment> <!--[^>]{{0,500}}--> )
    | (?P<block> </? (?:br|p|div|li|ul|ol|td|th|tr|table|h[1-6]|hr|dd|dt|dl|pre|blockquote)
          (?: [\s/] [^<>]{{0,300}} )? > )
    | (?P<tag> </? [a-z][a-z0-9-]* (?: [\s/] [^<>]{{0,300}} )? > )
    | (?P<emphasis> \*+ | ~~+ )
    | (?P<escape> \\[!-/:-@\[-`{{-~] )
    | (?P<percent> % (?: 2[EF] | 3A | 40 | 5C ) )
    | (?P<letter> [^\x00-\x7f] )
    )
    """,
    re.IGNORECASE | re.VERBOSE,
)
_REASONS = {
    "reference": "it appears only after decoding an HTML character reference",
    "invisible": "it holds an invisible character",
    "spelt": "it is spelt to be put together by the reader",
    "word": "it is spelt to be put together by the reader",
    "comment": "an HTML comment stands inside it",
    "block": "HTML stands inside it",
    "tag": "HTML stands inside it",
    "emphasis": "marks of emphasis stand inside it",
    "escape": "it holds a backslash",
    "percent": "its host is percent-encoded",
    "letter": "it holds a character that only looks like an ASCII one",
}


def _became(kind: str, found: str) -> str | None:
    """What `found` is folded to; None where it stays."""
    if kind == "reference":
        return _decoded(found)
    if kind == "letter":
        return _plain(found)
    if kind in ("spelt", "word"):
        return _sign(found)
    if kind == "escape":
        return found[1:]
    if kind == "percent":
        return chr(int(found[1:], 16))
    return " " if kind == "block" else ""


def _decoded(reference: str) -> str | None:
    plain = reference
    while (decoded := html.unescape(plain)) != plain:
        plain = decoded
    if plain == reference:
        return None
    return "".join(_INVISIBLE_ONE.sub("", _plain(character) or character) for character in plain)


_INVISIBLE_ONE = re.compile(rf"[{INVISIBLE}]")
_SPELT_SIGNS = {"dot": ".", "d0t": ".", "point": ".", "punkt": ".", "punto": ".", "at": "@", "slash": "/", "colon": ":"}


def _sign(found: str) -> str:
    word = found.strip(" \t[](){}<>").lower()
    return _SPELT_SIGNS.get(word, word)


def _plain(character: str) -> str | None:
    """ASCII that `character` looks like or stands for; "" for a mark over a letter; None where it is neither."""
    if (plain := _LOOK_ALIKES.get(character)) is not None:
        return plain
    decomposed = unicodedata.normalize("NFKD", character)
    if unicodedata.category(character) == "Mn":
        return ""
    kept = "".join(sign for sign in decomposed if unicodedata.category(sign) != "Mn")
    return kept if kept.isascii() and kept and not kept.isspace() else None


# After Unicode's confusables.txt (UTS 39): the letters and signs that look like one of a host name.
_LETTER_PAIRS = (
    "аa еe оo рp сc уy хx іi јj ѕs һh ԁd ԛq ԝw ӏl АA ВB ЕE КK МM НH ОO РP СC ТT УY ХX ЅS ІI ЈJ Ԍg ԍg"
    " αa οo ρp υu νv ιi κk"
    " ΑA ΒB ΕE ΖZ ΗH ΙI ΚK ΜM ΝN ΟO ΡP ΤT ΥY ΧX"
    " ıi ɩi ɪi ɡg ɢg łl øo đd ħh ʀr ᴏo ᴜu ʏy ᴀa ɑa օo սu հh ոn ցg"
)
_LOOK_ALIKES = (
    {pair[0]: pair[1] for pair in _LETTER_PAIRS.split()}
    | dict.fromkeys("。｡․۔܁܂ꓸ", ".")
    | dict.fromkeys("⁄∕╱⧸⫽〳", "/")
    | dict.fromkeys("∶ː˸꞉։׃", ":")
    | dict.fromkeys("‐‑－", "-")
)
