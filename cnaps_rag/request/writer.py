"""A request as text in the layout that `reader` reads; what stands around the values is in ``layout.txt``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from string import Template

from cnaps_rag.request.reader import MODELS_HEADING, PAPERS_HEADING, QUOTE_PAIRS, imitated_fields
from cnaps_rag.sources import RecommendedModel, RelatedPaper

QUOTED_FORMS = (*(f"{opening}{{}}{closing}" for opening, closing in QUOTE_PAIRS), "{}")
"""Ways to write a question down; the first that reads back as it was is taken."""


def write_prompt(
    question: str,
    models: Sequence[RecommendedModel],
    papers: Sequence[RelatedPaper],
    *,
    quoted_form: str = QUOTED_FORMS[0],
    papers_first: bool = False,
) -> str:
    """The request's text. It reads back as it was only where no value imitates the layout: the caller checks."""
    model_entries = [_write_entry(m.name, m.paper, m.github, "Description", m.description) for m in models]
    paper_entries = [_write_entry(p.title, p.paper, p.github, "Summary", p.summary) for p in papers]
    sections = [
        "\n".join([MODELS_HEADING, "\n".join(model_entries)]),
        "\n".join([PAPERS_HEADING, "\n".join(paper_entries)]),
    ]
    if papers_first:
        sections.reverse()
    return _layout().substitute(question=quoted_form.replace("{}", question, 1), sections="\n".join(sections))


def _write_entry(name: str, paper: str | None, github: str | None, label: str, text: str | None) -> str:
    lines = [f"Model: {name}"]
    imitated = imitated_fields(text or "")
    for field, link in (("Paper", paper), ("GitHub", github)):
        # A missing link is written out only where a line of the text would otherwise be taken for it.
        if link is not None or field.lower() in imitated:
            lines.append(f"{field}: {'N/A' if link is None else link}")
    if text is not None:
        lines.append(f"{label}: {text}")
    return "\n".join(lines) + "\n"


@cache
def _layout() -> Template:
    return Template(files("cnaps_rag.request").joinpath("layout.txt").read_text(encoding="utf-8"))
