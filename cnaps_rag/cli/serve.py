"""`serve` and `keys`: answers over HTTP, and who may ask for them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cnaps_rag.cli.console import EPILOG, errors_told, json_text, note, print_result, read_settings
from cnaps_rag.errors import RequestError

if TYPE_CHECKING:
    from cnaps_rag.server.settings import ServerSettings

_file_option = click.option(
    "--file",
    metavar="FILE",
    envvar="CNAPS_RAG_SERVER_KEYS_FILE",
    required=True,
    help="The key file; it holds hashes only. Environment: CNAPS_RAG_SERVER_KEYS_FILE.",
)


@click.command(epilog=EPILOG)
@click.option("--host", help="Address to listen on. Another than loopback needs --keys.  [default: 127.0.0.1]")
@click.option("--port", type=int, help="Port; 0 takes a free one and tells it.  [default: 8000]")
@click.option("--workers", type=int, help="Processes that answer, each with about 260 MB.  [default: 1]")
@click.option("--keys", "keys_file", metavar="FILE", help="Key file, made by `cnaps-rag keys new`.")
@click.option("--llm", metavar="NAME", help="LLM that drafts, asked at OPENAI_BASE_URL.")
@click.option("--drafter", type=click.Choice(["llm", "extractive"]), help="Overrides the choice that --llm makes.")
@click.option(
    "--on-llm-failure",
    type=click.Choice(["extractive", "raise"]),
    help="What is answered when the LLM fails: the sources' own sentences, or an error.  [default: extractive]",
)
@click.option(
    "--rate", "rate_per_minute", type=int, help="Requests a minute for each key; 0 sets no limit.  [default: 60]"
)
@click.option("--log", "log_style", type=click.Choice(["json", "console"]), help="Form of the log on standard error.")
def serve(
    *,
    host: str | None,
    port: int | None,
    workers: int | None,
    keys_file: str | None,
    rate_per_minute: int | None,
    log_style: str | None,
    **overrides: str | None,
) -> None:
    """Answer over HTTP: OpenAI-compatible chat, native endpoints, a page at /.

    Point any chat client at http://127.0.0.1:8000/v1 and send a request in the layout of data/requests/001.txt as the
    message. Without --llm the answer is made of the sources' own sentences, without any LLM.

    \b
    cnaps-rag serve
    OPENAI_BASE_URL=http://127.0.0.1:8080/v1 cnaps-rag serve --llm qwen2.5
    cnaps-rag keys new team-a --file keys.txt
    cnaps-rag serve --host 0.0.0.0 --keys keys.txt --workers 4
    curl -s http://127.0.0.1:8000/readyz

    Without a key file it listens on loopback only. With one, each call but /healthz, /readyz and the page sends
    `Authorization: Bearer KEY`. The key file is read again when it changes.

    \b
    Everything else is set by the environment; the most useful, with their defaults:
      CNAPS_RAG_SERVER_REDIS_URL        redis://HOST:6379/0, to share cache and rate limits
      CNAPS_RAG_SERVER_LIMIT_RUNNING    64 answers at once, per worker
      CNAPS_RAG_SERVER_LIMIT_WAITING    64 requests that wait for a place, then 429
      CNAPS_RAG_SERVER_LIMIT_REQUEST_S  300 seconds for one answer
      CNAPS_RAG_SERVER_LIMIT_BODY_BYTES 4000000 bytes of a request
      CNAPS_RAG_SERVER_SHUTDOWN_S       60 seconds to finish running answers on SIGTERM
      OTEL_EXPORTER_OTLP_ENDPOINT       where traces go; none are made without it

    SIGTERM (or Ctrl-C): no new requests, running answers are finished, then it ends. The log tells each request's
    route, status, seconds, key name and counts on standard error; never a question, a source's text or a key.
    """  # noqa: D301 - click knows the paragraph it must not wrap by the character, not by the backslash
    with errors_told():
        from cnaps_rag.server.serving import serve as run_server

        settings = read_settings(overrides)
        server = _read_server_settings(
            host=host,
            port=port,
            workers=workers,
            keys_file=keys_file,
            rate_per_minute=rate_per_minute,
            log_style=log_style,
        )
        run_server(settings, server)


@click.group(epilog=EPILOG)
def keys() -> None:
    """Make, list and revoke the keys of `serve`.

    Each key has a name, by which its requests are counted and logged. Changes hold at once, without a restart. To
    rotate: make a second key of the same name, hand it out, then revoke the old one by its id.

    \b
    cnaps-rag keys new team-a --file keys.txt
    cnaps-rag keys list --file keys.txt
    cnaps-rag keys revoke 5f3a9c01 --file keys.txt
    """  # noqa: D301 - as above


@keys.command(epilog=EPILOG)
@click.argument("name")
@_file_option
def new(name: str, *, file: str) -> None:
    """Make a key for NAME and print it, once: the file keeps its hash alone."""
    with errors_told():
        from cnaps_rag.server.keys import new_key

        key = new_key(name, Path(file))
    print_result(key)
    note(f"{name} may now use this key; its hash is in {file}, the key itself is shown only here")


@keys.command("list", epilog=EPILOG)
@_file_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of the table.")
def list_keys(*, file: str, as_json: bool) -> None:
    """List the keys in the file by id, name and day."""
    with errors_told():
        from cnaps_rag.server.keys import read_keys

        found = read_keys(Path(file))
    if as_json:
        print_result(json_text([{"id": key.key_id, "name": key.name, "made": key.made} for key in found]))
    else:
        print_result("\n".join(f"{key.key_id}  {key.made}  {key.name}" for key in found) or "no keys")


@keys.command(epilog=EPILOG)
@click.argument("name_or_id")
@_file_option
def revoke(name_or_id: str, *, file: str) -> None:
    """Revoke the key with this id, or all keys of this name."""
    with errors_told():
        from cnaps_rag.server.keys import revoke_keys

        revoked = revoke_keys(name_or_id, Path(file))
    note("revoked " + ", ".join(f"{key.key_id} ({key.name})" for key in revoked))


def _read_server_settings(**overrides: str | int | None) -> ServerSettings:
    """Settings of the environment with the options that were given.

    Raises:
        RequestError: one of them cannot be used; the message names it.
    """
    from pydantic import ValidationError
    from pydantic_settings import SettingsError

    from cnaps_rag.server.settings import ServerSettings

    given: dict[str, Any] = {name: value for name, value in overrides.items() if value is not None}
    try:
        return ServerSettings(**given)
    except SettingsError as error:
        name = re.sub(r'.*field "(\w+)".*', r"\1", str(error), flags=re.DOTALL)
        raise RequestError(
            f"the setting {name} is no JSON.", remedy=f"Change CNAPS_RAG_SERVER_{name.upper()}."
        ) from None
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        raise RequestError(
            f"the setting {name} is not usable: {first['msg']}.",
            remedy=f"Change CNAPS_RAG_SERVER_{name.upper()} or the option.",
        ) from None
