"""Every error this library raises, in one tree: a class exists only where some caller would act differently on it."""

from __future__ import annotations

from typing import Any


class CnapsRagError(Exception):
    """Root of all errors raised on purpose by this library."""


class RequestError(CnapsRagError):
    """The caller must change the request: says where, what was found and what to do.

    Attributes:
        line: 1-based line of the request's text, or None where the request did not come as text.
        field: dotted path of the field, as in ``papers[2].title``, or None.
        finding: what was found there.
        remedy: what to do about it.
    """

    def __init__(self, finding: str, *, remedy: str, line: int | None = None, field: str | None = None) -> None:
        self.finding = finding
        self.remedy = remedy
        self.line = line
        self.field = field
        places = [f"line {line}"] if line is not None else []
        places += [field] if field is not None else []
        prefix = f"{', '.join(places)}: " if places else ""
        super().__init__(f"{prefix}{finding} {remedy}")


class SourceError(RequestError):
    """One supplied source cannot be used; carries its id, so that a caller may go on without it."""

    def __init__(self, finding: str, *, remedy: str, source_id: str, line: int | None = None) -> None:
        self.source_id = source_id
        super().__init__(finding, remedy=remedy, line=line, field=source_id)


class ServiceError(CnapsRagError):
    """The LLM, the encoder or the verifier failed, and the same call would fail again.

    Attributes:
        usage: what the LLM's calls cost up to the failure (`llm.Usage`), or None where no LLM was called.
    """

    usage: Any = None


class ServiceUnavailableError(ServiceError):
    """The service failed in a way that may pass: the same call may work later.

    Attributes:
        retry_after_s: seconds the service asked to wait, or None where it did not say.
    """

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(message)


class BadDraftError(ServiceError):
    """The LLM replied with something that is not a draft (refusal, cut-off, no JSON).

    Attributes:
        partial_text: what it did write, so that nothing is lost.
    """

    def __init__(self, message: str, *, partial_text: str = "") -> None:
        self.partial_text = partial_text
        super().__init__(message)


class UntraceableError(CnapsRagError):
    """``on_untraceable="raise"`` was asked for, and some claims or links of the draft were not traceable.

    Attributes:
        findings: every `ClaimFinding` and `LinkFinding` that failed; offsets of a claim that was only drafted count in
            its own text.
    """

    def __init__(self, message: str, *, findings: tuple[object, ...]) -> None:
        self.findings = findings
        super().__init__(message)
