"""OpenTelemetry spans of answers, by the conventions for generative AI. Names, counts and seconds; no source text.

Spans are made where ``OTEL_EXPORTER_OTLP_ENDPOINT`` (or that of traces alone) or ``OTEL_TRACES_EXPORTER`` is set; the
SDK reads its other variables (``OTEL_SERVICE_NAME``, ``OTEL_EXPORTER_OTLP_HEADERS``, ``OTEL_TRACES_SAMPLER``) itself.
Spans get their parent by hand and are never made current: an answer's iterator may be closed from another context.

Conventions: https://opentelemetry.io/docs/specs/semconv/gen-ai/
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Literal, cast, get_args

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import NoOpTracerProvider, Span, SpanKind, Status, StatusCode, Tracer, TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from cnaps_rag.errors import RequestError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

_TRACER_NAME: Final = "cnaps_rag"
_PROVIDER: Final = "cnaps_rag"  # the conventions ask for the provider of the endpoint that is called: that is us
_Exporter = Literal["otlp", "console", "none"]
_EXPORTERS: Final[tuple[_Exporter, ...]] = get_args(_Exporter)
_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


class AnswerSpan:
    """The span of one answer, with one below it for each stage."""

    def __init__(self, span: Span, tracer: Tracer) -> None:
        self._span = span
        self._tracer = tracer
        self._started = time.monotonic()
        self._stage: Span | None = None

    def stage(self, stage: str, at: float) -> None:
        """A stage that began, and the one before it that ended, `at` this time of the monotonic clock."""
        at_ns = time.time_ns() - int((time.monotonic() - at) * 1e9)
        self._end_stage(at_ns)
        self._stage = self._tracer.start_span(
            f"cnaps_rag.{stage}",
            context=trace.set_span_in_context(self._span, Context()),
            kind=SpanKind.INTERNAL,
            start_time=at_ns,
        )

    def first_claim(self) -> None:
        """Notes that the first validated claim is out."""
        self._span.set_attribute("gen_ai.response.time_to_first_chunk", time.monotonic() - self._started)

    def told(self, **counts: int | float | bool | str) -> None:
        """Adds counts and names under ``cnaps_rag.``; never text of a request or an answer."""
        for name, count in counts.items():
            self._span.set_attribute(f"cnaps_rag.{name}", count)

    def usage(self, *, llm: str, prompt_tokens: int, completion_tokens: int) -> None:
        """Notes what the LLM's calls cost, and the name of what drafted."""
        self._span.set_attribute("gen_ai.response.model", llm)
        self._span.set_attribute("gen_ai.usage.input_tokens", prompt_tokens)
        self._span.set_attribute("gen_ai.usage.output_tokens", completion_tokens)

    def failed(self, error_type: str) -> None:
        """Marks the answer as failed, by the type of the error: its message may quote the request."""
        self._span.set_attribute("error.type", error_type)
        self._span.set_status(Status(StatusCode.ERROR))

    def end(self) -> None:
        """Ends the span and the stage in it."""
        self._end_stage()
        self._span.end()

    def _end_stage(self, at_ns: int | None = None) -> None:
        if self._stage is not None:
            self._stage.end(at_ns)
        self._stage = None


class Tracing:
    """Makes the spans of answers."""

    def __init__(self, provider: TracerProvider, *, close: Callable[[], None] | None = None) -> None:
        """`close` sends what `provider` still holds, and ends it."""
        self._close = close
        self._tracer = provider.get_tracer(_TRACER_NAME)
        self._propagator = TraceContextTextMapPropagator()

    @contextmanager
    def answer(
        self, model: str, *, stream: bool = False, headers: Mapping[str, str] | None = None
    ) -> Generator[AnswerSpan]:
        """Span ``chat {model}`` around one answer; a ``traceparent`` among `headers` is its parent.

        `model` is one of our own names, as ``/v1/models`` lists them.
        """
        parent = self._propagator.extract(dict(headers or {}), context=Context())
        span = self._tracer.start_span(
            f"chat {model}",
            context=parent,
            kind=SpanKind.SERVER,
            attributes={
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": _PROVIDER,
                "gen_ai.request.model": model,
                "gen_ai.request.stream": stream,
            },
        )
        answer_span = AnswerSpan(span, self._tracer)
        try:
            yield answer_span
        except BaseException as error:
            answer_span.failed(type(error).__name__)
            raise
        finally:
            answer_span.end()

    def close(self) -> None:
        """Sends what is left and ends; takes as long as the exporter's timeout at most."""
        if self._close is not None:
            self._close()


def load_tracer() -> Tracing:
    """Tracing as the environment asks for it; nothing is traced where it does not.

    Raises:
        RequestError: ``OTEL_TRACES_EXPORTER`` names an exporter that is not here.
        ValueError: another of the SDK's variables is unusable; the message names it.
    """
    name = exporter_name()
    if name == "none" or os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return Tracing(NoOpTracerProvider())
    # The SDK is loaded where something is traced: it reads its variables when it is imported.
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider as Provider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    service = os.environ.get("OTEL_SERVICE_NAME", "cnaps-rag")
    provider = Provider(resource=Resource.create({SERVICE_NAME: service}), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(_load_exporter(name)))
    return Tracing(provider, close=provider.shutdown)


def exporter_name() -> _Exporter:
    """Name of the exporter that the environment asks for.

    Raises:
        RequestError: it is none of ours.
    """
    name = os.environ.get("OTEL_TRACES_EXPORTER", "otlp" if any(map(os.environ.get, _ENDPOINTS)) else "none")
    for known in _EXPORTERS:
        if name == known:
            return known
    raise RequestError(f"OTEL_TRACES_EXPORTER is {name!r}.", remedy="Use otlp (over HTTP), console or none.")


def _load_exporter(name: Literal["otlp", "console"]) -> SpanExporter:
    if name == "console":
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter

        return ConsoleSpanExporter()
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return cast("SpanExporter", OTLPSpanExporter())
