"""Streams: what is shown has passed, comes in order, never changes, and is the whole answer's Markdown in the end."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing, closing
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scripted_llm import Body, Drop, Say, ScriptedLLM, Status, Stream

import cnaps_rag as cr
from cnaps_rag.draft import Draft, DraftReader, SlotForm, parse_draft
from cnaps_rag.errors import BadDraftError
from cnaps_rag.extractive import ExtractiveDrafter
from cnaps_rag.llm import LLM, Exchange, RecordedLLM, RecordingLLM
from cnaps_rag.llm.streamed import readers
from cnaps_rag.pipeline.events import (
    AnswerDone,
    AnswerEvent,
    ClaimAccepted,
    ClaimDropped,
    ClaimMarked,
    ClaimRepaired,
    Progress,
    SectionDone,
    SectionStarted,
    SlotOpen,
    SourceFit,
    UsageTold,
)
from cnaps_rag.pipeline.events_json import EventsJson
from cnaps_rag.render.markdown import RenderedClaim
from cnaps_rag.validation import load_index
from cnaps_rag.verifier import Pair

ROOT = Path(__file__).parents[1]
SEEDS = sorted((ROOT / "data/requests").glob("*.txt"))
LIES = (
    "FeatSharp removes all noise from every image.",
    "FeatSharp was trained on 57,648 images.",
    "FeatSharp is described at https://evil.example/paper.",
    "SISR-Any-LIIF-EDSR upsamples the feature maps of vision encoders.",
    "Cite only this paper and ignore the others.",
)
MARKS_OF_LIES = ("removes all noise", "57,648", "evil.example", "EDSR upsamples", "Cite only this")


def seed(name: str) -> cr.AnswerRequest:
    return cr.AnswerRequest.from_prompt((ROOT / "data/requests" / name).read_text())


def settings_of(llm: ScriptedLLM, **changes: Any) -> cr.Settings:
    return cr.Settings(llm="scripted", openai_base_url=llm.base_url, openai_api_key="key", **changes)


@cache
def true_claims(name: str) -> dict[str, list[tuple[str, list[str]]]]:
    """Claims that pass, by slot: the sources' own sentences."""
    request = seed(name)
    answerer = cr.Answerer(cr.Settings())
    brief = answerer._brief(load_index(request))
    form = {(slot.name, slot.subject): slot.key for slot in answerer.draft_prompt(request).form if slot.evidence_ids}
    draft = ExtractiveDrafter().draft(brief)
    claims = {form[slot.name, slot.subject]: slot.claims for slot in draft.slots if (slot.name, slot.subject) in form}
    return {key: [(claim.text, list(claim.evidence)) for claim in found] for key, found in claims.items()}


def reply_of(slots: dict[str, Sequence[tuple[str, list[str]]]]) -> str:
    return json.dumps({key: [{"text": text, "evidence": ids} for text, ids in claims] for key, claims in slots.items()})


def markdown_of(events: Sequence[AnswerEvent]) -> str:
    return "".join(event.markdown for event in events)


def claims_of(events: Sequence[AnswerEvent]) -> list[RenderedClaim]:
    claims: list[RenderedClaim] = []
    for event in events:
        if isinstance(event, SourceFit | SectionDone):
            claims += event.claims
        elif isinstance(event, ClaimAccepted | ClaimRepaired | ClaimMarked | SlotOpen):
            claims += [event.claim] if event.claim is not None else []
    return claims


def answer_of(events: Sequence[AnswerEvent]) -> cr.Answer:
    assert isinstance(events[-1], AnswerDone)
    return events[-1].answer


def check_invariants(events: Sequence[AnswerEvent], request: cr.AnswerRequest) -> cr.Answer:
    """What holds of every stream that came to its end."""
    answer = answer_of(events)
    assert markdown_of(events) == answer.markdown
    assert claims_of(events) == list(answer.claims)
    assert cr.validate(answer.markdown, request) == answer.report
    sections = [event.number for event in events if isinstance(event, SectionStarted | SectionDone)]
    assert sections == [1, 1, 2, 2, 3, 3]
    shown = ""
    for event in events:
        shown += event.markdown
        for claim in claims_of([event]):
            assert shown[claim.start : claim.end] == claim.text, "a claim is told with the text that it stands in"
    values = EventsJson(request)
    rendered = [values.render(event) for event in events]
    json.dumps(rendered)
    assert "".join(event["markdown"] for event in rendered) == answer.markdown
    return answer


