"""The part of an answer that stands: it grows at its end, passes the checks at each step, and never changes."""

from __future__ import annotations

from dataclasses import dataclass

from cnaps_rag.render.layout import AnswerBody
from cnaps_rag.render.markdown import RenderedClaim
from cnaps_rag.report import LedgerEntry
from cnaps_rag.validation import ClaimJudge, Settled, settle


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
    """A body in the making, and how much of its Markdown was released."""

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
        return self._take(settle(body, self._judge, self.markdown))

    def grow_if_whole(self, body: AnswerBody) -> Part:
        """`grow` where all of `body` passes; else nothing is added, and the part tells what did not.

        Raises:
            UntraceableError: as `grow`.
        """
        settled = settle(body, self._judge, self.markdown)
        if not settled.dropped:
            return self._take(settled)
        self.dropped += settled.dropped
        return Part(markdown=self.markdown, start=len(self.markdown), claims=(), dropped=settled.dropped)

    def _take(self, settled: Settled) -> Part:
        start = len(self.markdown)
        self.body, self.markdown = settled.body, settled.rendered.text[: settled.rendered.footnotes_start]
        self.dropped += settled.dropped
        claims = tuple(claim for claim in settled.rendered.claims if claim.start >= start)
        return Part(markdown=self.markdown, start=start, claims=claims, dropped=settled.dropped)
