"""`answer` and `validate`: an answer to one request, and the checks on any text."""

from __future__ import annotations

import json
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import click

from cnaps_rag.cli.console import (
    EPILOG,
    EXIT_CHECK_FAILED,
    errors_told,
    fail,
    json_text,
    note,
    print_part,
    print_result,
    progress_lines,
    read_request,
    read_settings,
    read_text,
    replace_file,
    write_file,
)

if TYPE_CHECKING:
    from cnaps_rag.answer import Answer
    from cnaps_rag.pipeline import Answerer
    from cnaps_rag.request import AnswerRequest
    from cnaps_rag.settings import Settings


@click.command(epilog=EPILOG)
@click.argument("request_file", metavar="FILE|-")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON instead of Markdown.")
@click.option("--text", "as_text", is_flag=True, help="Print plain text instead of Markdown.")
@click.option(
    "--stream", "as_stream", is_flag=True, help="Print Markdown as it is made: each claim once it has passed."
)
@click.option("--html", "html_file", metavar="OUT", help="Also write one self-contained HTML page to OUT.")
@click.option("--proof", "proof_file", metavar="OUT", help="Also write a proof bundle to OUT, for `verify` and `diff`.")
@click.option("--llm", metavar="NAME", help="LLM that drafts; the default is CNAPS_RAG_LLM, else none.")
@click.option("--drafter", type=click.Choice(["llm", "extractive"]), help="Override who drafts.")
@click.option(
    "--on-untraceable",
    type=click.Choice(["drop", "raise", "mark"]),
    help="What to do with claims that fail all checks: drop them (default), fail with exit 1, or keep them marked.",
)
@click.option(
    "--on-llm-failure", type=click.Choice(["raise", "extractive"]), help="Fail (default) or go on without it."
)
@click.option("--verifier", metavar="NAME", help="Name or path of another claim verifier on this disk.")
@click.option("--llm-judge", is_flag=True, default=None, help="Ask the LLM about claims that the verifier leaves open.")
@click.option("--dry-run", is_flag=True, help="Print the messages an LLM would get, their tokens and estimated cost.")
def answer(
    request_file: str,
    *,
    as_json: bool,
    as_text: bool,
    as_stream: bool,
    html_file: str | None,
    proof_file: str | None,
    dry_run: bool,
    **overrides: str | bool | None,
) -> None:
    """Answer the request in FILE (the layout of data/requests/*.txt, or JSON), or on standard input as -."""
    if as_json + as_text + as_stream > 1:
        raise click.UsageError("--json, --text and --stream exclude each other: choose one.")
    with errors_told():
        settings = read_settings(overrides)
        request = read_request(request_file, settings)
        for warning in request.warnings:
            note(f"warning: {warning}")
        if dry_run:
            _print_prompt(request, settings)
            return
        answered, proof = _answer(request, settings, is_proved=proof_file is not None, is_streamed=as_stream)
    if not as_stream:
        print_result(json_text(answered.to_json()) if as_json else _body(answered, as_text))
    if html_file is not None:
        write_file(html_file, answered.html)
    if proof_file is not None:
        replace_file(proof_file, proof)
    if not answered.report.ok:
        fail("the answer holds claims that did not pass; they are marked in it", EXIT_CHECK_FAILED)


@click.command(epilog=EPILOG)
@click.argument("answer_file", metavar="ANSWER|-")
@click.option("--request", "request_file", required=True, metavar="FILE|-", help="The request that ANSWER answers.")
@click.option("--verifier", metavar="NAME", help="Name or path of another claim verifier on this disk.")
@click.option("--llm-judge", is_flag=True, default=None, help="Ask the LLM about claims that the verifier leaves open.")
@click.option("--llm", metavar="NAME", help="LLM that judges; the default is CNAPS_RAG_LLM.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole report as JSON.")
def validate(answer_file: str, request_file: str, *, as_json: bool, **overrides: str | bool | None) -> None:
    """Check any text of any LLM against the sources of a request: each link and each claim, with evidence."""
    if answer_file == request_file == "-":
        raise click.UsageError("only one of ANSWER and --request can be standard input.")
    with errors_told():
        from cnaps_rag.render.findings import render_findings
        from cnaps_rag.render.json import render_report_json
        from cnaps_rag.validation import validate as validate_text

        settings = read_settings(overrides)
        request = read_request(request_file, settings)
        text = read_text(answer_file)
        report = validate_text(text, request, settings=settings)
    if as_json:
        print_result(json_text(render_report_json(report, text, request)))
    else:
        print_result(render_findings(report, text))
    if not report.ok:
        sys.exit(EXIT_CHECK_FAILED)


def _answer(request: AnswerRequest, settings: Settings, *, is_proved: bool, is_streamed: bool) -> tuple[Answer, bytes]:
    """The answer, printed on the way where it `is_streamed`, and, where it is asked for, the bytes of its bundle."""
    from cnaps_rag.llm import LLM, RecordingLLM
    from cnaps_rag.pipeline import Answerer

    recording = RecordingLLM(LLM(settings), settings)
    answerer = Answerer(settings, llm=recording)
    answered = _printed(answerer, request) if is_streamed else answerer.answer(request, progress=progress_lines())
    if not is_proved:
        return answered, b""
    from cnaps_rag.proof import build_bundle, canonical_bytes

    return answered, canonical_bytes(build_bundle(answered, recording.exchanges, settings))


def _printed(answerer: Answerer, request: AnswerRequest) -> Answer:
    """The answer, its Markdown printed as it is made."""
    from cnaps_rag.pipeline.events import AnswerDone, ClaimDropped, Progress

    progress = progress_lines()
    with closing(answerer.stream(request)) as events:
        for event in events:
            if isinstance(event, Progress):
                progress(event.words)
            elif isinstance(event, ClaimDropped):
                note(f"left out: {event.entry.before!r}: {event.entry.reason}")
            print_part(event.markdown)
            if isinstance(event, AnswerDone):
                return event.answer
    raise AssertionError("a stream ends with the answer")


def _body(answered: Answer, as_text: bool) -> str:
    return (answered.text if as_text else answered.markdown).rstrip("\n")


def _print_prompt(request: AnswerRequest, settings: Settings) -> None:
    from cnaps_rag.llm import estimated_cost
    from cnaps_rag.pipeline import Answerer

    prompt = Answerer(settings).draft_prompt(request)
    for message in prompt.messages:
        print_result(f"--- {message['role']}\n{message['content']}")
    print_result(f"--- schema\n{json.dumps(prompt.schema, ensure_ascii=False)}")
    cost = estimated_cost(settings, prompt.n_tokens, settings.reply_limit_tokens)
    note(f"prompt: {prompt.n_tokens} tokens; reply: at most {settings.reply_limit_tokens} tokens")
    note("cost: no price is set for this LLM (CNAPS_RAG_LLM_PRICES)" if cost is None else f"cost: at most {cost:.6f}")
    if prompt.left_out:
        note(f"left out by rank, to fit the budget: {', '.join(prompt.left_out)}")
