"""One supplied model or paper: what the request holds of it, and the fields that evidence may point into."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, NewType

from pydantic import BaseModel, BeforeValidator, ConfigDict

SourceId = NewType("SourceId", str)
"""``M1``, ``M2``, …: recommended models; ``P1``, …: related papers, in the request's order; ``Q``: the question."""

QUESTION_ID = SourceId("Q")

SourceKind = Literal["question", "model", "paper"]
FieldName = Literal["question", "name", "title", "description", "summary", "paper", "github"]


NULL_WORDS = frozenset({"", "n/a", "none", "-"})
"""Values that mean "nothing was supplied", in any letter case (the rules of the request layout)."""


def read_text(value: str) -> str | None:
    """The text of a supplied value: line ends as line feeds, white space off both ends; None where it says nothing."""
    text = value.replace("\r\n", "\n").replace("\r", "\n").strip()
    return None if text.lower() in NULL_WORDS else text


def read_link(value: str) -> str | None:
    """Like `read_text`, and ``[text](url)`` and ``<url>`` give ``url``; the URL itself is left as written."""
    text = read_text(value)
    if text is None:
        return None
    inner = _unwrap_link(text)
    # Wrapped twice is no layout we know: left as written, so that reading a value again never changes it.
    return text if _unwrap_link(inner) != inner else read_text(inner)


def _unwrap_link(text: str) -> str:
    if text.startswith("<") and text.endswith(">"):
        inner = text[1:-1]
        return inner.strip() if not set("<> \t\n") & set(inner.strip()) else text
    if text.startswith("[") and text.endswith(")") and "](" in text:
        inner = text[text.index("](") + 2 : -1].strip()
        url, _, label = inner.partition(" ")
        if label and label.strip()[0] not in "\"'(":
            return text
        return _unwrap_link(url) if url.startswith("<") else url if _is_balanced(url) else text
    return text


def _is_balanced(url: str) -> bool:
    depth = 0
    for character in url:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth < 0:
            return False
    return depth == 0 and not any(character.isspace() for character in url)


def _read_required(value: object) -> object:
    if not isinstance(value, str):
        return value
    text = read_text(value)
    if text is None:
        raise ValueError("is empty, and a source needs one")
    return text


def _read_optional(value: object) -> object:
    return read_text(value) if isinstance(value, str) else value


def _read_optional_link(value: object) -> object:
    return read_link(value) if isinstance(value, str) else value


RequiredText = Annotated[str, BeforeValidator(_read_required)]
OptionalText = Annotated[str | None, BeforeValidator(_read_optional)]
OptionalLink = Annotated[str | None, BeforeValidator(_read_optional_link)]


class RecommendedModel(BaseModel):
    """A recommended model as supplied: often a name and links and no text at all."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: RequiredText
    paper: OptionalLink = None
    github: OptionalLink = None
    description: OptionalText = None


class RelatedPaper(BaseModel):
    """A related paper as supplied."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: RequiredText
    paper: OptionalLink = None
    github: OptionalLink = None
    summary: OptionalText = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One supplied model or paper (or the question, id ``Q``), its strings exactly as read.

    `title` is the model's name or the paper's title ("" for the question); `text` is its body: description, summary or
    the question itself ("" where none was supplied). `links` are its ``Paper:`` and ``GitHub:`` values, as supplied.
    """

    id: SourceId
    kind: SourceKind
    title: str
    text: str
    paper: str | None = None
    github: str | None = None

    @property
    def title_field(self) -> FieldName:
        """Field that `title` is."""
        return {"question": "question", "model": "name", "paper": "title"}[self.kind]  # type: ignore[return-value]

    @property
    def text_field(self) -> FieldName:
        """Field that `text` is."""
        return {"question": "question", "model": "description", "paper": "summary"}[self.kind]  # type: ignore[return-value]

    @property
    def links(self) -> tuple[str, ...]:
        """Supplied links, paper before code."""
        return tuple(link for link in (self.paper, self.github) if link is not None)

    @property
    def field_names(self) -> tuple[FieldName, ...]:
        """Fields that a source of this kind has, supplied or not."""
        if self.kind == "question":
            return ("question",)
        return (self.title_field, "paper", "github", self.text_field)

    def field(self, name: FieldName) -> str | None:
        """Text of one field; None where a link was not supplied or this kind of source has no such field."""
        texts: dict[str, str | None] = {self.title_field: self.title, self.text_field: self.text}
        if self.kind != "question":
            texts |= {"paper": self.paper, "github": self.github}
        return texts.get(name)
