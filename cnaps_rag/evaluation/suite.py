"""Suites: cases of a request with its gold, read from YAML or JSON Lines, every fault told with its file and line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from cnaps_rag.errors import RequestError
from cnaps_rag.evaluation.suite_files import Loc, Place, Read, read_lines, read_yaml
from cnaps_rag.links.identity import canonical_link
from cnaps_rag.llm import sha256_of
from cnaps_rag.request import AnswerRequest
from cnaps_rag.sources import QUESTION_ID

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Id = Annotated[str, StringConstraints(pattern=r"^(?:Q|[MP][1-9]\d*)$")]
CaseId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]

FitLabel = Literal["fits", "does_not_fit", "not_told"]
GoldSection = Literal["task", "workflow", "references"]
MissingSlot = Literal["input", "processing", "output", "other"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class GoldPoint(_Frozen):
    """A fact that a good answer tells: one sentence, and the words of the source that entail it."""

    text: Text = Field(description="The fact, as one sentence that names what it is about.")
    source: Id = Field(description="Id of its source: Q, M1, M2, ..., P1, P2, ... in the request's order.")
    quote: Text = Field(description="Words that stand exactly so in that source (any of its fields).")
    section: GoldSection | None = Field(default=None, description="Where a reader would first look; not scored.")


class ForbiddenPoint(_Frozen):
    """What a good answer does not say: not supplied, contradicted, or told of the wrong source."""

    text: Text = Field(description="The statement, as one sentence.")
    why: str = Field(default="", description="Why it must not be said, for whoever reads the report.")


class GoldLinks(_Frozen):
    """Links of a good answer, as supplied; two spellings of one link are one (urls.md)."""

    required: tuple[Text, ...] = Field(default=(), description="Links that must stand in the answer.")
    allowed: tuple[Text, ...] = Field(default=(), description="Further links that may stand in it.")


class MissingPoint(_Frozen):
    """What the sources do not tell and a good answer says they do not."""

    source: Id = Field(description="The model or paper (or Q) that it is missing of.")
    slot: MissingSlot = Field(description="The model's slot that stays open, or other.")
    text: str = Field(default="", description="What is missing, in words.")
    arguable: bool = Field(default=False, description="True where readers may differ: scored neither way.")


class Gold(_Frozen):
    """What a good answer to one request holds. A field that is left out is not labelled, and what needs it unscored."""

    abstain: bool | None = Field(
        default=None, description="True where nothing supplied answers: a good answer tells nothing but the question."
    )
    points: tuple[GoldPoint, ...] | None = Field(default=None, description="Facts that a good answer tells.")
    forbidden: tuple[ForbiddenPoint, ...] | None = Field(default=None, description="What it does not say.")
    links: GoldLinks | None = Field(default=None, description="Links that it shows.")
    bearing: tuple[Id, ...] | None = Field(default=None, description="Papers that bear on the question.")
    off_topic: tuple[Id, ...] | None = Field(
        default=None, description="Papers that do not; those in neither list are scored neither way."
    )
    fits: dict[Id, FitLabel] | None = Field(default=None, description="What the sources tell of each model's fit.")
    missing: tuple[MissingPoint, ...] | None = Field(
        default=None, description="Everything that the sources do not tell of the models' slots."
    )


class Case(_Frozen):
    """One request with its gold."""

    id: CaseId = Field(description="Unique in the suite; stands in reports and file names.")
    request_file: str | None = Field(
        default=None, description="File of the request, text layout or JSON, relative to the suite."
    )
    request: str | dict[str, Any] | None = Field(
        default=None, description="The request itself: its text, or question, models and papers."
    )
    tags: tuple[str, ...] = Field(default=(), description="Words to sort and filter reports by.")
    gold: Gold = Field(default_factory=Gold)

    @model_validator(mode="after")
    def _has_one_request(self) -> Case:
        if (self.request_file is None) == (self.request is None):
            raise ValueError("a case has either request_file or request, and not both")
        return self


class Threshold(_Frozen):
    """One condition of the gate, on the mean of a metric over all cases that it is scored on."""

    metric: str = Field(description="Name of the metric, as `cnaps-rag runs metrics` lists them.")
    min: float | None = Field(default=None, description="The mean must not be less.")
    max: float | None = Field(default=None, description="The mean must not be more.")
    no_worse_than: str | None = Field(
        default=None, description="Folder of a run, relative to the suite: not distinguishably worse than its mean."
    )
    margin: float = Field(default=0.0, ge=0, description="How much worse than that run is still no worse.")

    @model_validator(mode="after")
    def _has_a_bound(self) -> Threshold:
        if self.min is None and self.max is None and self.no_worse_than is None:
            raise ValueError("a threshold has min, max or no_worse_than")
        return self


class SuiteFile(_Frozen):
    """A suite as its file holds it."""

    name: Text = Field(description="Name in reports.")
    description: str = ""
    gate: tuple[Threshold, ...] = Field(default=(), description="What `cnaps-rag eval` fails on, with exit status 1.")
    cases: tuple[Case, ...] = Field(min_length=1)


class SuiteCase:
    """A case with its request parsed and its gold checked against it."""

    def __init__(self, case: Case, request: AnswerRequest) -> None:
        self.id = case.id
        self.tags = case.tags
        self.gold = case.gold
        self.request = request


class Suite:
    """Cases to answer and to score; `sha256` covers every request and all gold, wherever their files lie."""

    def __init__(self, file: SuiteFile, cases: Iterable[SuiteCase], folder: Path) -> None:
        self.name = file.name
        self.gate = file.gate
        self.cases = tuple(cases)
        self.folder = folder

    @cached_property
    def sha256(self) -> str:
        """Hash of what decides the scores: ids, requests and gold, in order."""
        return sha256_of(self.to_json()["cases"])

    def to_json(self) -> dict[str, Any]:
        """The suite as one self-contained value: requests inline, so that it can be read again from anywhere."""
        return {
            "name": self.name,
            "gate": [threshold.model_dump(mode="json", exclude_none=True) for threshold in self.gate],
            "cases": [
                {
                    "id": case.id,
                    "request": case.request.model_dump(mode="json"),
                    "tags": list(case.tags),
                    "gold": case.gold.model_dump(mode="json", exclude_none=True),
                }
                for case in self.cases
            ],
        }


def load_suite(path: str | Path) -> Suite:
    """The suite in a YAML or JSON Lines file, every request parsed and all gold checked against it.

    Raises:
        RequestError: the file cannot be read, is no suite, or its gold does not hold in its requests; each fault is
            told with file and line.
    """
    path = Path(path)
    read = read_lines(path) if path.suffix in (".jsonl", ".ndjson") else read_yaml(path)
    return _load(read, path.parent)


def suite_of(value: Mapping[str, Any], *, name: str = "suite") -> Suite:
    """The suite that a plain value holds, as `Suite.to_json` makes it.

    Raises:
        RequestError: it is none.
    """
    return _load(Read(value=dict(value), places={(): Place(file=name, line=1)}), Path())


def suite_schema() -> dict[str, Any]:
    """JSON schema of a suite's YAML file, for editors."""
    schema = SuiteFile.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "cnaps_rag evaluation suite"}


