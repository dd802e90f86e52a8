"""Form and cost of an answer: its sections, its length, what was repaired, what the LLM took."""

from __future__ import annotations

from cnaps_rag.evaluation.metrics.score import Score, Scored, share, unscored

_NO_LLM = "no LLM drafted"


def traceable(scored: Scored) -> Score:
    """Yes where every link is supplied and every claim supported (`Report.ok`); yes also where nothing is said."""
    is_ok = all(link.verdict == "supplied" for link in scored.outcome.links) and all(
        claim.verdict in ("supported", "not_a_claim") for claim in scored.outcome.claims
    )
    return Score(value=float(is_ok))


def sections_complete(scored: Scored) -> Score:
    """Share of the three sections that are complete: every slot answered, or known to be left open by the sources.

    A section whose statements did not pass, or where the reply broke off, is not. The task wants a claim. Definition of
    this project; unscored for outside texts.
    """
    if scored.outcome.slots is None:
        return unscored("an outside text has no sections in a form that can be compared")
    by_section = {"task": 1, "paper": 3}
    slots = [(by_section.get(slot.name, 2), slot) for slot in scored.outcome.slots]
    return share(
        [
            all(slot.state in ("answered", "not_told") for section, slot in slots if section == number)
            and (number > 1 or any(slot.claims for section, slot in slots if section == 1))
            for number in (1, 2, 3)
        ],
        "",
    )


def n_claims(scored: Scored) -> Score:
    """Claims that tell something of the question or a source."""
    return Score(value=float(len(scored.outcome.telling)))


def length_words(scored: Scored) -> Score:
    """Words of all claims, absences included; headings, links and footnotes are not counted."""
    return Score(value=float(sum(len(claim.text.split()) for claim in scored.outcome.claims)))


def repair_rate(scored: Scored) -> Score:
    """Share of the rejected claims of the first draft in whose place a repaired one passed.

    Unscored where nothing was rejected, where no LLM drafted, and for outside texts.
    """
    draft, usage = scored.outcome.draft, scored.outcome.usage
    if draft is None or usage is None or usage.calls == 0:
        return unscored(_NO_LLM)
    return share([True] * draft.repaired + [False] * (draft.rejected - draft.repaired), "nothing was rejected")


def llm_calls(scored: Scored) -> Score:
    """Requests sent to the LLM, retries included; 0 without an LLM."""
    usage = scored.outcome.usage
    return unscored("the cost of an outside text is not known") if usage is None else Score(value=float(usage.calls))


def llm_tokens(scored: Scored) -> Score:
    """Tokens read and written by the LLM, as its server counts them; 0 without an LLM."""
    usage = scored.outcome.usage
    if usage is None:
        return unscored("the cost of an outside text is not known")
    return Score(value=float(usage.prompt_tokens + usage.completion_tokens))


def cost(scored: Scored) -> Score:
    """Money for the LLM, by ``Settings.llm_prices``; unscored where its price is not known."""
    usage = scored.outcome.usage
    if usage is None or usage.cost is None:
        return unscored("no price is set for this LLM")
    return Score(value=usage.cost)


def seconds(scored: Scored) -> Score:
    """Wall-clock seconds of the whole answer, LLM included; the replay of a recording does not wait for one."""
    value = scored.outcome.seconds
    return unscored("the time of an outside text is not known") if value is None else Score(value=value)
