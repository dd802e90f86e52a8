"""The text layout of a request, read line by line: every line is looked at once, so hostile text costs linear time."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from cnaps_rag.errors import RequestError
from cnaps_rag.sources import read_text

SectionName = Literal["models", "papers"]
EntryField = Literal["name", "paper", "github", "summary"]

MODELS_HEADING = "### Recommended AI Models:"
PAPERS_HEADING = "### Related Papers:"
QUESTION_LINE = "A user has asked the following question:"
ANSWER_LINE = "Answer:"

_QUOTATION_MARKS = "\"\" “” „“ „” ”“ ”” «» »« ‘’ '' ‹› 「」 『』 《》 〝〞 ＂＂"
QUOTE_PAIRS = tuple((marks[0], marks[1]) for marks in _QUOTATION_MARKS.split())
"""Opening and closing quotation marks that may stand around the question."""

# Bullets, numbers, heading and quotation marks before a name mean nothing. Possessive: hostile blanks stay linear.
_FLAGS = re.IGNORECASE | re.DOTALL
_DECORATION = r"\s*+(?:(?:[-+•‣▪◦·–—>]|\*(?=\s)|#{1,9}|\(?\d{1,3}[.)]|\[\d{1,3}\])\s*+){0,5}+(?P<open>[*_]{0,3}+)\s*+"
_COLON = r"\s*+(?P<mid>[*_]{0,3}+)\s*+:"
_FIELD = re.compile(
    _DECORATION + r"(?P<name>model|paper|git\s?hub|summary|description)" + _COLON + r"(?P<value>.*)",
    _FLAGS,
)
_UNKNOWN_FIELD = re.compile(_DECORATION + r"(?P<name>[^\W\d_][\w /()'-]{0,39}?)" + _COLON + r"(?=\s|[*_]|$)")
_HEADING = re.compile(
    _DECORATION + r"(?:(?P<models>recommended\s(?:ai\s)?models?)|(?P<papers>related\spapers?))[\s*_]*+:?[\s*_#]*+",
    re.IGNORECASE,
)
_ANSWER = re.compile(_DECORATION + r"answer[\s*_]*+:[\s*_]*+", re.IGNORECASE)
_ASKED = re.compile(r".{0,80}?\basked\b.{0,40}?\bquestion[\s*_]*+:(?:[*_]{1,3}+(?=\s|$))?(?P<value>.*)", _FLAGS)
_QUESTION = re.compile(r".{0,80}?\bquestion[\s*_]*+:(?:[*_]{1,3}+(?=\s|$))?(?P<value>.*)", _FLAGS)
_TASK = re.compile(r"\s*+[*_]{0,3}based\son\sthe\sfollowing\b", re.IGNORECASE)

_FIELD_BY_NAME: dict[str, EntryField] = {
    "model": "name",
    "paper": "paper",
    "github": "github",
    "summary": "summary",
    "description": "summary",
}


@dataclass(kw_only=True, slots=True)
class ReadEntry:
    """One entry with the raw text of its fields; `summary` is also a model's description."""

    line: int
    fields: dict[EntryField, str] = field(default_factory=dict[EntryField, str])


@dataclass(kw_only=True, slots=True)
class ReadPrompt:
    """What one text holds: raw values, not yet checked, and what in it could not be read."""

    question: str
    models: list[ReadEntry]
    papers: list[ReadEntry]
    warnings: list[str]


def read_prompt(text: str) -> ReadPrompt:
    """The question and all entries of a request's text.

    Raises:
        RequestError: where the text is no request; says the line, what stands there and what to write instead.
    """
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if not any(line.strip() for line in lines):
        raise RequestError("The text is empty.", remedy=f'Begin with "{QUESTION_LINE}" and the question.', line=1)
    question, after = _read_question(lines)
    end = _find_end(lines)
    reader = _SectionReader()
    for number in range(after, end):
        reader.read_line(number + 1, lines[number])
    reader.close_entry()
    if not reader.line_by_heading:
        raise _no_heading(lines, after)
    if not reader.entries["models"] and not reader.entries["papers"]:
        raise RequestError(
            "There is no source under this heading.",
            remedy='Begin each entry, model or paper, with a line "Model:" and its name or title.',
            line=min(reader.line_by_heading.values()),
        )
    if end == len(lines):
        reader.warnings.append(f'The text does not end with "{ANSWER_LINE}": it may have been cut off.')
    return ReadPrompt(question=question, warnings=reader.warnings, **reader.entries)


def imitated_fields(text: str) -> set[EntryField]:
    """Fields that lines of a summary, from its second on, look like."""
    matches = (_FIELD.fullmatch(line) for line in text.split("\n")[1:])
    return {_FIELD_BY_NAME["".join(match["name"].lower().split())] for match in matches if match}