def _load(read: Read, folder: Path) -> Suite:
    try:
        file = SuiteFile.model_validate(read.value)
    except ValidationError as error:
        unread = [f"{read.place(fault['loc'])}: {_path(fault['loc'])}: {fault['msg']}" for fault in error.errors()]
        raise _refused(read, unread) from None
    faults: list[str] = []
    cases: list[SuiteCase] = []
    first_by_id: dict[str, int] = {}
    for number, case in enumerate(file.cases):
        if first_by_id.setdefault(case.id, number) != number:
            faults.append(f"{read.place(('cases', number, 'id'))}: the id {case.id} is used twice")
        try:
            request = _read_request(case, folder)
        except RequestError as error:
            faults.append(f"{read.place(('cases', number))}: case {case.id}: {error}")
            continue
        cases.append(SuiteCase(case, request))
        for loc, fault in _gold_faults(case.gold, request):
            faults.append(f"{read.place(('cases', number, 'gold', *loc))}: case {case.id}: {fault}")
    if faults:
        raise _refused(read, faults)
    return Suite(file, cases, folder)


def _path(loc: Loc) -> str:
    return ".".join(str(part) for part in loc) or "the suite"


def _refused(read: Read, faults: list[str]) -> RequestError:
    listed = "\n".join(f"  {fault}" for fault in faults)
    n_faults = f"{len(faults)} fault{'s' if len(faults) > 1 else ''}"
    return RequestError(
        f"{read.place(()).file} is no usable suite, {n_faults}:\n{listed}",
        remedy="Change these places; `cnaps-rag runs schema` prints the form of a suite.",
    )


