"""The part of an answer that stands: it grows at its end, passes the checks at each step, and never changes."""

from __future__ import annotations

from dataclasses import dataclass, replace

from cnaps_rag.errors import UntraceableError
from cnaps_rag.render.layout import AnswerBody
from cnaps_rag.render.markdown import RenderedClaim, RenderedMarkdown, render_markdown
from cnaps_rag.report import AnswerSlot, LedgerEntry
from cnaps_rag.sources import SourceId
from cnaps_rag.validation import ClaimJudge, settle


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """What was added: ``markdown[start:]`` of all that stands now, with the claims in it, and what was left out."""

    markdown: str
    start: int
    claims: tuple[RenderedClaim, ...]
    dropped: tuple[LedgerEntry, ...] = ()

    @property
    def added(self) -> str:
        """The Markdown that was added."""
        return self.markdown[self.start :]


class ReleasedBody:
    """A body in the making, how much of its Markdown was released, and the claims that were left out on the way."""

    def __init__(self, body: AnswerBody, judge: ClaimJudge) -> None:
        self.body = body
        self.markdown = ""
        self.dropped: tuple[LedgerEntry, ...] = ()
        self._judge = judge

    def grow(self, body: AnswerBody) -> Part:
        """Releases what `body` has more than the last one, without the claims that do not pass where they stand.

        Raises:
            UntraceableError: something fails that cannot be left out.
        """
        if (same := self._unchanged(body, render_markdown(body))) is not None:
            return same
        settled = settle(body, self._judge, self.markdown)
        return self._take(settled.body, settled.rendered, settled.dropped)

    def grow_last(self, body: AnswerBody, *, only_whole: bool = False) -> Part:
        """`grow` where only the slots of the last source may be new: nothing before them is read again.

        Args:
            body: a body whose last section is open.
            only_whole: release nothing where something of it does not pass; the part still tells what.

        Raises:
            UntraceableError: as `grow`.
        """
        rendered = render_markdown(body)
        if (same := self._unchanged(body, rendered)) is not None:
            return same
        *before, last = body.sections
        subject = last.slots[-1].subject if last.slots else None
        others = tuple(slot for slot in last.slots if slot.subject != subject)
        stands = ""
        if len(self.body.sections) == len(body.sections):
            stood = render_markdown(_part_about(subject, self.body))
            stands = stood.text[: stood.footnotes_start]
        settled = settle(_part_about(subject, body), self._judge, stands)
        if only_whole and settled.dropped:
            self.dropped += settled.dropped
            return Part(markdown=self.markdown, start=len(self.markdown), claims=(), dropped=settled.dropped)
        kept: tuple[AnswerSlot, ...] = settled.body.sections[0].slots
        whole = replace(body, sections=(*before, replace(last, slots=(*others, *kept))))
        return self._take(whole, rendered if whole == body else render_markdown(whole), settled.dropped)

    def _unchanged(self, body: AnswerBody, rendered: RenderedMarkdown) -> Part | None:
        """The empty part that `body` adds where it reads as what stands already."""
        is_same = rendered.text[: rendered.footnotes_start] == self.markdown
        return self._take(body, rendered, ()) if is_same else None

    def _take(self, body: AnswerBody, rendered: RenderedMarkdown, dropped: tuple[LedgerEntry, ...]) -> Part:
        markdown, start = rendered.text[: rendered.footnotes_start], len(self.markdown)
        if not markdown.startswith(self.markdown):
            raise UntraceableError("What was shown of the answer does not pass any more.", findings=())
        self.body, self.markdown = body, markdown
        self.dropped += dropped
        claims = tuple(claim for claim in rendered.claims if claim.start >= start)
        return Part(markdown=markdown, start=start, claims=claims, dropped=dropped)


def _part_about(subject: SourceId | None, body: AnswerBody) -> AnswerBody:
    """The last section of `body` alone, with the slots of `subject` alone."""
    last = body.sections[-1]
    slots = tuple(slot for slot in last.slots if slot.subject == subject)
    return replace(body, sections=(replace(last, slots=slots),), fit=replace(body.fit, models=()))