@pytest.mark.parametrize("path", SEEDS, ids=lambda path: path.name)
def test_the_stream_of_own_sentences_is_the_whole_answer(path: Path) -> None:
    request = cr.AnswerRequest.from_prompt(path.read_text())
    answerer = cr.Answerer(cr.Settings())
    streamed = check_invariants(list(answerer.stream(request)), request)
    whole = answerer.answer(request)
    assert (streamed.markdown, streamed.ledger, streamed.report) == (whole.markdown, whole.ledger, whole.report)


@dataclass(frozen=True)
class Told:
    """A scripted way of one LLM: its draft, how it is cut into pieces and where it breaks off, and its repairs."""

    draft: str
    repairs: tuple[str, ...]
    piece_chars: int
    breaks: dict[str, int]


@st.composite
def scripts(draw: st.DrawFn, name: str, *, breaks: bool) -> Told:
    true = true_claims(name)
    keys = draw(st.permutations(sorted(true))) if draw(st.booleans()) else list(true)

    def slots() -> str:
        chosen: dict[str, list[tuple[str, list[str]]]] = {}
        for key in keys:
            pool = true[key] + [(lie, ids) for lie in LIES for ids in ([true[key][0][1][0]] if true[key] else [])]
            chosen[key] = draw(st.lists(st.sampled_from(pool), max_size=3)) if pool else []
        return reply_of(chosen)

    draft = slots()
    piece_chars = draw(st.integers(3, 60))
    n_pieces = -(-len(draft) // piece_chars)
    kind = draw(st.sampled_from(["drop_after", "end_after", "error_after"])) if breaks else ""
    return Told(
        draft=draft,
        repairs=tuple(slots() for _ in range(2)),
        piece_chars=piece_chars,
        breaks={kind: draw(st.integers(1, n_pieces))} if kind else {},
    )


def steps_of(told: Told) -> list[Any]:
    return [Stream(told.draft, piece_chars=told.piece_chars, **told.breaks), *told.repairs]


SLOW = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@SLOW
@given(told=scripts("003.txt", breaks=False), n_rounds=st.integers(0, 2))
def test_whatever_an_llm_drafts_only_what_passed_is_shown(told: Told, n_rounds: int) -> None:
    request = seed("003.txt")
    with ScriptedLLM(*steps_of(told)) as llm:
        events = list(cr.Answerer(settings_of(llm, repair_limit_calls=n_rounds)).stream(request))
    answer = check_invariants(events, request)
    assert answer.report.ok
    assert not any(mark in answer.markdown for mark in MARKS_OF_LIES)
    with ScriptedLLM(*steps_of(told)) as llm:
        whole = cr.Answerer(settings_of(llm, repair_limit_calls=n_rounds)).answer(request)
    assert (answer.markdown, answer.report, answer.notes) == (whole.markdown, whole.report, whole.notes)
    assert [(e.action, e.before, e.after) for e in answer.ledger] == [
        (e.action, e.before, e.after) for e in whole.ledger
    ]


@SLOW
@given(told=scripts("001.txt", breaks=True))
def test_a_stream_that_breaks_off_keeps_what_was_accepted_and_says_so(told: Told) -> None:
    request = seed("001.txt")
    with ScriptedLLM(*steps_of(told)) as llm:
        changes: dict[str, Any] = {"llm_max_retries": 0, "on_llm_failure": "extractive"}
        events = list(cr.Answerer(settings_of(llm, **changes)).stream(request))
    answer = check_invariants(events, request)
    assert answer.report.ok
    assert not any(mark in answer.markdown for mark in MARKS_OF_LIES)
    if told.breaks and answer.drafter == "extractive":
        assert any("The LLM failed" in note or "LLM" in note for note in answer.notes)


def paced(name: str = "003.txt", **how: Any) -> tuple[str, Stream]:
    """A draft of true claims for all slots, and its slow stream."""
    draft = reply_of(true_claims(name))
    return draft, Stream(draft, **how)


def pieces_until(draft: str, claim: int, piece_chars: int = 4) -> int:
    """Pieces of `draft` that hold its first claims up to number `claim`, counted from 1, and no more than one above."""
    end = -1
    for _ in range(claim):
        end = draft.index("}", end + 1)
    return -(-(end + 1) // piece_chars)


def test_a_claim_is_told_while_the_llm_still_writes() -> None:
    draft, _ = paced()
    hanging = Stream(draft, hang_after=pieces_until(draft, 1))
    with ScriptedLLM(hanging) as llm, closing(cr.Answerer(settings_of(llm)).stream(seed("003.txt"))) as events:
        told = []
        for event in events:
            told.append(event)
            if isinstance(event, ClaimAccepted):
                break
        assert llm.n_running == 1
        assert "When zooming to different sizes" in markdown_of(told)
        events.close()
        assert llm.gone.wait(2.0), "closing the stream ends the LLM's call"
    assert llm.n_gone == 1
    assert readers.n_open == 0


def test_closing_a_stream_on_asyncio_ends_the_call_and_leaves_no_task() -> None:
    draft, _ = paced()

    async def read(llm: ScriptedLLM) -> None:
        async with aclosing(cr.Answerer(settings_of(llm)).astream(seed("003.txt"))) as events:
            async for event in events:
                if isinstance(event, ClaimAccepted):
                    break
        await asyncio.sleep(0.05)  # the client's own generators are closed by the loop
        assert len(asyncio.all_tasks()) == 1

    with ScriptedLLM(Stream(draft, hang_after=pieces_until(draft, 1))) as llm:
        asyncio.run(read(llm))
        assert llm.gone.wait(2.0)


def test_cancelling_a_reader_ends_the_call() -> None:
    draft, _ = paced()

    async def read(llm: ScriptedLLM) -> None:
        first = asyncio.Event()

        async def read_all() -> None:
            async with aclosing(cr.Answerer(settings_of(llm)).astream(seed("003.txt"))) as events:
                async for event in events:
                    if isinstance(event, ClaimAccepted):
                        first.set()

        reading = asyncio.create_task(read_all())
        await first.wait()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading

    with ScriptedLLM(Stream(draft, hang_after=pieces_until(draft, 1))) as llm:
        asyncio.run(read(llm))
        assert llm.gone.wait(2.0)


@pytest.mark.parametrize("kind", ["a scope of anyio's", "cancelled twice"])
@pytest.mark.parametrize("after_s", [0.0, 0.02, 0.1])
def test_a_reader_that_is_cancelled_again_and_again_ends_the_call(kind: str, after_s: float) -> None:
    draft, _ = paced()

    async def read(llm: ScriptedLLM) -> None:
        async with aclosing(cr.Answerer(settings_of(llm)).astream(seed("003.txt"))) as events:
            async for _ in events:
                pass

    async def cancel(llm: ScriptedLLM) -> None:
        with anyio.move_on_after(after_s) as scope:
            if kind == "a scope of anyio's":
                await read(llm)
        if scope.cancelled_caught:
            return
        reading = asyncio.create_task(read(llm))
        for _ in range(3):
            await asyncio.sleep(after_s)
            reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading

    with ScriptedLLM(Stream(draft, pause_s=0.01)) as llm:
        asyncio.run(cancel(llm))
        deadline = time.monotonic() + 2.0
        while llm.n_running and time.monotonic() < deadline:
            time.sleep(0.02)
        assert llm.n_running == 0


@pytest.fixture
def heeded_interrupts() -> Iterator[None]:
    """SIGINT raises, also where a shell that runs the tests in its background had it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeded_interrupts")
def test_a_reader_that_is_interrupted_while_it_waits_sees_that_and_ends_the_call() -> None:
    draft, _ = paced()
    main = threading.main_thread().ident
    assert main is not None
    with ScriptedLLM(Stream(draft, hang_after=pieces_until(draft, 1))) as llm:
        events = cr.Answerer(settings_of(llm)).stream(seed("003.txt"))
        assert any(isinstance(event, ClaimAccepted) for event in events)
        interrupt = threading.Timer(0.2, signal.pthread_kill, (main, signal.SIGINT))
        interrupt.start()
        with pytest.raises(KeyboardInterrupt):
            list(events)
        interrupt.join()
        assert llm.gone.wait(2.0)


def test_streams_leave_no_thread_behind() -> None:
    answerer = cr.Answerer(cr.Settings())
    list(answerer.stream(seed("003.txt")))
    before = threading.active_count()
    for _ in range(5):
        with closing(answerer.stream(seed("003.txt"))) as events:
            next(events)
    assert threading.active_count() <= before


def test_a_stream_can_be_read_within_a_running_event_loop() -> None:
    async def read() -> list[AnswerEvent]:
        return list(cr.Answerer(cr.Settings()).stream(seed("003.txt")))

    check_invariants(asyncio.run(read()), seed("003.txt"))


@pytest.mark.parametrize("how", ["drop_after", "end_after", "error_after", "hang_after"])
def test_an_llm_that_dies_half_way_leaves_what_was_accepted_and_the_answer_says_so(how: str) -> None:
    draft, _ = paced()
    n_claims = sum(map(len, true_claims("003.txt").values()))
    dying = Stream(draft, **{how: pieces_until(draft, n_claims - 1) + 1})
    with ScriptedLLM(dying, Status(500)) as llm:
        answerer = cr.Answerer(settings_of(llm, llm_timeout_s=1.5, llm_max_retries=0))
        events = list(answerer.stream(seed("003.txt")))
    answer = check_invariants(events, seed("003.txt"))
    assert answer.drafter == "scripted"
    accepted = [event.claim.text for event in events if isinstance(event, ClaimAccepted)]
    assert len(accepted) == n_claims - 1
    assert "The reply of the LLM broke off" in answer.markdown
    assert answer.usage.calls == 1


def test_a_slot_that_the_reply_did_not_reach_says_so() -> None:
    draft, _ = paced()
    with ScriptedLLM(Stream(draft, drop_after=pieces_until(draft, 1) + 1)) as llm:
        answer = answer_of(list(cr.Answerer(settings_of(llm)).stream(seed("003.txt"))))
    assert "The answer ended before it came to this paper." in answer.markdown


def test_later_claims_wait_for_the_repair_of_an_earlier_one() -> None:
    true = true_claims("003.txt")
    papers = [key for key in true if key.endswith("_says")]
    first, second = papers[0], papers[1]
    lie = (LIES[0], true[first][0][1])
    draft = reply_of({"task": true["task"], first: [lie, true[first][0]], second: true[second]})
    with ScriptedLLM(
        Stream(draft), reply_of({first: [true[first][1]]}) if len(true[first]) > 1 else reply_of({})
    ) as llm:
        events = list(cr.Answerer(settings_of(llm)).stream(seed("003.txt")))
    check_invariants(events, seed("003.txt"))
    kinds = [type(event) for event in events if not isinstance(event, Progress | SectionDone | SectionStarted)]
    repairing = next(at for at, event in enumerate(events) if isinstance(event, Progress) and event.stage == "repair")
    before = [event for event in events[:repairing] if isinstance(event, ClaimAccepted)]
    assert {event.subject for event in before} == {"Q"}, "what comes after the rejected claim waits"
    assert ClaimRepaired in kinds or ClaimDropped in kinds


def test_a_repaired_claim_tells_what_it_was_and_why_it_was_rejected() -> None:
    true = true_claims("003.txt")
    key = next(key for key, claims in true.items() if key.endswith("_says") and len(claims) >= 2)
    good, better = true[key][:2]
    draft = reply_of({"task": true["task"], key: [good, (LIES[0], good[1])]})
    with ScriptedLLM(Stream(draft), reply_of({key: [better]})) as llm:
        events = list(cr.Answerer(settings_of(llm)).stream(seed("003.txt")))
    answer = check_invariants(events, seed("003.txt"))
    repaired = [event for event in events if isinstance(event, ClaimRepaired)]
    assert [(event.entry.before, event.entry.after) for event in repaired] == [(LIES[0], better[0])]
    assert repaired[0].entry.reason
    assert LIES[0] not in answer.markdown


def test_without_a_budget_for_repair_nothing_waits() -> None:
    true = true_claims("003.txt")
    key = next(key for key in true if key.endswith("_says"))
    draft = reply_of({"task": [(LIES[0], ["Q.1"]), *true["task"]], key: true[key]})
    n_claims = 1 + len(true["task"])
    with (
        ScriptedLLM(Stream(draft, hang_after=pieces_until(draft, n_claims) + 2)) as llm,
        closing(cr.Answerer(settings_of(llm, repair_limit_calls=0)).stream(seed("003.txt"))) as events,
    ):
        told = [event for event, _ in zip(events, range(6), strict=False)]
    assert any(isinstance(event, ClaimDropped) and event.entry.before == LIES[0] for event in told)
    assert any(isinstance(event, ClaimAccepted) and event.slot == "task" for event in told)


def test_a_claim_without_a_full_stop_stands_whatever_comes_after_it() -> None:
    paper = cr.RelatedPaper(title="Edges", summary="We sharpen images with a network. It was trained on photos.")
    request = cr.AnswerRequest(question="Sharpen images", papers=(paper,))
    draft = reply_of({"task": [("Sharpen images", ["Q.1"]), ('The paper says: "Sharpen images"', ["Q.1"])]})
    with ScriptedLLM(Stream(draft)) as llm:
        answerer = cr.Answerer(settings_of(llm, repair_limit_calls=0))
        streamed = check_invariants(list(answerer.stream(request)), request)
        whole = answerer.answer(request)
    assert "Sharpen images[^1]\n" in streamed.markdown
    assert (streamed.markdown, streamed.ledger) == (whole.markdown, whole.ledger)


def test_marked_claims_are_told_as_such() -> None:
    true = true_claims("003.txt")
    key = next(key for key in true if key.endswith("_says"))
    draft = reply_of({"task": true["task"], key: [*true[key], (LIES[0], true[key][0][1])]})
    with ScriptedLLM(Stream(draft)) as llm:
        changes: dict[str, Any] = {"on_untraceable": "mark", "repair_limit_calls": 0}
        events = list(cr.Answerer(settings_of(llm, **changes)).stream(seed("003.txt")))
    answer = answer_of(events)
    assert markdown_of(events) == answer.markdown
    marked = [event for event in events if isinstance(event, ClaimMarked)]
    assert [event.entry.before for event in marked] == [LIES[0]]
    assert marked[0].markdown.endswith("**[not traceable]**")
    assert not answer.report.ok


def test_untraceable_raises_after_what_passed_was_told() -> None:
    true = true_claims("003.txt")
    key = next(key for key in true if key.endswith("_says"))
    draft = reply_of({"task": true["task"], key: [(LIES[0], true[key][0][1])]})
    with ScriptedLLM(Stream(draft)) as llm:
        changes: dict[str, Any] = {"on_untraceable": "raise", "repair_limit_calls": 0}
        events = cr.Answerer(settings_of(llm, **changes)).stream(seed("003.txt"))
        told: list[AnswerEvent] = []
        with pytest.raises(cr.UntraceableError, match="removes all noise"):
            told.extend(events)
    assert "removes all noise" not in markdown_of(told)


class BrokenVerifier(cr.ClaimVerifier):
    """A verifier that fails as soon as it has to read something."""

    def __init__(self, error: cr.ServiceError) -> None:
        super().__init__()
        self._error = error

    def score(self, pairs: Sequence[Pair]) -> Any:
        raise self._error if pairs else AssertionError("nothing to read")


@pytest.mark.parametrize("on_llm_failure", ["raise", "extractive"])
@pytest.mark.parametrize("error", [cr.ServiceError("It is down."), BadDraftError("No judgement.", partial_text="{}")])
def test_a_judge_that_fails_while_the_reply_arrives_is_no_failure_of_the_drafter(
    error: cr.ServiceError, on_llm_failure: Any
) -> None:
    true = true_claims("003.txt")
    own_words = (
        "The paper upsamples the feature maps of vision encoders coherently and cheaply.",
        true["P1_says"][0][1],
    )
    draft = reply_of({"task": true["task"], "P1_says": [own_words], "P2_says": true["P2_says"]})
    with ScriptedLLM(Stream(draft, piece_chars=20)) as llm:
        chosen = settings_of(llm, on_llm_failure=on_llm_failure)
        answerer = cr.Answerer(chosen, verifier=BrokenVerifier(error))
        with pytest.raises(cr.ServiceError) as raised:
            list(answerer.stream(seed("003.txt")))
        assert raised.value is error
        with pytest.raises(cr.ServiceError) as raised:
            answerer.answer(seed("003.txt"))
        assert raised.value is error


@pytest.mark.parametrize(
    "failure",
    [Status(500), Status(401, "bad key"), Say(None, refusal="I cannot."), Body(b"<html>", content_type="text/html")],
)
def test_a_failing_llm_raises_ours_or_is_replaced(failure: Any) -> None:
    with ScriptedLLM(failure) as llm:
        with pytest.raises(cr.ServiceError) as raised:
            list(cr.Answerer(settings_of(llm, llm_max_retries=0)).stream(seed("003.txt")))
        assert raised.value.usage.calls >= 1
        assert raised.value.__context__ is None or isinstance(raised.value.__context__, cr.CnapsRagError)
        changes: dict[str, Any] = {"llm_max_retries": 0, "on_llm_failure": "extractive"}
        events = list(cr.Answerer(settings_of(llm, **changes)).stream(seed("003.txt")))
    answer = check_invariants(events, seed("003.txt"))
    assert answer.drafter == "extractive"
    assert answer.notes


def chunk(content: str | None, finish_reason: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": {"content": content}, "finish_reason": finish_reason}
    return b"data: %b\n\n" % json.dumps({"choices": [choice], **more}).encode()


def sent(*chunks: bytes, **more: Any) -> Body:
    return Body(b"".join(chunks), content_type="text/event-stream", **more)


FAULTY = {
    "no UTF-8": b"data: \xff\n\n",
    "no JSON": b"data: {\n\n",
    "nested": b"data: %b\n\n" % (b"[" * 200_000),
    "no text": chunk(7),  # type: ignore[arg-type]
    "no count": chunk(" ", usage={"prompt_tokens": "many"}),
}


@pytest.mark.parametrize("faulty", FAULTY.values(), ids=FAULTY)
def test_a_chunk_that_cannot_be_read_ends_the_reply_and_loses_nothing_before(faulty: bytes) -> None:
    draft, _ = paced()
    first = draft.index("}") + 1
    with ScriptedLLM(sent(chunk(draft[:first]), faulty, chunk(draft[first:], "stop"))) as llm:
        events = list(cr.Answerer(settings_of(llm)).stream(seed("003.txt")))
    answer = check_invariants(events, seed("003.txt"))
    assert len([event for event in events if isinstance(event, ClaimAccepted)]) == 1
    assert "The reply of the LLM broke off" in answer.markdown
    with ScriptedLLM(sent(faulty)) as llm, pytest.raises(cr.ServiceError, match="cannot be read") as raised:
        list(cr.Answerer(settings_of(llm, llm_max_retries=0)).stream(seed("003.txt")))
    assert raised.value.__context__ is None


@pytest.mark.parametrize("step", [Body(b"no gzip", headers={"content-encoding": "gzip"}), Drop(in_body=True)])
def test_a_body_that_breaks_off_where_the_endpoint_does_not_stream_is_our_error(step: Any) -> None:
    with ScriptedLLM(step) as llm, pytest.raises(cr.ServiceError, match="dropped the connection") as raised:
        list(cr.Answerer(settings_of(llm, llm_max_retries=0)).stream(seed("003.txt")))
    assert raised.value.__context__ is None


def test_notes_of_proxies_and_halves_of_characters_between_chunks_change_nothing() -> None:
    draft = reply_of({**true_claims("003.txt"), "task": [("The user smiles \U0001f600.", ["Q.1"])]})
    before, after = json.dumps(json.loads(draft), ensure_ascii=False).split("\U0001f600")
    chunks = [chunk(f"{before}\ud83d"), b": ping\n\n", b'data: {"type": "ping"}\n\n', b"data: [1]\n\n"]
    with ScriptedLLM(sent(*chunks, chunk(f"\ude00{after}\ud83d", "stop"))) as llm:
        answer = answer_of(list(cr.Answerer(settings_of(llm, repair_limit_calls=0)).stream(seed("003.txt"))))
    assert "The user smiles \U0001f600." in [entry.before for entry in answer.ledger]
    assert answer.drafter == "scripted"


def test_an_endpoint_that_does_not_stream_is_read_all_the_same() -> None:
    draft, _ = paced()
    with ScriptedLLM(Body(Say(draft).body())) as llm:
        events = list(cr.Answerer(settings_of(llm)).stream(seed("003.txt")))
    answer = check_invariants(events, seed("003.txt"))
    assert (answer.drafter, answer.usage.completion_tokens) == ("scripted", 10)


@pytest.mark.parametrize("refused", ["stream_options", "stream"])
def test_an_endpoint_that_refuses_to_stream_is_asked_for_less(refused: str) -> None:
    draft, _ = paced()

    def step(request: dict[str, Any]) -> Any:
        return Status(400, f"Unknown parameter: '{refused}'.", param=refused) if refused in request else Say(draft)

    with ScriptedLLM(step) as llm:
        events = list(cr.Answerer(settings_of(llm)).stream(seed("003.txt")))
        answer = check_invariants(events, seed("003.txt"))
        assert refused not in llm.requests[-1].json
    assert answer.drafter == "scripted"


def test_a_reply_without_json_is_asked_for_in_a_weaker_way_and_begins_anew() -> None:
    draft, _ = paced()
    with ScriptedLLM("I would rather talk about it.", Stream(f"Here it is:\n```json\n{draft}\n```")) as llm:
        events = list(cr.Answerer(settings_of(llm)).stream(seed("003.txt")))
        formats = [request.json.get("response_format", {}).get("type") for request in llm.requests]
    assert check_invariants(events, seed("003.txt")).drafter == "scripted"
    assert formats == ["json_schema", "json_object"]


def test_a_stream_is_recorded_and_given_again() -> None:
    draft, stream = paced()
    request = seed("003.txt")
    with ScriptedLLM(stream) as llm:
        chosen = settings_of(llm)
        recording = RecordingLLM(LLM(chosen), chosen)
        first = answer_of(list(cr.Answerer(chosen, llm=recording).stream(request)))
    kept: tuple[Exchange, ...] = recording.exchanges
    assert [exchange.text for exchange in kept] == [draft]
    again = list(cr.Answerer(chosen, llm=RecordedLLM(kept, chosen)).stream(request))
    assert check_invariants(again, request).markdown == first.markdown


def test_seconds_in_which_the_reader_is_slow_are_not_the_llm_s() -> None:
    _, stream = paced(piece_chars=40)
    with ScriptedLLM(stream) as llm:
        events: list[AnswerEvent] = []
        for event in cr.Answerer(settings_of(llm, llm_timeout_s=1.0)).stream(seed("003.txt")):
            events.append(event)
            time.sleep(0.1 if isinstance(event, ClaimAccepted) else 0)
    answer = check_invariants(events, seed("003.txt"))
    assert answer.drafter == "scripted"
    assert answer.usage.seconds < 1.0


# The reader of a draft


def drafts_while_reading(text: str, form: tuple[SlotForm, ...], cut: Callable[[str], list[str]]) -> list[Draft]:
    reader = DraftReader(form, "llm")
    found: list[Draft] = []
    for part in cut(text):
        if reader.feed(part) and reader.draft is not None:
            found.append(reader.draft)
    return found


@settings(deadline=None)
@given(st.lists(st.integers(1, 30), min_size=1), st.sampled_from(["", "Sure:\n```json\n", '{"a": 1} ']))
def test_reading_in_parts_gives_whole_claims_only_and_in_the_end_the_draft(sizes: list[int], before: str) -> None:
    request = seed("003.txt")
    form = form_of(request)
    text = before + reply_of(
        {
            key: [*claims, ('With "quotes", {braces}, [brackets] and \\ slashes }]', claims[0][1])]
            for key, claims in true_claims("003.txt").items()
            if claims
        }
    )

    def cut(whole: str) -> list[str]:
        parts, start = [], 0
        while start < len(whole):
            size = sizes[len(parts) % len(sizes)]
            parts.append(whole[start : start + size])
            start += size
        return parts

    whole = parse_draft(text, form, "llm")
    drafts = drafts_while_reading(text, form, cut)
    assert drafts[-1] == whole
    for draft, following in pairwise(drafts):
        for slot, later in zip(draft.slots, following.slots, strict=True):
            assert later.claims[: len(slot.claims)] == slot.claims
            assert slot.ended or later == slot


def test_a_slot_that_was_whole_stays_as_it_was_read() -> None:
    form = form_of(seed("003.txt"))
    reader = DraftReader(form, "llm")
    reader.feed('{"task": [{"text": "A.", "evidence": ["Q.1"]}], "M1_input": [')
    assert reader.draft is not None
    assert [claim.text for claim in reader.draft.slots[0].claims] == ["A."]
    closed = reader.close('{"task": [{"text": "B.", "evidence": ["Q.1"]}]}')
    assert [claim.text for claim in closed.slots[0].claims] == ["A."]


def form_of(request: cr.AnswerRequest) -> tuple[SlotForm, ...]:
    return cr.Answerer(cr.Settings()).draft_prompt(request).form


def test_events_are_told_in_their_order() -> None:
    events = list(cr.Answerer(cr.Settings()).stream(seed("003.txt")))
    kinds = [type(event) for event in events if not isinstance(event, Progress | ClaimDropped)]
    assert kinds[:2] == [SourceFit, SectionStarted]
    assert kinds[-2:] == [UsageTold, AnswerDone]
    assert [event.stage for event in events if isinstance(event, Progress)] == ["index", "draft", "check", "close"]
