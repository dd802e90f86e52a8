"""What may stand in for the LLM of a run: its recorded replies, or whole answers from outside."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from cnaps_rag.errors import RequestError
from cnaps_rag.evaluation.runs.store import Run, load_run
from cnaps_rag.llm import Exchange
from cnaps_rag.proof.bundle import given_settings
from cnaps_rag.settings import Settings

Key = tuple[str, int]
"""Case id, and which answer to it (from 0)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """What an LLM replied in a run: its calls by case and repeat, and the settings that they were made with."""

    settings: Settings
    exchanges: Mapping[Key, tuple[Exchange, ...]]


def load_session(path: str | Path) -> Session:
    """Recorded calls of a run's folder, or of a file that `save_session` wrote.

    Raises:
        RequestError: there are none.
    """
    path = Path(path)
    session = _of_run(load_run(path)) if path.is_dir() else _of_file(path)
    if not any(session.exchanges.values()):
        raise RequestError(f"{path} holds no reply of an LLM.", remedy="Replay a run that an LLM has drafted.")
    return session


def save_session(run: Run, path: str | Path) -> None:
    """Writes settings and calls of a run to a file, a line a case, small enough to be kept beside a suite."""
    rows: list[dict[str, Any]] = [{"settings": run.info.settings}]
    rows += [
        {
            "case": record.case,
            "repeat": record.repeat,
            "exchanges": [exchange.model_dump(mode="json") for exchange in record.exchanges],
        }
        for record in run.records
    ]
    text = "".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in rows)
    Path(path).write_text(text, encoding="utf-8")


def _of_run(run: Run) -> Session:
    exchanges = {record.key: record.exchanges for record in run.records}
    return Session(settings=given_settings(run.info.settings), exchanges=exchanges)


def _of_file(path: Path) -> Session:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(
            f"{path} cannot be read: {error}.", remedy="Give a run's folder or a session file."
        ) from None
    settings, exchanges = Settings(), dict[Key, tuple[Exchange, ...]]()
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            if number == 1:
                settings = given_settings(row["settings"])
            else:
                exchanges[row["case"], row["repeat"]] = tuple(map(Exchange.model_validate, row["exchanges"]))
        except (ValueError, KeyError, TypeError) as error:
            raise RequestError(
                f"{path}:{number} is no line of a recorded session: {error}.", remedy="Record it again with --record."
            ) from None
    return Session(settings=settings, exchanges=exchanges)


def load_answers(path: str | Path) -> dict[Key, str]:
    """Outside texts from a JSON Lines file: ``{"case": ..., "text": ...}``, and ``"repeat"`` where there are several.

    Raises:
        RequestError: a line is none; the message tells which.
    """
    answers: dict[Key, str] = {}
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"{path} cannot be read: {error}.", remedy="Give a JSON Lines file.") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = _OutsideAnswer.model_validate_json(line)
        except ValidationError:
            raise RequestError(
                f"{path}:{number} is no answer.", remedy='Write {"case": "ID", "text": "the whole answer"} a line.'
            ) from None
        if (row.case, row.repeat) in answers:
            raise RequestError(f"{path}:{number} answers {row.case} again.", remedy='Number its answers with "repeat".')
        answers[row.case, row.repeat] = row.text
    return answers


class _OutsideAnswer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    case: str
    text: str
    repeat: int = 0
