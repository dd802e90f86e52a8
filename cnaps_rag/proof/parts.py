"""What a bundle alone can tell: its bytes, its hash, and whether its parts agree with each other and the request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from cnaps_rag.checks.links import check_links
from cnaps_rag.proof.bundle import ProofBundle, canonical_bytes, content_sha256, read_bundle
from cnaps_rag.proof.proving import source_hashes
from cnaps_rag.render.json import AnswerJson, CitationJson, Offsets, SpanJson
from cnaps_rag.render.offsets import Utf16
from cnaps_rag.report import Citation
from cnaps_rag.request import AnswerRequest


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One thing that was looked at.

    Attributes:
        holds: None where it could not be looked at here, which is not enough.
        told: what holds, or what was expected and what was found.
    """

    name: str
    holds: bool | None
    told: str


def checked(name: str, faults: Iterable[str], *, holds: str) -> Check:
    """The check `name`: it holds where there is no fault, else its first faults tell why not."""
    found = list(faults)
    shown = "; ".join(found[:3]) + (f"; and {len(found) - 3} more" if len(found) > 3 else "")
    return Check(name=name, holds=not found, told=shown or holds)


def check_bytes(raw: bytes) -> tuple[Check, Check]:
    """Canonical form and hash of a bundle's bytes: any change of any byte fails one of them.

    Raises:
        RequestError: the bytes are no bundle.
    """
    bundle = read_bundle(raw)
    return check_canonical(raw, bundle), check_sha256(bundle)


def check_canonical(raw: bytes, bundle: ProofBundle) -> Check:
    """The file is the one way to write what it says."""
    canonical = canonical_bytes(bundle)
    place = next((at for at, pair in enumerate(zip(raw, canonical, strict=False)) if pair[0] != pair[1]), None)
    faults = [f"byte {place if place is not None else min(len(raw), len(canonical))} is not as it would be written"]
    return checked("canonical", faults if raw != canonical else [], holds="the file equals its canonical form")


def check_sha256(bundle: ProofBundle) -> Check:
    """The hash covers all the rest."""
    expected = content_sha256(bundle)
    fault = f"the content has {expected}, and the field says {bundle.sha256[:64]!r}"
    return checked("sha256", [fault] if bundle.sha256 != expected else [], holds=f"{expected} covers all the rest")


def check_agreement(bundle: ProofBundle) -> Check:
    """What stands in two places is the same in both."""
    answer = bundle.answer
    twice = (
        ("request", answer["request"] == bundle.request),
        ("drafter", answer["drafter"] == bundle.drafter),
        ("llm", bundle.settings.get("llm") == bundle.llm),
        ("encoder", bundle.settings.get("encoder") in (None, bundle.encoder.name)),
        ("verifier", bundle.settings.get("verifier") in (None, bundle.verifier.name)),
        ("prompts_sha256", answer["prompt_sha256"] in (None, bundle.prompts_sha256)),
    )
    faults = [
        f"{name} is not the same in the bundle and in its answer or settings" for name, agrees in twice if not agrees
    ]
    return checked(
        "agreement",
        faults,
        holds="request, drafter, LLM, encoder, verifier and prompts are the same wherever they stand",
    )


def check_sources(bundle: ProofBundle, request: AnswerRequest) -> Check:
    """The texts of the sources are those that were hashed."""
    expected, found = source_hashes(request), bundle.source_sha256
    faults = [
        f"{source_id}: its texts do not have the hashes that the bundle names"
        for source_id in sorted(expected.keys() | found.keys())
        if expected.get(source_id) != found.get(source_id)
    ]
    return checked("sources", faults, holds=f"the texts of {len(expected)} sources have their hashes")


def check_quotes(bundle: ProofBundle, request: AnswerRequest) -> Check:
    """Every citation's quote stands at its offsets in the request."""
    offsets = Offsets(request)
    cited = list(_citations(bundle.answer))
    faults = [
        f"{citation['source_id']!r}.{citation['field']}[{citation['start']}:{citation['end']}] is not "
        f"{citation['quote'][:60]!r}"
        for citation in cited
        if not _is_quoted(citation, request, offsets)
    ]
    return checked("quotes", faults, holds=f"{len(cited)} quotes stand at their offsets in the sources")


def check_places(bundle: ProofBundle) -> Check:
    """Every claim and link stands in the Markdown where it is said to."""
    answer = bundle.answer
    units = Utf16(answer["markdown"])
    spans: list[tuple[SpanJson, str]] = [(claim, claim["text"]) for claim in answer["claims"]]
    spans += [(claim, claim["text"]) for claim in answer["report"]["claims"]]
    spans += [(link, link["text"]) for link in answer["report"]["links"]]
    faults = [
        f"{text[:60]!r} does not stand at {span['start']}:{span['end']}"
        for span, text in spans
        if not _stands(span, text, answer["markdown"], units)
    ]
    return checked("places", faults, holds=f"{len(spans)} claims and links stand in the Markdown where they should")


def check_shown_links(bundle: ProofBundle, request: AnswerRequest) -> Check:
    """Every link that is shown was supplied."""
    links = check_links(bundle.answer["markdown"], request.owners)
    faults = [f"{link.text[:60]!r}: {link.reason[:200]}" for link in links if link.verdict != "supplied"]
    return checked("links", faults, holds=f"{len(links)} links are shown, and each is supplied")


def _citations(answer: AnswerJson) -> Iterator[CitationJson]:
    yield from answer["citations"]
    for claim in answer["claims"]:
        yield from claim["citations"]
    for section in answer["sections"]:
        for slot in section["slots"]:
            for drafted in slot["claims"]:
                yield from drafted["citations"]
    for found in answer["report"]["claims"]:
        yield from found["evidence"]


def _is_quoted(cited: CitationJson, request: AnswerRequest, offsets: Offsets) -> bool:
    try:
        text = request.text(cited["source_id"], cited["field"])
    except KeyError:
        return False
    start, end = cited["start"], cited["end"]
    if not 0 <= start <= end <= len(text) or text[start:end] != cited["quote"]:
        return False
    citation = Citation(source_id=cited["source_id"], field=cited["field"], start=start, end=end, quote=cited["quote"])
    return offsets.citations((citation,)) == [cited]


def _stands(span: SpanJson, text: str, markdown: str, units: Utf16) -> bool:
    start, end = span["start"], span["end"]
    is_inside = 0 <= start <= end <= len(markdown) and markdown[start:end] == text
    return is_inside and (units.at(start), units.at(end)) == (span["start_utf16"], span["end_utf16"])
