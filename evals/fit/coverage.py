"""Points of gold.jsonl that the extractive drafter's drafts cite, prompt by prompt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from gold import GoldRequest, load_gold

from cnaps_rag.draft import Brief
from cnaps_rag.extractive import ExtractiveDrafter
from cnaps_rag.fit import assess_fit
from cnaps_rag.passages import Passage


def brief_of(gold: GoldRequest, *, by_labels: bool) -> Brief:
    """The brief of a request; `by_labels` replaces our judgement on papers by the labels."""
    fit = assess_fit(gold.passages, gold.hits, gold.index.vectors)
    if by_labels:
        papers = tuple(replace(paper, bears=gold.label(paper.source_id) == "relevant") for paper in fit.papers)
        fit = replace(fit, papers=papers)
    return Brief(passages=gold.passages, hits=gold.hits, fit=fit)


def covers(gold: GoldRequest, point: dict[str, Any], cited: Sequence[Passage]) -> bool:
    """True when `cited` hold half of the point's quote or more; names and links stand in every answer."""
    quote = point["quote"]
    for source in (gold.request.source("Q"), *gold.request.sources):
        if (point["source"] == "question") != (source.id == "Q") or point["source"] not in ("question", source.title):
            continue
        if source.id != "Q" and quote in (source.title, *source.links):
            return True
        start = source.text.find(quote)
        own = [p for p in cited if p.source_id == source.id and p.field == source.text_field]
        held = sum(max(0, min(start + len(quote), p.end) - max(start, p.start)) for p in own)
        if start >= 0 and held >= len(quote) / 2:
            return True
    return False


def main() -> None:
    """Prints a line a prompt, and totals."""
    print("prompt, claims, sentences, points covered")
    totals: Counter[str] = Counter()
    for gold in load_gold():
        brief = brief_of(gold, by_labels=False)
        slots = ExtractiveDrafter().draft(brief).slots
        lead = [gold.passages.by_id[i] for model in brief.fit.models for i in model.evidence]
        cited = [gold.passages.by_id[i] for slot in slots for claim in slot.claims for i in claim.evidence]
        points = gold.row["points"]
        covered = [point for point in points if covers(gold, point, [*lead, *cited])]
        n_claims = sum(len(slot.claims) for slot in slots)
        print(f"{gold.file[:13]:14} {n_claims:3} {len(cited):3} {len(covered)}/{len(points)}")
        totals.update({"claims": n_claims, "sentences": len(cited), "covered": len(covered), "points": len(points)})
        totals.update(f"{point['section']} points" for point in points)
        totals.update(f"{point['section']} covered" for point in covered)
        totals.update(_by_labels(gold))
    print(dict(totals))


def _by_labels(gold: GoldRequest) -> Counter[str]:
    """Quotes of relevant papers held by the chosen sentences, were the papers judged without fault."""
    brief = brief_of(gold, by_labels=True)
    slots = [slot for slot in ExtractiveDrafter().draft(brief).slots if slot.name == "paper"]
    cited = [gold.passages.by_id[i] for slot in slots for claim in slot.claims for i in claim.evidence]
    lead = [gold.passages.by_id[i] for model in brief.fit.models for i in model.evidence]
    papers = set(gold.row["relevant"])
    quotes = [point for point in gold.row["points"] if point["source"] in papers]
    return Counter(
        {
            "quotes of relevant papers": len(quotes),
            "of them held": sum(covers(gold, point, [*lead, *cited]) for point in quotes),
            "by sentences": len(cited),
        }
    )


if __name__ == "__main__":
    main()