def unquote(text: str) -> str:
    """`text` without the one pair of quotation marks around the whole of it, if it has one."""
    for opening, closing in QUOTE_PAIRS:
        if len(text) > 1 and text[0] == opening and text[-1] == closing and _is_one_pair(text, opening, closing):
            return text[1:-1].strip()
    return text


def _is_one_pair(text: str, opening: str, closing: str) -> bool:
    """Whether the first and the last mark belong together: `"sharp" or "crisp"` is no quotation of the whole."""
    marks = [
        position
        for position in range(1, len(text) - 1)
        if text[position] in (opening, closing)
        and not (text[position - 1].isalnum() and text[position + 1].isalnum())  # an apostrophe
    ]
    if opening == closing:
        before_first = text[marks[0] - 1] if marks else opening
        return (
            len(marks) % 2 == 1
            or before_first.isspace()
            or not (before_first.isalnum() or before_first in ".,;:!?…)%]")
        )
    depth = 1
    for position in marks:
        depth += 1 if text[position] == opening else -1
        if depth == 0:
            return False
    return True


def _read_question(lines: list[str]) -> tuple[str, int]:
    """The question, and the index of the first line after it."""
    first_heading = next((index for index, line in enumerate(lines) if _HEADING.fullmatch(line)), len(lines))
    leads = (
        (index, match)
        for pattern in (_ASKED, _QUESTION)
        for index, line in enumerate(lines[:first_heading])
        if (match := pattern.fullmatch(line))
    )
    index, match = next(leads, (None, None))
    if index is None or match is None:
        raise _no_question(lines, first_heading)
    body = [match["value"], *lines[index + 1 :]]
    length = _question_length(body)
    question = read_text("\n".join(body[:length]))
    question = read_text(unquote(question)) if question is not None else None
    if question is None:
        raise RequestError(
            "The question is empty.", remedy="Write the question, in quotation marks, below this line.", line=index + 1
        )
    return question, index + length


def _question_length(body: list[str]) -> int:
    """Number of lines that the question takes: up to the task line or a heading, outside its quotation marks."""
    opening = next((line.strip()[0] for line in body if line.strip()), "")
    closings = tuple(pair[1] for pair in QUOTE_PAIRS if pair[0] == opening)
    first, last_text = len(body), ""
    for index, line in enumerate(body):
        is_task = _TASK.match(line) is not None
        if index > 0 and (is_task or (first == len(body) and _HEADING.fullmatch(line))):
            # A quoted question may hold such lines itself: then the one after its closing mark ends it.
            if not closings or (last_text.endswith(closings) and len(last_text) > 1):
                return index
            first = min(first, index)
        last_text = line.strip() or last_text
    return first


def _find_end(lines: list[str]) -> int:
    last = max(index for index, line in enumerate(lines) if line.strip())
    return last if _ANSWER.fullmatch(lines[last]) else len(lines)


