"""What may stand in for the LLM of a run: its recorded replies, or whole answers from outside."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from cnaps_rag.errors import RequestError
from cnaps_rag.evaluation.runs.store import Run, load_run
from cnaps_rag.llm import Exchange

Key = tuple[str, int]
"""Case id, and which answer to it (from 0)."""

Session = Mapping[Key, tuple[Exchange, ...]]
"""Recorded calls to the LLM, by case and repeat."""


def load_session(path: str | Path) -> Session:
    """Recorded calls of a run's folder, or of a file that `save_session` wrote.

    Raises:
        RequestError: there are none.
    """
    path = Path(path)
    if path.is_dir():
        return {record.key: record.exchanges for record in load_run(path).records}
    session: dict[Key, tuple[Exchange, ...]] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(
            f"{path} cannot be read: {error}.", remedy="Give a run's folder or a session file."
        ) from None
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            session[row["case"], row["repeat"]] = tuple(Exchange.model_validate(each) for each in row["exchanges"])
        except (ValueError, KeyError, TypeError) as error:
            raise RequestError(
                f"{path}:{number} is no line of a recorded session: {error}.", remedy="Record it again with --record."
            ) from None
    return session


def save_session(run: Run, path: str | Path) -> None:
    """Writes the calls of a run to a file of one line a case, small enough to be kept beside a suite."""
    rows = [
        {
            "case": record.case,
            "repeat": record.repeat,
            "exchanges": [e.model_dump(mode="json") for e in record.exchanges],
        }
        for record in run.records
    ]
    text = "".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in rows)
    Path(path).write_text(text, encoding="utf-8")


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
            row = json.loads(line)
            case, repeat, text = str(row["case"]), int(row.get("repeat", 0)), row["text"]
        except (ValueError, KeyError, TypeError, AttributeError):
            text = None
        if not isinstance(text, str):
            raise RequestError(
                f"{path}:{number} is no answer.", remedy='Write {"case": "ID", "text": "the whole answer"} a line.'
            )
        if (case, repeat) in answers:
            raise RequestError(f"{path}:{number} answers {case} again.", remedy='Number its answers with "repeat".')
        answers[case, repeat] = text
    return answers
