"""What all commands share: settings and files in, results out, our errors as one line and an exit status."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from cnaps_rag.errors import CnapsRagError, RequestError, ServiceError, UntraceableError

if TYPE_CHECKING:
    from cnaps_rag.request import AnswerRequest
    from cnaps_rag.settings import Settings

EXIT_CHECK_FAILED, EXIT_BAD_INPUT, EXIT_SERVICE_FAILED = 1, 2, 3

_SERVER_MODULES = (
    "fastapi",
    "limits",
    "opentelemetry",
    "prometheus_client",
    "redis",
    "sse_starlette",
    "starlette",
    "structlog",
    "uvicorn",
)
_EXTRA_BY_MODULE = {
    **dict.fromkeys(("junitparser", "matplotlib", "pydantic_evals", "rich", "scipy", "yaml"), "evals"),
    **dict.fromkeys(_SERVER_MODULES, "server"),
}
"""What a plain installation lacks, and the extra that brings it."""

EPILOG = """Exit status: 0 good (an honest abstention is good), 1 a check failed, 2 bad input or usage, 3 a service
failed. Results go to standard output, progress and notes to standard error."""


def read_settings(overrides: Mapping[str, str | bool | None]) -> Settings:
    """Settings of the environment with the options that were given.

    Raises:
        RequestError: one of them cannot be used; the message names it.
    """
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


def read_request(file: str, settings: Settings) -> AnswerRequest:
    """Request in a file or on standard input, in the text layout or as JSON."""
    from cnaps_rag.request import AnswerRequest

    return AnswerRequest.from_text(read_text(file), settings=settings)


def read_text(file: str) -> str:
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


def json_text(value: object) -> str:
    """`value` as JSON for people and programs: indented, its characters as they are."""
    return json.dumps(value, ensure_ascii=False, indent=2)


def print_result(text: str) -> None:
    """Prints a result; a reader that stops early is left to click, which ends quietly."""
    print_part(f"{text}\n")


def print_part(text: str) -> None:
    """Prints the next part of a result at once."""
    try:
        click.echo(text, nl=False)
    except BrokenPipeError:
        raise
    except OSError as error:
        # What is still buffered would fail again when Python ends, and hide our exit status behind its own.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        fail(f"standard output cannot be written: {error.strerror}", EXIT_BAD_INPUT)


def write_file(file: str, text: str) -> None:
    """Writes `text` to `file` and says so, or fails."""
    try:
        Path(file).write_text(text, encoding="utf-8")
    except OSError as error:
        fail(f"{file} cannot be written: {error.strerror}", EXIT_BAD_INPUT)
    note(f"wrote {file}")


def replace_file(file: str, raw: bytes) -> None:
    """Writes `raw` to `file` whole or not at all and says so, or fails; a device or a pipe is written to as it is."""
    path = Path(os.path.realpath(file))
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    is_plain = path.is_file() or not path.exists()
    try:
        (part if is_plain else path).write_bytes(raw)
        if is_plain:
            part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        fail(f"{file} cannot be written: {error.strerror}", EXIT_BAD_INPUT)
    note(f"wrote {file}")


@contextmanager
def errors_told() -> Generator[None]:
    """Turns each of our errors into one line on standard error and its exit status."""
    try:
        yield
    except RequestError as error:
        fail(str(error), EXIT_BAD_INPUT)
    except UntraceableError as error:
        fail(str(error), EXIT_CHECK_FAILED)
    except ServiceError as error:
        fail(str(error), EXIT_SERVICE_FAILED)
    except CnapsRagError as error:
        fail(str(error), EXIT_CHECK_FAILED)
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module not in _EXTRA_BY_MODULE:
            raise
        fail(f"this needs {module}: pip install 'cnaps_rag[{_EXTRA_BY_MODULE[module]}]'", EXIT_BAD_INPUT)
    except KeyboardInterrupt:
        fail("interrupted; nothing was written", 130)


def progress_lines() -> Callable[[str], None]:
    """Progress lines, only where standard error is a terminal."""
    return (lambda step: note(f"{step} …")) if sys.stderr.isatty() else (lambda _: None)


def note(text: str) -> None:
    """A line for the person who runs the command."""
    click.echo(text, err=True)


def fail(text: str, status: int) -> NoReturn:
    """Says what is wrong and ends."""
    click.echo(f"cnaps-rag: {text}", err=True)
    sys.exit(status)
