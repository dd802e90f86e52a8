from __future__ import annotations

from pathlib import Path

from processes import run_python
from prometheus_client.parser import text_string_to_metric_families

from cnaps_rag.server.metrics import Metrics


def samples(exposition: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(exposition.decode())
        for sample in family.samples
    }


def counted() -> Metrics:
    metrics = Metrics()
    metrics.request_done("/v1/answers", 200, 0.3)
    metrics.request_done("/v1/answers", 200, 3.0)
    metrics.request_done("/v1/answers", 429, 0.001)
    metrics.stage_done("check", 0.2)
    metrics.first_claim(0.7)
    for outcome, verdict in (("accepted", "supported"), ("accepted", "supported"), ("dropped", "not_found")):
        metrics.claim(outcome, verdict)
    metrics.llm_tokens(100, 10)
    metrics.llm_tokens(50, 5)
    metrics.cache(hit=True)
    metrics.cache(hit=False)
    metrics.refused("rate")
    metrics.places(3, 7)
    return metrics


def test_what_is_counted_is_told() -> None:
    body, content_type = counted().exposition()
    assert content_type.startswith("text/plain; version=")
    told = samples(body)
    route = ("route", "/v1/answers")
    assert told["cnaps_rag_requests_total", (route, ("status", "200"))] == 2
    assert told["cnaps_rag_requests_total", (route, ("status", "429"))] == 1
    assert told["cnaps_rag_request_seconds_count", (route,)] == 3
    assert told["cnaps_rag_request_seconds_bucket", (("le", "0.5"), route)] == 2
    assert told["cnaps_rag_stage_seconds_sum", (("stage", "check"),)] == 0.2
    assert told["cnaps_rag_first_claim_seconds_bucket", (("le", "1.0"),)] == 1
    assert told["cnaps_rag_first_claim_seconds_bucket", (("le", "0.5"),)] == 0
    assert told["cnaps_rag_claims_total", (("outcome", "accepted"), ("verdict", "supported"))] == 2
    assert told["cnaps_rag_llm_tokens_total", (("kind", "prompt"),)] == 150
    assert told["cnaps_rag_llm_tokens_total", (("kind", "completion"),)] == 15
    assert told["cnaps_rag_cache_lookups_total", (("found", "yes"),)] == 1
    assert told["cnaps_rag_refused_total", (("reason", "rate"),)] == 1
    assert told["cnaps_rag_answers_running", ()] == 3
    assert told["cnaps_rag_answers_waiting", ()] == 7
    assert told["process_resident_memory_bytes", ()] > 0


def test_two_apps_in_one_process_count_apart() -> None:
    counted()
    told = samples(Metrics().exposition()[0])
    assert not [name for name, _ in told if name == "cnaps_rag_requests_total"]


def test_a_scraper_that_asks_for_openmetrics_gets_it() -> None:
    body, content_type = counted().exposition("application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")


COUNT = """
    from cnaps_rag.server.metrics import Metrics
    metrics = Metrics()
    metrics.request_done("/v1/answers", 200, 0.3)
    metrics.places(2, 1)
    print(metrics.exposition()[0].decode())
"""


def test_workers_are_counted_together_and_the_dead_run_nothing(tmp_path: Path) -> None:
    for _ in range(2):
        told = samples(run_python(COUNT, PROMETHEUS_MULTIPROC_DIR=str(tmp_path)).encode())
    assert told["cnaps_rag_requests_total", (("route", "/v1/answers"), ("status", "200"))] == 2
    assert told["cnaps_rag_request_seconds_count", (("route", "/v1/answers"),)] == 2
    assert told["cnaps_rag_answers_running", ()] == 2, "the first process has ended: what it ran is not running"
    assert "process_resident_memory_bytes" not in {name for name, _ in told}
