"""What a sentence speaks of: the source it names, else the one that a heading, an item or the sentence before names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from cnaps_rag.checks.attribution import Mention, find_mentions, speaks_of_user
from cnaps_rag.render.shown import shown_title
from cnaps_rag.request import AnswerRequest
from cnaps_rag.sources import QUESTION_ID, SourceId
from cnaps_rag.validation.predicates import NAME, word_set, words_of

_ID = re.compile(r"(?<![\w.-])[\[(]?([MP]\d{1,4})(?:\.\d{1,5})?[\])]?(?![\w-])")
_NUMBERS = {"first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "1st": 1, "2nd": 2, "3rd": 3}
_COUNTED = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5}
_ORDINAL = re.compile(
    rf"\b(?:the\s+)?({'|'.join(_NUMBERS)}|last)\s+(?:recommended\s+|supplied\s+|related\s+|listed\s+)*"
    r"(paper|study|article|model)\b(?!\s+(?:to|that|which|in)\b)",
    re.IGNORECASE,
)
_COUNT = re.compile(rf"\b(paper|model)\s+(?:no\.\s*|#\s*)?(\d{{1,3}}|{'|'.join(_COUNTED)})\b(?![.,]\d)", re.IGNORECASE)
_SOLE = re.compile(
    r"\bthe\s+(?:only\s+|sole\s+)?(recommended\s+model|supplied\s+paper|related\s+paper)\b", re.IGNORECASE
)
_POINTS_BACK = re.compile(
    r"^\W*(?:\w{1,12}:\s+)?"
    r"(?:(?:and|also|but|however|then|moreover|furthermore|in addition|additionally|finally|thus),?\s+)?"
    r"(?:it|its|they|their|this|these|those|the\s+(?:authors?|model|method|approach|paper|network|system|technique|"
    r"framework|algorithm|architecture|study|work|tool|dataset|database|benchmark|former|latter))\b",
    re.IGNORECASE,
)
_STEP = re.compile(r"^\W*(?:model\s+)?(?:inputs?|outputs?|process(?:ing)?)\s*:|\s(?:→|⇒|➜|➔|⟶|=>|-+>)\s", re.IGNORECASE)
_THE_MODEL = re.compile(r"\bthe model\b", re.IGNORECASE)


def find_names(text: str, request: AnswerRequest) -> tuple[Mention, ...]:
    """Places in `text` that name a supplied source: by name, title or description, by id, or by position."""
    mentions = list(_shown_names(text, request))
    for mention in (*find_mentions(text, request), *_by_position(text, request)):
        if all(mention.end <= other.start or other.end <= mention.start for other in mentions):
            mentions.append(mention)
    return tuple(sorted(mentions, key=lambda mention: mention.start))


def _shown_names(text: str, request: AnswerRequest) -> Iterator[Mention]:
    """Whole names and titles as an answer shows them, whatever characters they hold; longer ones first."""
    taken: list[tuple[int, int]] = []
    for source_id, name in _names_as_shown(request):
        at = text.find(name)
        while at >= 0:
            end = at + len(name)
            is_free = (at, end) in taken or all(end <= first or last <= at for first, last in taken)
            if is_free and not _cuts_word(text, at) and not _cuts_word(text, end):
                taken.append((at, end))
                yield Mention(source_id, at, end)
            at = text.find(name, end)


def _cuts_word(text: str, at: int) -> bool:
    return 0 < at < len(text) and text[at - 1].isalnum() and text[at].isalnum()


@lru_cache(maxsize=64)
def _names_as_shown(request: AnswerRequest) -> tuple[tuple[SourceId, str], ...]:
    names = ((source.id, shown_title(source.id, request)) for source in request.sources)
    return tuple(sorted((pair for pair in names if len(pair[1]) > 1), key=lambda pair: -len(pair[1])))


def _by_position(text: str, request: AnswerRequest) -> list[Mention]:
    known = {source.id for source in request.sources}
    n_models, n_papers = len(request.models), len(request.papers)
    found: list[tuple[str, re.Match[str]]] = [(match[1], match) for match in _ID.finditer(text)]
    for match in _ORDINAL.finditer(text):
        n_all = n_models if match[2].lower() == "model" else n_papers
        found.append((_letter(match[2]) + str(_NUMBERS.get(match[1].lower(), n_all)), match))
    for match in _COUNT.finditer(text):
        found.append((_letter(match[1]) + str(_COUNTED.get(match[2].lower(), match[2])), match))
    for match in _SOLE.finditer(text):
        if (n_models if "model" in match[1].lower() else n_papers) == 1:
            found.append(("M1" if "model" in match[1].lower() else "P1", match))
    return [
        Mention(SourceId(source_id), match.start(), match.end()) for source_id, match in found if source_id in known
    ]


def _letter(kind: str) -> str:
    return "M" if kind.lower() == "model" else "P"


def without_names(text: str, names: tuple[Mention, ...]) -> str:
    """`text` with each name put as `NAME`."""
    pieces: list[str] = []
    at = 0
    for name in names:
        if name.start >= at:
            pieces += [text[at : name.start], NAME]
            at = name.end
    return "".join([*pieces, text[at:]])


def sole_subject(names: tuple[Mention, ...], request: AnswerRequest) -> SourceId | None:
    """The one source that all `names` name, sources that share a link being one; None where there are several."""
    ids = tuple(dict.fromkeys(name.source_id for name in names))
    return ids[0] if ids and set(ids) <= set(request.twins(ids[0])) else None


# Headings of a source's own parts: under them the text still speaks of that source.
_PARTS = word_set(
    f"""{NAME} input inputs output outputs processing process workflow pipeline step steps stage stages detail details
    description overview summary how it works the of and its model's method methods architecture strengths limitations
    notes fit code links link usage"""
)


@dataclass(slots=True)
class _Place:
    """A heading or an item that the text stands under."""

    level: int
    subject: SourceId | None
    label: str


@dataclass(slots=True)
class Context:
    """Where in a text the reader is: the headings and items above, and what was named last."""

    request: AnswerRequest
    _headings: list[_Place] = field(default_factory=list[_Place])
    _items: list[_Place] = field(default_factory=list[_Place])
    _last: SourceId | None = None

    @property
    def above(self) -> SourceId | None:
        """The source that the innermost item or heading names."""
        return next((place.subject for place in reversed(self._headings + self._items) if place.subject), None)

    @property
    def label(self) -> str:
        """The label ("Input") that the innermost item or heading gives, "" where it is no label of a part."""
        places = reversed(self._headings + self._items)
        return next((place.label for place in places if place.label or place.subject), "")

    def enter_heading(self, level: int, subject: SourceId | None, text: str) -> None:
        """A heading, or a line that stands as one: ends the parts above it that it does not belong to."""
        beside = [place.subject for place in self._headings if place.level == level and place.subject]
        self._headings = [place for place in self._headings if place.level < level]
        self._items = []
        is_part = set(words_of(text)) <= _PARTS
        if subject is None and is_part and beside:
            subject = beside[-1]
        label = text.strip(" :*") if is_part and NAME not in text else ""
        self._headings.append(_Place(level, subject, label))
        self._last = subject or self._last

    def enter_item(self, level: int, subject: SourceId | None, label: str = "") -> None:
        """An item that names a source or a part: holds for the items within it."""
        self.leave_items(level)
        self._items.append(_Place(level, subject, label))
        self._last = subject or self._last

    def leave_items(self, level: int) -> None:
        """Text at this indentation: the items beside and within it are over."""
        self._items = [place for place in self._items if place.level < level]

    def begin_block(self) -> None:
        """A new block points back to what stands above it, before what was named in passing."""
        self._last = self.above or self._last

    def subject_of(self, text: str, names: tuple[Mention, ...]) -> SourceId | None:
        """What a sentence speaks of: its own naming first, then what it points back to, then what stands above it."""
        sole = sole_subject(names, self.request)
        if sole is not None:
            self._last = sole
            return sole
        if names:
            self._last = names[0].source_id
            return self.above if self.above in {name.source_id for name in names} else None
        if speaks_of_user(text):
            return QUESTION_ID
        if _POINTS_BACK.match(text) and self._last is not None:
            return self._last
        if self.above is None and self.request.models and self._is_of_a_model(text):
            # With several models the claim is about each of them, so it has to hold for the first.
            return SourceId("M1")
        return self.above

    def _is_of_a_model(self, text: str) -> bool:
        """True for a step of the workflow, and for "the model" where there is only one."""
        is_step = _STEP.search(text) is not None or _STEP.match(f"{self.label}:") is not None
        return is_step or (len(self.request.models) == 1 and _THE_MODEL.search(text) is not None)