class _SectionReader:
    """Reads the lines after the question, one by one."""

    def __init__(self) -> None:
        self.entries: dict[SectionName, list[ReadEntry]] = {"models": [], "papers": []}
        self.line_by_heading: dict[SectionName, int] = {}
        self.warnings: list[str] = []
        self._section: SectionName | None = None
        self._entry: ReadEntry | None = None
        self._summary: list[str] | None = None  # the open summary's lines
        self._summary_emphasis = ""  # what still closes a line such as "**Summary: ...**"
        self._stray_was_told = False
        self._unknown_heading: tuple[int, str] | None = None

    def read_line(self, number: int, line: str) -> None:
        if self._starts_section(number, line):
            return
        match = _FIELD.fullmatch(line)
        if match and (not match["mid"] or match["mid"] == match["open"]):
            name = _FIELD_BY_NAME["".join(match["name"].lower().split())]
            if self._summary is None or name == "name" or self._ends_summary(name):
                self._read_field(number, name, match)
                return
        if self._summary is not None:
            self._summary.append(line)
        elif line.strip() and self._section is not None:
            self._warn_of_stray(number, line)
        elif line.lstrip().startswith("#"):
            self._unknown_heading = (number, line)

    def close_entry(self) -> None:
        """Ends the open summary, if any; what follows belongs to no field until one starts."""
        if self._summary is not None and self._entry is not None:
            text = "\n".join(self._summary)
            self._entry.fields["summary"] = _without_closing(text, self._summary_emphasis)
        self._summary = None

    def _starts_section(self, number: int, line: str) -> bool:
        match = _HEADING.fullmatch(line)
        section: SectionName = "models" if match and match["models"] else "papers"
        if match is None or section in self.line_by_heading:
            return False
        self.close_entry()
        self.line_by_heading[section] = number
        self._section, self._entry, self._stray_was_told = section, None, False
        return True

    def _ends_summary(self, name: EntryField) -> bool:
        return name in ("paper", "github") and self._entry is not None and name not in self._entry.fields

    def _read_field(self, number: int, name: EntryField, match: re.Match[str]) -> None:
        value, emphasis = _value_after(match)
        if name == "name":
            self._open_entry(number, _without_closing(value, emphasis))
            return
        if self._entry is None:
            if self._section is not None:
                raise _no_name(number, match["name"])
            return
        if name in self._entry.fields:
            self.warnings.append(f'line {number}: "{match["name"]}" is given twice in this entry; the first was read.')
            return
        self.close_entry()
        self._entry.fields[name] = _without_closing(value, emphasis)
        if name == "summary":
            self._summary, self._summary_emphasis = [value], emphasis

    def _open_entry(self, number: int, name: str) -> None:
        if self._section is None:
            raise self._before_heading(number, name)
        if read_text(name) is None:
            raise RequestError("This entry has no name.", remedy='Write the name or title after "Model:".', line=number)
        self.close_entry()
        self._entry, self._stray_was_told = ReadEntry(line=number, fields={"name": name}), False
        self.entries[self._section].append(self._entry)

    def _before_heading(self, number: int, name: str) -> RequestError:
        if self._unknown_heading is not None:
            return _unknown_heading(*self._unknown_heading)
        return RequestError(
            f'The entry "{shorten(name)}" stands before any section heading.',
            remedy=f'Put "{MODELS_HEADING}" or "{PAPERS_HEADING}" on a line above it.',
            line=number,
        )

    def _warn_of_stray(self, number: int, line: str) -> None:
        match = _UNKNOWN_FIELD.match(line)
        if match and self._entry is None:
            raise _no_name(number, match["name"])
        if match:
            self.warnings.append(f'line {number}: the field "{match["name"].strip()}" is not known and was not read.')
        elif not self._stray_was_told and read_text(line) is not None:
            self.warnings.append(f'line {number}: "{shorten(line)}" belongs to no field and was not read.')
            self._stray_was_told = True


def _value_after(match: re.Match[str]) -> tuple[str, str]:
    """A field's value, and the emphasis that its line opened before the name and has not closed yet."""
    value, emphasis = match["value"], match["open"]
    if not emphasis or match["mid"]:
        return value, ""
    if value.lstrip().startswith(emphasis):
        return value.lstrip().removeprefix(emphasis), ""
    return value, emphasis


def _without_closing(value: str, emphasis: str) -> str:
    return value.rstrip().removesuffix(emphasis) if emphasis else value


def shorten(text: str, limit: int = 60) -> str:
    """`text` for a message: on one line, not long, and with nothing in it that a terminal would obey."""
    text = " ".join(text[: 4 * limit].split())
    text = text if len(text) <= limit else text[: limit - 1] + "…"
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def _first_text(lines: list[str]) -> tuple[int, str]:
    return next((number, shorten(line)) for number, line in enumerate(lines, 1) if line.strip())


def _no_question(lines: list[str], first_heading: int) -> RequestError:
    number, text = _first_text(lines)
    if first_heading < len(lines):
        finding = "The request has no question."
        number = first_heading + 1
    elif any(character in "\0\ufffd" for line in lines for character in line):
        finding = "This is no UTF-8 text: it holds NUL or replacement characters."
        return RequestError(finding, remedy="Save the request as UTF-8 text.", line=number)
    else:
        finding = f'This is no request: it begins with "{text}" and has neither a question nor a section heading.'
    return RequestError(
        finding, remedy=f'Put "{QUESTION_LINE}" above the first heading and the question below it.', line=number
    )


def _no_heading(lines: list[str], after: int) -> RequestError:
    hashed = next((index for index in range(after, len(lines)) if lines[index].lstrip().startswith("#")), None)
    if hashed is not None:
        return _unknown_heading(hashed + 1, lines[hashed])
    return RequestError(
        "The text ends before any section of models or papers.",
        remedy=f'List the sources under "{MODELS_HEADING}" and "{PAPERS_HEADING}", in these words.',
        line=len(lines),
    )


def _unknown_heading(number: int, line: str) -> RequestError:
    return RequestError(
        f'"{shorten(line)}" is no known section heading.',
        remedy=f'List the sources under "{MODELS_HEADING}" and "{PAPERS_HEADING}", in these words.',
        line=number,
    )


def _no_name(number: int, name: str) -> RequestError:
    return RequestError(
        f'"{shorten(name)}:" stands before the first entry of its section.',
        remedy='Begin each entry, model or paper, with a line "Model:" and its name or title.',
        line=number,
    )
