"""The command line: answers and checks on standard output, progress and notes on standard error."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from cnaps_rag.errors import CnapsRagError, RequestError, ServiceError, UntraceableError

if TYPE_CHECKING:
    from cnaps_rag.answer import Answer
    from cnaps_rag.request import AnswerRequest
    from cnaps_rag.settings import Settings

EXIT_CHECK_FAILED, EXIT_BAD_INPUT, EXIT_SERVICE_FAILED = 1, 2, 3

_EPILOG = """Exit status: 0 good (an honest abstention is good), 1 a check failed, 2 bad input or usage, 3 a service
failed. Results go to standard output, progress and notes to standard error."""


@click.group(epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(version("cnaps_rag"), package_name="cnaps_rag")
def main() -> None:
    """Answers from supplied AI models and papers, and from nothing else.

    Every link and every claim of an answer is tied to an exact place in the supplied sources. Without settings no LLM
    and no network is used; CNAPS_RAG_LLM (with OPENAI_BASE_URL and OPENAI_API_KEY) names an LLM that drafts.

    \b
    cnaps-rag answer data/requests/001.txt
    cnaps-rag answer data/requests/001.txt --html answer.html
    cnaps-rag validate answer.md --request data/requests/001.txt
    """  # noqa: D301 - click knows the paragraph it must not wrap by the character, not by the backslash


@main.command(epilog=_EPILOG)
@click.argument("request_file", metavar="FILE|-")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON instead of Markdown.")
@click.option("--text", "as_text", is_flag=True, help="Print plain text instead of Markdown.")
@click.option("--html", "html_file", metavar="OUT", help="Also write one self-contained HTML page to OUT.")
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
    html_file: str | None,
    dry_run: bool,
    **overrides: str | bool | None,
) -> None:
    """Answer the request in FILE (the layout of data/requests/*.txt, or JSON), or on standard input as -."""
    if as_json and as_text:
        raise click.UsageError("--json and --text exclude each other: choose one.")
    with _errors_told():
        settings = _settings(overrides)
        request = _read_request(request_file, settings)
        for warning in request.warnings:
            _note(f"warning: {warning}")
        if dry_run:
            _print_prompt(request, settings)
            return
        answered = _answer(request, settings)
    _print(_json(answered.to_json()) if as_json else _body(answered, as_text))
    if html_file is not None:
        _write(html_file, answered.html)
    if not answered.report.ok:
        _fail("the answer holds claims that did not pass; they are marked in it", EXIT_CHECK_FAILED)


@main.command(epilog=_EPILOG)
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
    with _errors_told():
        from cnaps_rag.render.findings import render_findings
        from cnaps_rag.render.json import render_report_json
        from cnaps_rag.validation import validate as validate_text

        settings = _settings(overrides)
        request = _read_request(request_file, settings)
        text = _read(answer_file)
        report = validate_text(text, request, settings=settings)
    if as_json:
        _print(_json(render_report_json(report, text, request)))
    else:
        _print(render_findings(report, text))
    if not report.ok:
        sys.exit(EXIT_CHECK_FAILED)


@main.command(epilog=_EPILOG)
@click.argument("request_files", metavar="REQUEST...", nargs=-1, required=True)
@click.option("--seed", default=0, show_default=True, help="Of every choice: the same seed makes the same mutations.")
@click.option("--limit-claims", type=click.IntRange(min=1), help="Most claims of each request; all without.")
@click.option("--verifier", metavar="NAME", help="Name or path of another claim verifier on this disk.")
@click.option("--list", "as_list", is_flag=True, help="Also list the faults that were accepted and the false alarms.")
@click.option("--json", "as_json", is_flag=True, help="Print every outcome as JSON instead of the table.")
def mutations(
    request_files: tuple[str, ...],
    *,
    seed: int,
    limit_claims: int | None,
    as_list: bool,
    as_json: bool,
    **overrides: str | None,
) -> None:
    """Test the validator: plant faults in what it accepts, edit it honestly, and count what it says of either.

    Each REQUEST is answered as `answer` would; the answer's claims and links and the sources' sentences are changed.
    """
    with _errors_told():
        from cnaps_rag.evaluation.mutations import render_list, render_table, report_values, run_mutations

        settings = _settings(overrides)
        requests = [_read_request(file, settings) for file in request_files]
        report = run_mutations(requests, seed=seed, settings=settings, limit_claims=limit_claims, progress=_progress())
    if as_json:
        _print(_json(report_values(report)))
    else:
        _print(render_table(report) + (f"\n\n{render_list(report)}" if as_list else ""))


def _answer(request: AnswerRequest, settings: Settings) -> Answer:
    from cnaps_rag.pipeline import Answerer

    return Answerer(settings).answer(request, progress=_progress())


def _body(answered: Answer, as_text: bool) -> str:
    return (answered.text if as_text else answered.markdown).rstrip("\n")


def _print_prompt(request: AnswerRequest, settings: Settings) -> None:
    from cnaps_rag.llm import estimated_cost
    from cnaps_rag.pipeline import Answerer

    prompt = Answerer(settings).draft_prompt(request)
    for message in prompt.messages:
        _print(f"--- {message['role']}\n{message['content']}")
    _print(f"--- schema\n{json.dumps(prompt.schema, ensure_ascii=False)}")
    cost = estimated_cost(settings, prompt.n_tokens, settings.reply_limit_tokens)
    _note(f"prompt: {prompt.n_tokens} tokens; reply: at most {settings.reply_limit_tokens} tokens")
    _note("cost: no price is set for this LLM (CNAPS_RAG_LLM_PRICES)" if cost is None else f"cost: at most {cost:.6f}")
    if prompt.left_out:
        _note(f"left out by rank, to fit the budget: {', '.join(prompt.left_out)}")


def _settings(overrides: Mapping[str, str | bool | None]) -> Settings:
    from pydantic import ValidationError
    from pydantic_settings import SettingsError

    from cnaps_rag.settings import Settings

    given: dict[str, Any] = {name: value for name, value in overrides.items() if value is not None}
    try:
        settings = Settings(**given)
    except SettingsError as error:
        name = re.sub(r'.*field "(\w+)".*', r"\1", str(error), flags=re.DOTALL)
        raise RequestError(f"the setting {name} is no JSON.", remedy=f"Change CNAPS_RAG_{name.upper()}.") from None
    except ValidationError as error:
        first = error.errors()[0]
        name = "_".join(str(part) for part in first["loc"])
        raise RequestError(
            f"the setting {name} is not usable: {first['msg']}.",
            remedy=f"Change CNAPS_RAG_{name.upper()} or the option.",
        ) from None
    if settings.drafter == "llm" and settings.llm is None:
        raise RequestError("no LLM is named that could draft.", remedy="Give --llm NAME, or set CNAPS_RAG_LLM.")
    if settings.llm_judge and settings.llm is None:
        raise RequestError("no LLM is named that could judge.", remedy="Give --llm NAME, or set CNAPS_RAG_LLM.")
    return settings


def _read_request(file: str, settings: Settings) -> AnswerRequest:
    from cnaps_rag.request import AnswerRequest

    text = _read(file)
    if text.lstrip("\ufeff \t\r\n").startswith("{"):
        return AnswerRequest.from_json(text, settings=settings)
    return AnswerRequest.from_prompt(text, settings=settings)


def _read(file: str) -> str:
    """Text of a file or of standard input (``-``), its line ends as they are."""
    try:
        raw = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        return raw.decode("utf-8")
    except OSError as error:
        raise RequestError(
            f"{file} cannot be read: {error.strerror}.",
            remedy="Give the path of a readable file, or - for standard input.",
        ) from None
    except UnicodeDecodeError as error:
        raise RequestError(
            f"{file} is not UTF-8: byte {error.start} is 0x{error.object[error.start]:02x}.", remedy="Save it as UTF-8."
        ) from None


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)


def _print(text: str) -> None:
    """Prints a result; a reader that stops early is left to click, which ends quietly."""
    try:
        click.echo(text)
    except BrokenPipeError:
        raise
    except OSError as error:
        # What is still buffered would fail again when Python ends, and hide our exit status behind its own.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        _fail(f"standard output cannot be written: {error.strerror}", EXIT_BAD_INPUT)


def _write(file: str, text: str) -> None:
    try:
        Path(file).write_text(text, encoding="utf-8")
    except OSError as error:
        _fail(f"{file} cannot be written: {error.strerror}", EXIT_BAD_INPUT)
    _note(f"wrote {file}")


@contextmanager
def _errors_told() -> Generator[None]:
    """Turns each of our errors into one line on standard error and its exit status."""
    try:
        yield
    except RequestError as error:
        _fail(str(error), EXIT_BAD_INPUT)
    except UntraceableError as error:
        _fail(str(error), EXIT_CHECK_FAILED)
    except ServiceError as error:
        _fail(str(error), EXIT_SERVICE_FAILED)
    except CnapsRagError as error:
        _fail(str(error), EXIT_CHECK_FAILED)
    except KeyboardInterrupt:
        _fail("interrupted; nothing was written", 130)


def _progress() -> Callable[[str], None]:
    """Progress lines, only where standard error is a terminal."""
    return (lambda step: _note(f"{step} …")) if sys.stderr.isatty() else (lambda _: None)


def _note(text: str) -> None:
    click.echo(text, err=True)


def _fail(text: str, status: int) -> NoReturn:
    click.echo(f"cnaps-rag: {text}", err=True)
    sys.exit(status)