def _read_request(case: Case, folder: Path) -> AnswerRequest:
    if case.request_file is not None:
        path = folder / case.request_file
        try:
            text = path.read_bytes().decode("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise RequestError(f"{path} cannot be read: {error}.", remedy="Give the path of a UTF-8 file.") from None
        return AnswerRequest.from_text(text)
    if isinstance(case.request, str):
        return AnswerRequest.from_prompt(case.request)
    return AnswerRequest.from_json(json.dumps(case.request, ensure_ascii=False))


_Fault = tuple[Loc, str]


def _gold_faults(gold: Gold, request: AnswerRequest) -> Iterator[_Fault]:
    """Gold that does not hold in its request, each fault with its place in the gold."""
    yield from _point_faults(gold, request)
    yield from _source_faults(gold, request)
    yield from _link_faults(gold.links, request)


def _point_faults(gold: Gold, request: AnswerRequest) -> Iterator[_Fault]:
    known = {source.id for source in request.sources} | {QUESTION_ID}
    for number, point in enumerate(gold.points or ()):
        if point.source not in known:
            yield ("points", number, "source"), f"no source {point.source} was supplied"
        elif not _has_quote(request, point.source, point.quote):
            yield ("points", number, "quote"), f"{point.source} does not hold the quote {point.quote!r}"
    for number, missing in enumerate(gold.missing or ()):
        if missing.source not in known:
            yield ("missing", number, "source"), f"no source {missing.source} was supplied"
        elif missing.slot != "other" and not missing.source.startswith("M"):
            yield ("missing", number, "slot"), f"{missing.source} is no recommended model and has no {missing.slot}"


def _source_faults(gold: Gold, request: AnswerRequest) -> Iterator[_Fault]:
    """Ids that are none, or of the wrong kind."""
    papers = {source.id for source in request.sources if source.kind == "paper"}
    models = {source.id for source in request.sources if source.kind == "model"}
    listed: list[tuple[Loc, str]] = [(("bearing", number), id_) for number, id_ in enumerate(gold.bearing or ())]
    listed += [(("off_topic", number), id_) for number, id_ in enumerate(gold.off_topic or ())]
    yield from ((loc, f"{id_} is no supplied paper") for loc, id_ in listed if id_ not in papers)
    yield from ((("fits", id_), f"{id_} is no recommended model") for id_ in gold.fits or () if id_ not in models)
    for id_ in set(gold.bearing or ()) & set(gold.off_topic or ()):
        yield ("off_topic",), f"{id_} cannot both bear on the question and be off topic"


def _link_faults(links: GoldLinks | None, request: AnswerRequest) -> Iterator[_Fault]:
    for name in ("required", "allowed"):
        for number, link in enumerate(getattr(links, name) if links is not None else ()):
            if canonical_link(link) not in request.owners:
                yield ("links", name, number), f"the link {link} was not supplied"


def _has_quote(request: AnswerRequest, source_id: str, quote: str) -> bool:
    source = request.source(source_id)
    return any(quote in (source.field(field) or "") for field in source.field_names)
