from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from processes import run_python

from cnaps_rag.errors import RequestError
from cnaps_rag.server.telemetry import Tracing, load_tracer


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracing(exporter: InMemorySpanExporter) -> Tracing:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return Tracing(provider)


def by_name(exporter: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    return {span.name: span for span in exporter.get_finished_spans()}


def test_an_answer_is_a_span_by_the_genai_conventions(tracing: Tracing, exporter: InMemorySpanExporter) -> None:
    headers = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    with tracing.answer("cnaps-rag", stream=True, headers=headers) as span:
        span.stage("draft", time.monotonic())
        span.first_claim()
        span.stage("check", time.monotonic())
        span.told(n_accepted=3, n_dropped=1)
        span.usage(llm="qwen", prompt_tokens=100, completion_tokens=10)
    spans = by_name(exporter)
    assert set(spans) == {"chat cnaps-rag", "cnaps_rag.draft", "cnaps_rag.check"}
    answer = spans["chat cnaps-rag"]
    attributes = dict(answer.attributes or {})
    assert attributes.pop("gen_ai.response.time_to_first_chunk") >= 0
    assert attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "cnaps_rag",
        "gen_ai.request.model": "cnaps-rag",
        "gen_ai.request.stream": True,
        "gen_ai.response.model": "qwen",
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 10,
        "cnaps_rag.n_accepted": 3,
        "cnaps_rag.n_dropped": 1,
    }
    assert answer.kind is SpanKind.SERVER
    assert answer.parent is not None
    assert format(answer.parent.span_id, "016x") == "b7ad6b7169203331"
    for name in ("cnaps_rag.draft", "cnaps_rag.check"):
        assert spans[name].parent == answer.get_span_context()
    assert spans["cnaps_rag.draft"].end_time <= spans["cnaps_rag.check"].start_time


def test_attribute_names_are_those_of_the_conventions(tracing: Tracing, exporter: InMemorySpanExporter) -> None:
    from opentelemetry.semconv._incubating.attributes import gen_ai_attributes

    known = {value for name, value in vars(gen_ai_attributes).items() if name.startswith("GEN_AI_")}
    with tracing.answer("cnaps-rag") as span:
        span.first_claim()
        span.usage(llm="qwen", prompt_tokens=1, completion_tokens=1)
    used = set(by_name(exporter)["chat cnaps-rag"].attributes or {})
    assert {name for name in used if name.startswith("gen_ai.")} <= known


def test_a_failure_is_told_by_its_type_alone(tracing: Tracing, exporter: InMemorySpanExporter) -> None:
    def fail() -> None:
        with tracing.answer("cnaps-rag") as span:
            span.stage("check", time.monotonic())
            raise ValueError("secret source text")

    with pytest.raises(ValueError, match="secret source text"):
        fail()
    assert len(exporter.get_finished_spans()) == 2
    answer = by_name(exporter)["chat cnaps-rag"]
    assert answer.status.status_code is StatusCode.ERROR
    assert (answer.attributes or {})["error.type"] == "ValueError"
    for span in exporter.get_finished_spans():
        assert "secret" not in span.to_json()


def test_a_stream_closed_from_another_context_ends_its_span(
    tracing: Tracing, exporter: InMemorySpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    async def stream() -> AsyncGenerator[int]:
        with tracing.answer("cnaps-rag") as span:
            span.stage("check", time.monotonic())
            yield 1
            yield 2

    async def run() -> None:
        events = stream()
        await asyncio.create_task(anext(events))  # type: ignore[arg-type]
        await asyncio.create_task(events.aclose())  # type: ignore[arg-type]

    asyncio.run(run())
    assert set(by_name(exporter)) == {"chat cnaps-rag", "cnaps_rag.check"}
    assert not caplog.records
    assert (by_name(exporter)["chat cnaps-rag"].attributes or {})["error.type"] == "GeneratorExit"


def test_nothing_is_traced_where_nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    tracing = load_tracer()
    with tracing.answer("cnaps-rag") as span:
        span.stage("check", time.monotonic())
    tracing.close()


def test_an_unknown_exporter_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "zipkin")
    with pytest.raises(RequestError, match="OTEL_TRACES_EXPORTER"):
        load_tracer()


TRACE = """
    from cnaps_rag.server.telemetry import load_tracer
    tracing = load_tracer()
    with tracing.answer("cnaps-rag"):
        pass
    tracing.close()
"""


def test_the_environment_chooses_exporter_and_name() -> None:
    told = json.loads(run_python(TRACE, OTEL_TRACES_EXPORTER="console", OTEL_SERVICE_NAME="answers-of-team-a"))
    assert told["name"] == "chat cnaps-rag"
    assert told["resource"]["attributes"]["service.name"] == "answers-of-team-a"
    assert run_python(TRACE, OTEL_TRACES_EXPORTER="console", OTEL_SDK_DISABLED="true") == ""
    assert (
        json.loads(run_python(TRACE, OTEL_TRACES_EXPORTER="console"))["resource"]["attributes"]["service.name"]
        == "cnaps-rag"
    )
