"""Text or JSON → `AnswerRequest`, and back to text. Nothing is fetched from a link, nothing is normalised."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    ModelWrapValidatorHandler,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from cnaps_rag.errors import RequestError
from cnaps_rag.links import canonical_link
from cnaps_rag.request.reader import ReadPrompt, read_prompt, shorten
from cnaps_rag.request.writer import QUOTED_FORMS, write_prompt
from cnaps_rag.settings import Settings
from cnaps_rag.sources import (
    QUESTION_ID,
    FieldName,
    RecommendedModel,
    RelatedPaper,
    RequiredText,
    Source,
    SourceId,
)

__all__ = ["AnswerRequest"]


class AnswerRequest(BaseModel):
    """A question, the recommended models and the related papers: all that an answer may rest on.

    Every value is the text as read or None. Whatever way a request is made, it passes the same checks: a question, at
    least one source, the limits of `Settings` (of the environment, or those in the validation context ``settings``).

    Example:
        >>> AnswerRequest(question="Why is it sharp?", models=[RecommendedModel(name="LIIF")], papers=[]).sources[0].id
        'M1'

    Raises:
        RequestError: from every way to make one; says the line or the field, what was found and what to do.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    question: RequiredText
    models: tuple[RecommendedModel, ...] = ()
    papers: tuple[RelatedPaper, ...] = ()

    _layout_warnings: tuple[str, ...] = PrivateAttr(default=())

    @classmethod
    def from_text(cls, text: str, *, settings: Settings | None = None) -> Self:
        """The request in a text that is JSON, known by its first character, or else in the layout of `from_prompt`.

        Raises:
            RequestError: as `from_json` and `from_prompt`.
        """
        is_json = text.lstrip("\ufeff \t\r\n").startswith("{")
        return cls.from_json(text, settings=settings) if is_json else cls.from_prompt(text, settings=settings)

    @classmethod
    def from_prompt(cls, text: str, *, settings: Settings | None = None) -> Self:
        """The request that a text in the layout of ``data/requests/*.txt`` holds.

        Raises:
            RequestError: where the text cannot be read, with its line.
        """
        settings = settings or Settings()
        _check_limit("The text", len(text), settings.request_limit_chars)
        prompt = read_prompt(text)
        request = cls.model_validate(_values_of(prompt), context={"settings": settings})
        request._layout_warnings = tuple(prompt.warnings)
        return request

    @classmethod
    def from_json(cls, text: str | bytes, *, settings: Settings | None = None) -> Self:
        """Like `model_validate_json`, but broken JSON is a `RequestError` with its line too.

        Raises:
            RequestError: where the text is no JSON or no request.
        """
        raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
        try:
            return cls.model_validate_json(
                raw.removeprefix(b"\xef\xbb\xbf"), context={"settings": settings or Settings()}
            )
        except ValidationError as error:
            raise _request_error(error) from error

    def to_prompt(self) -> str:
        """The request in the text layout; `from_prompt` reads it back as equal.

        Raises:
            RequestError: where a value imitates the layout, so that the text would be read otherwise; names the field.
        """
        for papers_first, quoted_form in itertools.product((False, True), QUOTED_FORMS):
            text = write_prompt(
                self.question, self.models, self.papers, quoted_form=quoted_form, papers_first=papers_first
            )
            if _first_difference(text, self.question, self.models, self.papers) is None:
                return text
        raise RequestError(
            "The text layout cannot carry this value: read back, a part of it would be taken for layout.",
            remedy="Change its lines that look like layout, or pass the request as JSON.",
            field=self._uncarried_path(),
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was supplied and cannot be used: unknown fields, stray lines, links that may never be shown."""
        links = (
            f'{_path_of(source)}.{name}: "{shorten(link)}" is a link that may never be shown; it is not rendered.'
            for source in self.sources
            for name, link in (("paper", source.paper), ("github", source.github))
            if link is not None and canonical_link(link) is None
        )
        return (*self._layout_warnings, *links)

    @cached_property
    def sources(self) -> tuple[Source, ...]:
        """All models (``M1``, …), then all papers (``P1``, …), in the order supplied; not the question."""
        models = (
            Source(
                id=SourceId(f"M{number}"),
                kind="model",
                title=model.name,
                text=model.description or "",
                paper=model.paper,
                github=model.github,
            )
            for number, model in enumerate(self.models, 1)
        )
        papers = (
            Source(
                id=SourceId(f"P{number}"),
                kind="paper",
                title=paper.title,
                text=paper.summary or "",
                paper=paper.paper,
                github=paper.github,
            )
            for number, paper in enumerate(self.papers, 1)
        )
        return (*models, *papers)

    @cached_property
    def owners(self) -> Mapping[str, tuple[SourceId, ...]]:
        """Canonical supplied link → the sources it was supplied with, in their order."""
        owners: dict[str, list[SourceId]] = {}
        for source in self.sources:
            for link in source.links:
                canonical = canonical_link(link)
                if canonical is not None and source.id not in owners.setdefault(canonical, []):
                    owners[canonical].append(source.id)
        return MappingProxyType({link: tuple(ids) for link, ids in owners.items()})

    def source(self, source_id: str) -> Source:
        """The source with this id; ``Q`` is the question.

        Raises:
            KeyError: where the request has no such source.
        """
        return self._source_by_id[SourceId(source_id)]

    def text(self, source_id: str, field: FieldName) -> str:
        """Text of one field of one source, "" where none was supplied; the offsets of citations count in it.

        Raises:
            KeyError: where there is no such source, or a source of this kind has no such field.
        """
        source = self.source(source_id)
        if field not in source.field_names:
            raise KeyError(f"{source_id} has no field {field}")
        return source.field(field) or ""

    def twins(self, source_id: str) -> tuple[SourceId, ...]:
        """All sources, this one included, that share a link, directly or through others, and so are one source."""
        self.source(source_id)
        return self._twins_by_id.get(SourceId(source_id), (SourceId(source_id),))

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy; with `update` a new request, checked like any other (a plain copy would keep stale sources)."""
        if not update:
            return super().model_copy(deep=deep)
        return type(self).model_validate({name: getattr(self, name) for name in type(self).model_fields} | dict(update))

    def __eq__(self, other: object) -> bool:
        # Warnings tell how a text was written, not what was asked: pydantic's own comparison would include them.
        if not isinstance(other, AnswerRequest):
            return NotImplemented
        return (self.question, self.models, self.papers) == (other.question, other.models, other.papers)

    def __hash__(self) -> int:
        return hash((self.question, self.models, self.papers))

    @model_validator(mode="wrap")
    @classmethod
    def _check(cls, value: object, handler: ModelWrapValidatorHandler[Self], info: ValidationInfo) -> Self:
        try:
            request = handler(value)
        except ValidationError as error:
            raise _request_error(error) from error
        context: dict[str, object] = info.context or {}
        settings = context.get("settings")
        request._check_content(settings if isinstance(settings, Settings) else Settings())
        return request

    def _check_content(self, settings: Settings) -> None:
        if not self.sources:
            raise RequestError(
                "The request has no source.", remedy="Supply at least one model or paper.", field="models, papers"
            )
        self.check_limits(settings)
        for path, value in self._values():
            if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
                raise RequestError(
                    "It holds half of a surrogate pair, which is no text.",
                    remedy="Decode the file as UTF-8.",
                    field=path,
                )

    def check_limits(self, settings: Settings) -> None:
        """Holds the request to the limits of these settings, which need not be those that it was read with.

        Raises:
            RequestError: where it is larger.
        """
        _check_limit("The request", len(self.sources), settings.request_limit_sources, unit="sources")
        n_chars = sum(len(value) for _, value in self._values())
        _check_limit("The request", n_chars, settings.request_limit_chars)

    def _values(self) -> list[tuple[str, str]]:
        """Dotted path and text of every value that is there."""
        values = [("question", self.question)]
        for group, entries in (("models", self.models), ("papers", self.papers)):
            for number, entry in enumerate(entries):
                values += [(f"{group}[{number}].{name}", text) for name, text in entry if text is not None]
        return values

    def _uncarried_path(self) -> str:
        """Path of the first value that the text layout cannot carry."""
        for number, model in enumerate(self.models):
            path = _first_difference(write_prompt("?", (model,), ()), "?", (model,), ())
            if path is not None:
                return path.replace("[0]", f"[{number}]")
        for number, paper in enumerate(self.papers):
            path = _first_difference(write_prompt("?", (), (paper,)), "?", (), (paper,))
            if path is not None:
                return path.replace("[0]", f"[{number}]")
        text = write_prompt(self.question, self.models, self.papers)
        return _first_difference(text, self.question, self.models, self.papers) or "question"

    @cached_property
    def _source_by_id(self) -> dict[SourceId, Source]:
        question = Source(id=QUESTION_ID, kind="question", title="", text=self.question)
        return {QUESTION_ID: question} | {source.id: source for source in self.sources}

    @cached_property
    def _twins_by_id(self) -> dict[SourceId, tuple[SourceId, ...]]:
        groups = {source.id: {source.id} for source in self.sources}
        for ids in self.owners.values():
            merged = {twin for source_id in ids for twin in groups[source_id]}
            groups |= dict.fromkeys(merged, merged)
        place = {source.id: number for number, source in enumerate(self.sources)}
        sorted_groups = {id(group): tuple(sorted(group, key=place.__getitem__)) for group in groups.values()}
        return {source_id: sorted_groups[id(group)] for source_id, group in groups.items()} | {
            QUESTION_ID: (QUESTION_ID,)
        }


def _values_of(prompt: ReadPrompt) -> dict[str, Any]:
    """The raw values by field, as the validators take them."""
    models = [
        {"description" if name == "summary" else name: value for name, value in entry.fields.items()}
        for entry in prompt.models
    ]
    papers = [
        {"title" if name == "name" else name: value for name, value in entry.fields.items()} for entry in prompt.papers
    ]
    return {"question": prompt.question, "models": models, "papers": papers}


def _first_difference(
    text: str, question: str, models: Sequence[RecommendedModel], papers: Sequence[RelatedPaper]
) -> str | None:
    """Path of the first value in which `text`, read, differs from these; None where it reads back as they are."""
    try:
        found = _values_of(read_prompt(text))
    except RequestError:
        # Something in a text of several lines broke the layout; where several are given, the caller tries each alone.
        return "models[0].description" if models else "papers[0].summary"
    if found["question"] != question:
        return "question"
    found_models = [RecommendedModel(**values) for values in found["models"]]
    found_papers = [RelatedPaper(**values) for values in found["papers"]]
    return _first_unequal("models", models, found_models) or _first_unequal("papers", papers, found_papers)


def _first_unequal(group: str, supplied: Sequence[BaseModel], found: Sequence[BaseModel]) -> str | None:
    for number, entry in enumerate(supplied):
        values = dict(found[number]) if number < len(found) else {}
        for name, value in entry:
            if name not in values or values[name] != value:
                return f"{group}[{number}].{name}"
    return group if len(found) > len(supplied) else None


def _check_limit(what: str, found: int, limit: int, *, unit: str = "characters") -> None:
    if found > limit:
        name = "request_limit_chars" if unit == "characters" else "request_limit_sources"
        raise RequestError(
            f"{what} has {found:,} {unit}; the limit is {limit:,}.",
            remedy=f"Shorten it, or raise {name} (CNAPS_RAG_{name.upper()}).",
        )


def _request_error(error: ValidationError) -> RequestError:
    """The first of pydantic's findings as one of ours."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "json_invalid":
        line = re.search(r"line (\d+)", message)
        return RequestError(
            f"This is no JSON: {message.removeprefix('Invalid JSON: ')}.",
            remedy="Supply an object with question, models and papers.",
            line=int(line[1]) if line else None,
        )
    if not path and first["type"] != "missing":
        message = "It is no object"
    remedy = _REMEDY_BY_TYPE.get(first["type"], "Supply a question, and models or papers with a name or title each.")
    return RequestError(f"{message[:1].upper()}{message[1:]}.", remedy=remedy, field=path or None)


_REMEDY_BY_TYPE = {
    "extra_forbidden": "Remove it; models have name, paper, github, description; papers title, paper, github, summary.",
    "missing": "Supply it.",
    "string_type": "Supply text.",
}


def _path_of(source: Source) -> str:
    return f"{source.kind}s[{int(source.id[1:]) - 1}]"
