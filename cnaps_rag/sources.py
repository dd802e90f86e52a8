"""One supplied model or paper: what the request holds of it, and the fields that evidence may point into."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NewType

from pydantic import BaseModel, ConfigDict

SourceId = NewType("SourceId", str)
"""``M1``, ``M2``, …: recommended models; ``P1``, …: related papers, in the request's order; ``Q``: the question."""

QUESTION_ID = SourceId("Q")

SourceKind = Literal["question", "model", "paper"]
FieldName = Literal["question", "name", "title", "description", "summary", "paper", "github"]


class RecommendedModel(BaseModel):
    """A recommended model as supplied: often a name and links and no text at all."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    paper: str | None = None
    github: str | None = None
    description: str | None = None


class RelatedPaper(BaseModel):
    """A related paper as supplied."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    paper: str | None = None
    github: str | None = None
    summary: str | None = None


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

    def field(self, name: FieldName) -> str | None:
        """Text of one field, or None where this source has none of that name."""
        texts: dict[str, str | None] = {"paper": self.paper, "github": self.github, self.title_field: self.title}
        texts[self.text_field] = self.text
        return texts.get(name)
