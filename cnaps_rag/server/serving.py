"""Runs the server: refuses unsafe settings, starts the workers, lets running answers finish when it is told to stop."""

from __future__ import annotations

import ipaddress
import logging.config
import math
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import uvicorn
from pydantic import BaseModel, SecretStr
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from cnaps_rag.errors import CnapsRagError, RequestError, ServiceError
from cnaps_rag.server.keys import KeyRing
from cnaps_rag.server.logs import log_config, logger
from cnaps_rag.server.redis_server import redis_pool
from cnaps_rag.server.settings import ServerSettings
from cnaps_rag.server.telemetry import exporter_name
from cnaps_rag.settings import Settings

if TYPE_CHECKING:
    from fastapi import FastAPI

_MULTIPROCESS_DIR: Final = "PROMETHEUS_MULTIPROC_DIR"  # as in `metrics`, which must not be imported before it is set
_BACKLOG: Final = 2_048  # connections that wait to be accepted; uvicorn's own default
_WORKER_SILENCE_S: Final = 10  # then a worker is replaced; 5 are short under load, and so long SIGTERM may have to wait
_KEEP_ALIVE_S: Final = 75  # longer than the 60 s after which common proxies let go of an idle connection


def serve(settings: Settings, server: ServerSettings) -> None:
    """Answers over HTTP until told to stop by SIGTERM or SIGINT; returns when the running answers are done.

    Raises:
        RequestError: the settings are unsafe or unusable: no key file beyond loopback, an address that is taken.
        ServiceError: the workers could not start; the log says why.
    """
    _refuse_unsafe(server)
    listener = _listen(server)
    _export(Settings.model_config.get("env_prefix", ""), settings)
    _export(ServerSettings.model_config.get("env_prefix", ""), server)
    logging_config = log_config(server.log_style)
    logging.config.dictConfig(logging_config)
    print(f"cnaps-rag answers at {_address(listener, server.host)}", file=sys.stderr, flush=True)  # noqa: T201
    config = uvicorn.Config(
        "cnaps_rag.server.serving:worker_app",
        factory=True,
        workers=server.workers,
        log_config=logging_config,
        # What is tested is what runs, whatever else is installed: h11 bounds the headers, and no socket is upgraded.
        http="h11",
        ws="none",
        access_log=False,
        server_header=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=math.ceil(server.shutdown_s),
        timeout_worker_healthcheck=_WORKER_SILENCE_S,
    )
    signal.signal(signal.SIGTERM, _end)
    with _shared_metrics(server.workers), listener:
        _run(config, listener)


def worker_app() -> FastAPI:
    """The app of one worker, by the settings of the environment; ends the worker where there can be none."""
    from cnaps_rag.server.app import make_app

    try:
        return make_app()
    except (CnapsRagError, ValueError, OSError) as error:
        logger.error("app_not_made", reason=str(error), exc_info=error)
        # With this status uvicorn stops as a whole, where any other has it start the worker again for ever.
        sys.exit(STARTUP_FAILURE)


class _Workers(Multiprocess):
    """uvicorn's supervisor, which also lets go of the address when it stops: new clients are then refused at once."""

    def terminate_all(self) -> None:
        for listener in self.sockets:
            listener.close()
        super().terminate_all()


def _run(config: uvicorn.Config, listener: socket.socket) -> None:
    if config.workers > 1:
        workers = _Workers(config, sockets=[listener])
        workers.run()
        has_started = all(worker.exitcode != STARTUP_FAILURE for worker in workers.processes)
    else:
        server = uvicorn.Server(config)
        with suppress(KeyboardInterrupt):  # uvicorn raises it again when all is done
            server.run(sockets=[listener])
        has_started = server.started
    if not has_started:
        raise ServiceError("The server could not start; the log says why.")


def _end(_number: int, _frame: object) -> NoReturn:
    """SIGTERM before uvicorn listens to it, and again when it has ended in order: then this is success."""
    sys.exit(0)


def _refuse_unsafe(server: ServerSettings) -> None:
    """Raises here what each worker would raise, where one line is enough to tell it."""
    KeyRing(server.keys_file)
    if server.redis_url is not None:
        redis_pool(server.redis_url.get_secret_value())
    exporter_name()
    if server.keys_file is None and not _is_loopback(server.host):
        raise RequestError(
            f"{server.host} can be reached from other machines, and no key file is set.",
            remedy="Make a key (cnaps-rag keys new NAME --file FILE) and give --keys FILE, or listen on 127.0.0.1.",
        )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _listen(server: ServerSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in server.host else socket.AF_INET
    try:
        listener = socket.create_server((server.host, server.port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise RequestError(
            f"{server.host} port {server.port} cannot be listened on: {error.strerror}.",
            remedy="Choose another --port (0 takes a free one) or --host.",
        ) from None
    listener.set_inheritable(True)
    return listener


def _address(listener: socket.socket, host: str) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{listener.getsockname()[1]}"


def _export(prefix: str, settings: BaseModel) -> None:
    """Puts what was given by hand into the environment, where workers read it."""
    fields = type(settings).model_fields
    for name in settings.model_fields_set:
        alias = fields[name].validation_alias
        variable = name.upper() if alias is not None else f"{prefix}{name}".upper()
        text = _as_text(getattr(settings, name))
        if text is None:
            os.environ.pop(variable, None)
        else:
            os.environ[variable] = text


def _as_text(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, tuple | Mapping):
        import json

        from pydantic_core import to_jsonable_python

        return json.dumps(to_jsonable_python(value))
    return str(value)


@contextmanager
def _shared_metrics(n_workers: int) -> Generator[None]:
    """A folder for the counts of several workers, gone at the end."""
    if n_workers == 1:
        os.environ.pop(_MULTIPROCESS_DIR, None)
        yield
        return
    folder = Path(tempfile.mkdtemp(prefix="cnaps-rag-metrics-"))
    os.environ[_MULTIPROCESS_DIR] = str(folder)
    try:
        yield
    finally:
        del os.environ[_MULTIPROCESS_DIR]
        shutil.rmtree(folder, ignore_errors=True)
