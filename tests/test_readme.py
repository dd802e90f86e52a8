"""The README shows what the library does today."""

from __future__ import annotations

import re
from pathlib import Path

import cnaps_rag as cr

ROOT = Path(__file__).parents[1]


def test_first_example_is_what_make_answer_prints() -> None:
    readme = (ROOT / "README.md").read_text()
    makefile = (ROOT / "Makefile").read_text()
    request_file = re.findall(r"^REQUEST \?= (\S+)$", makefile, flags=re.MULTILINE)[0]
    assert request_file in readme
    request = cr.AnswerRequest.from_prompt((ROOT / request_file).read_text())
    assert cr.Answerer(cr.Settings(drafter="extractive")).answer(request).markdown.strip() in readme


def test_every_answer_shown_is_traceable() -> None:
    shown = re.findall(
        r"<!-- answer: (\S+) -->\n\n`{4}markdown\n(.*?)`{4}", (ROOT / "README.md").read_text(), re.DOTALL
    )
    assert len(shown) == 2
    for request_file, markdown in shown:
        assert cr.validate(markdown, cr.AnswerRequest.from_prompt((ROOT / request_file).read_text())).ok
