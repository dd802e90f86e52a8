"""A suite's file as plain values, with the file and line that each of them was read from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cnaps_rag.errors import RequestError

Loc = tuple[str | int, ...]
"""Keys and list places from the root of a value, as pydantic names the place of a fault."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A line of a file, counted from 1."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Read:
    """A value, and the places of its parts."""

    value: Any
    places: Mapping[Loc, Place]

    def place(self, loc: Loc) -> Place:
        """Where the part at `loc` stands, or the nearest part that holds it."""
        return next(self.places[loc[:end]] for end in range(len(loc), -1, -1) if loc[:end] in self.places)


def read_yaml(path: Path) -> Read:
    """The value of a YAML file.

    Raises:
        RequestError: it cannot be read or is no YAML; the message tells the line.
    """
    text = _text(path)
    try:
        root = yaml.compose(text, Loader=yaml.CSafeLoader)
        value = yaml.load(text, Loader=yaml.CSafeLoader)
    except yaml.MarkedYAMLError as error:
        line = (error.problem_mark.line + 1) if error.problem_mark is not None else 1
        raise RequestError(f"{path}:{line} is no YAML: {error.problem}.", remedy="Change this line.") from None
    except yaml.YAMLError as error:
        raise RequestError(f"{path} is no YAML: {error}.", remedy="Save it as UTF-8 text.") from None
    places = {(): Place(file=str(path), line=1)} | dict(_places(root, (), str(path)))
    return Read(value=value, places=places)


def read_lines(path: Path) -> Read:
    """A suite of one JSON object a line: each a case, or a first one with the suite's name, description and gate.

    Raises:
        RequestError: it cannot be read, or a line is no JSON object.
    """
    suite: dict[str, Any] = {"name": path.stem, "cases": []}
    places: dict[Loc, Place] = {(): Place(file=str(path), line=1)}
    for number, line in enumerate(_text(path).splitlines(), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError as error:
            raise RequestError(f"{path}:{number} is no JSON: {error}.", remedy="Change this line.") from None
        if not isinstance(value, dict):
            raise RequestError(f"{path}:{number} is no JSON object.", remedy="Write one case a line, as {...}.")
        if not suite["cases"] and "id" not in value:
            suite |= value
            continue
        places["cases", len(suite["cases"])] = Place(file=str(path), line=number)
        suite["cases"].append(value)
    return Read(value=suite, places=places)


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise RequestError(
            f"{path} cannot be read: {error.strerror}.", remedy="Give the path of a suite, YAML or JSON Lines."
        ) from None
    except UnicodeDecodeError as error:
        raise RequestError(f"{path} is not UTF-8 at byte {error.start}.", remedy="Save it as UTF-8.") from None


def _places(node: yaml.Node | None, loc: Loc, file: str) -> Iterator[tuple[Loc, Place]]:
    if node is None:
        return
    yield loc, Place(file=file, line=node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _places(value, (*loc, str(key.value)), file)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            yield from _places(value, (*loc, number), file)
