"""The answer: sections in which every link and claim has passed, and everything that shows how they did."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from cnaps_rag.fit import Fit
from cnaps_rag.llm import Usage
from cnaps_rag.render.html import render_html
from cnaps_rag.render.json import AnswerJson, render_json
from cnaps_rag.render.layout import AnswerBody
from cnaps_rag.render.markdown import RenderedClaim, RenderedMarkdown, render_markdown
from cnaps_rag.render.text import render_text
from cnaps_rag.report import AnswerSlot, Citation, Ledger, Report, Section
from cnaps_rag.request import AnswerRequest
from cnaps_rag.sources import QUESTION_ID


@dataclass(frozen=True, kw_only=True)  # no slots: the renderings are made once, when first asked for
class Answer:
    """A validated answer; only validation makes one, so the type is the proof.

    Attributes:
        body: what a reader sees, before any markup: every rendering is made from it.
        report: all findings on `markdown`. Not `Report.ok` only where ``on_untraceable="mark"`` kept a claim.
        ledger: what became of each drafted claim, round by round.
        usage: LLM calls, tokens, seconds and cost of the whole way.
        prompt_sha256: SHA-256 of the prompt that was sent for the draft; None where no LLM took part.
    """

    body: AnswerBody
    report: Report
    ledger: Ledger
    usage: Usage
    prompt_sha256: str | None = None

    @property
    def request(self) -> AnswerRequest:
        """The request that this answers."""
        return self.body.passages.request

    @property
    def sections(self) -> tuple[Section, ...]:
        """The three numbered sections: task, workflow, papers and tools."""
        return self.body.sections

    @property
    def slots(self) -> tuple[AnswerSlot, ...]:
        """All slots of all sections, in reading order."""
        return tuple(slot for section in self.sections for slot in section.slots)

    @property
    def fit(self) -> Fit:
        """Which papers bear on the question, and whether each model fits it."""
        return self.body.fit

    @property
    def drafter(self) -> str:
        """``extractive``, or the name of the LLM that drafted."""
        return self.body.drafter

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on the making of this answer."""
        return self.body.notes

    @cached_property
    def rendered(self) -> RenderedMarkdown:
        """Markdown with the span of each claim in it."""
        return render_markdown(self.body)

    @property
    def markdown(self) -> str:
        """CommonMark with footnotes that quote the evidence."""
        return self.rendered.text

    @property
    def claims(self) -> tuple[RenderedClaim, ...]:
        """Each claim by its place: ``markdown[claim.start:claim.end] == claim.text``; footnote marks stand after it."""
        return self.rendered.claims

    @property
    def citations(self) -> tuple[Citation, ...]:
        """Distinct citations in the order of their footnotes, so footnote 1 is the first."""
        return self.rendered.citations

    @cached_property
    def text(self) -> str:
        """Plain text for a terminal; paragraphs are not wrapped."""
        return render_text(self.body)

    @cached_property
    def html(self) -> str:
        """One self-contained page that shows each claim's evidence in the source it comes from."""
        return render_html(self.body, is_traceable=self.report.ok)

    @property
    def abstained(self) -> bool:
        """True when no accepted claim tells anything of a model or a paper: only the question and absences are left."""
        cited = {
            citation.source_id
            for slot in self.slots
            for claim in slot.claims
            if claim.accepted
            for citation in claim.citations
        }
        return not cited - {QUESTION_ID} and all(fit.verdict == "not_told" for fit in self.fit.models)

    @property
    def complete(self) -> bool:
        """True when each slot is answered or known to be left open by the sources, and no claim stands marked."""
        return all(
            slot.state in ("answered", "not_told") and all(claim.accepted for claim in slot.claims)
            for slot in self.slots
        )

    def to_json(self) -> AnswerJson:
        """The whole answer as plain values in the stable, versioned form of `AnswerJson`; ``json.dumps`` writes it."""
        return render_json(
            self.body,
            self.rendered,
            report=self.report,
            ledger=self.ledger,
            usage=self.usage,
            prompt_sha256=self.prompt_sha256,
            abstained=self.abstained,
            complete=self.complete,
        )
