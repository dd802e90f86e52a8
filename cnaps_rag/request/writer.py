"""A request as text in the layout that `reader` reads."""

from __future__ import annotations

from collections.abc import Sequence

from cnaps_rag.request.reader import (
    ANSWER_LINE,
    MODELS_HEADING,
    PAPERS_HEADING,
    QUESTION_LINE,
    QUOTE_PAIRS,
    TASK_LINE,
    imitated_fields,
)
from cnaps_rag.sources import RecommendedModel, RelatedPaper

_TASK = f"""{TASK_LINE}

1. What task the user is trying to perform.
2. How the model(s) would work in a CNAPS AI-like workflow (input → model → output).
3. List relevant papers and tools (with GitHub or ArXiv links) that support your answer.

Use **only the provided models and papers**. Do not refer to outside sources.
"""
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
    sections = [f"{MODELS_HEADING}\n" + "\n".join(model_entries), f"{PAPERS_HEADING}\n" + "\n".join(paper_entries)]
    if papers_first:
        sections.reverse()
    quoted = quoted_form.replace("{}", question, 1)
    head = f"You are an AI scientist.\n\n{QUESTION_LINE}\n{quoted}\n\n{_TASK}"
    return "\n".join([head, *sections, "", ANSWER_LINE]) + "\n"


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
