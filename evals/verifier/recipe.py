"""What the verifier is trained on: public sets whose licence lets the weights be shipped, and claims over abstracts.

Three parts: `public_pairs` (labels by people), `planted_pairs` (rules over abstracts, `planted.py`) and
`written_pairs` (claims written over abstracts and read against them, `claims/*.tsv`). Same seed, same rows.
"""

from __future__ import annotations

import gzip
import json
import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from planted import (
    NAME,
    NUMBER,
    Made,
    change_number,
    exchange,
    graft,
    negate,
    reword,
    shorten,
    strengthen,
    swap_name,
    tell,
    turn_round,
)
from sklearn.feature_extraction.text import TfidfVectorizer

from cnaps_rag.passages import split_sentences
from cnaps_rag.verifier.windows import select_window

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared"
GROUNDING = SHARED / "grounding"
WRITTEN = Path(__file__).parent / "claims"

LICENCE_BY_SET = {
    "mnli": "OANC and others (permissive)",
    "negation_nli": "MIT (MNLI part only: the rest hangs on SNLI and RTE)",
    "cg2c_synthetic": "MIT",
    "scifact": "claims CC BY 4.0, abstracts ODC-By 1.0",
    "citation_integrity": "MIT",
    "summedits": "Apache-2.0",
    "factcheck_gpt": "Apache-2.0",
    "fm2": "Apache-2.0",
    "q2_wow": "Apache-2.0 / MIT",
    "faithdial_audit": "MIT",
    "begin": "CC BY 4.0, CDLA-Sharing 1.0 (which leaves results of computation free)",
    "bump": "MIT",
    "summeval": "MIT",
    "scitab": "MIT",
    "contractnli": "CC BY 4.0",
}
"""Sets that the shipped weights are trained on. Left out: NC, share-alike, and those without a licence."""


CONTRADICTS_BY_LABEL = (
    dict.fromkeys(("contradiction", "contradict", "refutes", "refute"), True)
    | dict.fromkeys(("neutral", "nei", "not enough info", "notmentioned", "irrelevant"), False)
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Pair:
    """One training row; `wrong` are spans of the claim that nothing supports, None where it is not known which.

    `contradicts`: of an unsupported claim, whether the evidence says otherwise; None where that is not known.
    """

    evidence: str
    claim: str
    label: int
    origin: str
    wrong: tuple[tuple[int, int], ...] | None = None
    contradicts: bool | None = None


def load_set(name: str, split: str) -> list[dict[str, object]]:
    """All rows of one file of ../shared/grounding."""
    with gzip.open(GROUNDING / f"{name}.{split}.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def public_pairs(sets: Sequence[str] = tuple(LICENCE_BY_SET)) -> Iterator[Pair]:
    """Train rows of the public sets, their evidence cut to the window that the verifier would read."""
    for name in sets:
        for row in load_set(name, "train"):
            if name == "negation_nli" and row["meta"].get("source") != "MNLI":
                continue
            evidence, claim, label = str(row["evidence"]), str(row["claim"]), int(str(row["label"]))
            contradicts = CONTRADICTS_BY_LABEL.get(str(row["meta"]["label_original"]).lower())
            yield Pair(select_window(evidence, claim), claim, label, name, () if label else None, contradicts)


Planter = Callable[[str, random.Random], Made | None]


@dataclass(frozen=True, slots=True)
class Abstract:
    """An arXiv entry and its sentences."""

    id: str
    title: str
    sentences: tuple[str, ...]

    def window(self, rows: Sequence[int], rng: random.Random) -> str:
        """Sentences by row, half of the time behind the title."""
        text = " ".join(self.sentences[row] for row in sorted(rows) if 0 <= row < len(self.sentences))
        return f"{self.title}. {text}" if rng.random() < 0.5 else text


@cache
def abstracts() -> dict[str, Abstract]:
    """All entries of ../shared/abstracts.jsonl.gz by id."""
    with gzip.open(SHARED / "abstracts.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return {
        row["id"]: Abstract(
            row["id"], row["title"], tuple(row["summary"][a:b] for a, b in split_sentences(row["summary"]))
        )
        for row in rows
    }


def planted_pairs(n_abstracts: int, seed: int, without: frozenset[str] = frozenset()) -> Iterator[Pair]:
    """From each abstract a few honest rewordings and as many with a planted fault, over windows of its sentences."""
    rng = random.Random(seed)
    pool = [
        abstract for id_, abstract in sorted(abstracts().items()) if id_ not in without and len(abstract.sentences) > 3
    ]
    chosen = rng.sample(pool, n_abstracts)
    for at, abstract in enumerate(chosen):
        yield from _planted_in(abstract, chosen[at - 1], rng)


def _planted_in(abstract: Abstract, other: Abstract, rng: random.Random) -> Iterator[Pair]:
    planters = _planters(abstract, other, rng)
    rows = rng.sample(range(len(abstract.sentences)), min(4, len(abstract.sentences)))
    for nth, row in enumerate(rows):
        told = reword(tell(abstract.sentences[row], rng), rng)
        if len(told.split()) < 6 or told.endswith("?"):
            continue
        told = (shorten(told, rng) or told) if rng.random() < 0.5 else told
        window = abstract.window(_around(row, rng), rng)
        if nth % 2 == 0:
            yield Pair(window, told, 1, "planted:honest", ())
        made = _first(rng.sample(planters, len(planters)), told, rng)
        if made is not None:
            contradicts = True if made.kind in ("opposite", "negation", "exchanged") else None
            yield Pair(window, made.text, 0, f"planted:{made.kind}", made.wrong, contradicts)
        if nth == 0:
            yield from _told_elsewhere(abstract, row, told, rng)
        if nth == 1:
            yield from _told_together(abstract, (rows[0], row), told, rng)


def _planters(abstract: Abstract, other: Abstract, rng: random.Random) -> list[Planter]:
    numbers = [found.group() for text in abstract.sentences for found in NUMBER.finditer(text)]
    names = [found.group() for one in (abstract, other) for text in one.sentences for found in NAME.finditer(text)]
    planters: list[Planter] = [
        lambda text, rng: change_number(text, rng, numbers),
        lambda text, rng: swap_name(text, rng, names),
        turn_round, negate, strengthen, exchange,
    ]  # fmt: skip
    if rng.random() < 0.5:  # one nearly always can be grafted: it would crowd the others out
        planters.append(lambda text, rng: graft(text, rng.choice(other.sentences), rng))
    return planters


def _told_elsewhere(abstract: Abstract, row: int, told: str, rng: random.Random) -> Iterator[Pair]:
    """A sentence over another place of its abstract."""
    elsewhere = [other for other in range(len(abstract.sentences)) if abs(other - row) > 1]
    if elsewhere:
        rows = _around(rng.choice(elsewhere), rng, keep_off=row)
        yield Pair(abstract.window(rows, rng), told, 0, "planted:elsewhere")


def _told_together(abstract: Abstract, rows: tuple[int, int], told: str, rng: random.Random) -> Iterator[Pair]:
    """Two sentences told as one, over both places and over one of them."""
    first, row = rows
    second = reword(tell(abstract.sentences[first], rng), rng).rstrip(".")
    joined = f"{second}, and {told[0].lower()}{told[1:]}"
    yield Pair(abstract.window([row, first], rng), joined, 1, "planted:joined", ())
    if abs(row - first) > 1:
        yield Pair(abstract.window([first], rng), joined, 0, "planted:half", ((len(second) + 6, len(joined)),))


def _first(planters: Sequence[Planter], text: str, rng: random.Random) -> Made | None:
    return next((made for planter in planters if (made := planter(text, rng)) is not None), None)


def _around(row: int, rng: random.Random, keep_off: int = -9) -> list[int]:
    """A row with no, one or two neighbours."""
    rows = {row}
    for neighbour in (row - 1, row + 1):
        if rng.random() < 0.4 and neighbour != keep_off:
            rows.add(neighbour)
    return sorted(rows)


SUPPORTED_KINDS = frozenset({"paraphrase", "compress", "join", "near_verbatim", "number_form", "user_supported"})
CONTRADICTING_KINDS = frozenset({"number_changed", "unit_changed", "negated", "reversed"})


@dataclass(frozen=True, slots=True)
class Written:
    """One line of claims/*.tsv: a claim over sentences (rows from 0; none: over the question that was made up)."""

    abstract: Abstract
    rows: tuple[int, ...]
    kind: str
    claim: str
    question: str | None = None

    @property
    def is_supported(self) -> bool:
        """True where the sentences entail it."""
        return self.kind in SUPPORTED_KINDS


@cache
def written_claims() -> tuple[Written, ...]:
    """All claims of claims/*.tsv, in the order of the files."""
    found: list[Written] = []
    question_by_id: dict[str, str] = {}
    for file in sorted(WRITTEN.glob("*.tsv")):
        for line in file.read_text(encoding="utf-8").splitlines():
            id_, rows, kind, text = line.split("\t")
            if kind == "question":
                question_by_id[id_] = text
                continue
            question = question_by_id.get(id_) if rows == "Q" else None
            numbers = () if rows == "Q" else tuple(int(row) - 1 for row in rows.split(","))
            if rows == "Q" and question is None:
                continue
            found.append(Written(abstracts()[id_], numbers, kind, text, question))
    return tuple(found)


def written_pairs(claims: Sequence[Written], seed: int, n_windows: int = 2) -> Iterator[Pair]:
    """Each written claim over `n_windows` windows; joins also over half of what they need, some over other places."""
    rng = random.Random(seed)
    stranger_by_claim = _nearest_strangers(claims)
    for claim in claims:
        text = _as_it(claim, rng)
        label = int(claim.is_supported)
        wrong = () if label else None
        contradicts = None if label else claim.kind in CONTRADICTING_KINDS
        origin = f"written:{claim.kind}"
        if claim.question is not None:
            yield Pair(claim.question, text, label, origin, wrong, contradicts)
            continue
        for _ in range(n_windows):
            yield Pair(_window(claim, text, rng), text, label, origin, wrong, contradicts)
        if label and len(claim.rows) > 1:
            yield Pair(claim.abstract.window([rng.choice(claim.rows)], rng), text, 0, "written:half", None, False)
        elif label and rng.random() < 0.3:
            yield from _elsewhere(claim, text, rng)
        if label and rng.random() < 0.3:
            abstract, row = stranger_by_claim[claim]
            yield Pair(abstract.window(_around(row, rng), rng), text, 0, "written:stranger", None, False)


def _nearest_strangers(claims: Sequence[Written]) -> dict[Written, tuple[Abstract, int]]:
    """For each claim the sentence of another abstract that is nearest to it in words: the hardest of wrong sources."""
    owners = list({claim.abstract.id: claim.abstract for claim in claims}.values())
    places = [(abstract, row) for abstract in owners for row in range(len(abstract.sentences))]
    words = TfidfVectorizer(sublinear_tf=True, stop_words="english")
    sentences = words.fit_transform([abstract.sentences[row] for abstract, row in places])
    likeness = (words.transform([claim.claim for claim in claims]) @ sentences.T).toarray()
    ids = np.array([abstract.id for abstract, _ in places])
    found = {}
    for claim, row in zip(claims, likeness, strict=True):
        found[claim] = places[int(np.where(ids == claim.abstract.id, -1.0, row).argmax())]
    return found


def _elsewhere(claim: Written, text: str, rng: random.Random) -> Iterator[Pair]:
    """The claim over sentences of its abstract that it does not rest on, those with fewest words in common."""
    stems = set(re.findall(r"\w{4,}", " ".join(claim.abstract.sentences[row] for row in claim.rows).lower()))
    far = [row for row in range(len(claim.abstract.sentences)) if all(abs(row - own) > 1 for own in claim.rows)]
    if far:
        row = min(
            rng.sample(far, min(2, len(far))),
            key=lambda row: len(stems & set(re.findall(r"\w{4,}", claim.abstract.sentences[row].lower()))),
        )
        yield Pair(claim.abstract.window([row], rng), text, 0, "written:elsewhere", None, False)


def _window(claim: Written, text: str, rng: random.Random) -> str:
    """Just the sentences it rests on, these and neighbours, or what the verifier would choose of the whole."""
    draw = rng.random()
    if draw < 0.45:
        return claim.abstract.window(claim.rows, rng)
    if draw < 0.8:
        rows = {row + offset for row in claim.rows for offset in (-1, 0, 1) if offset == 0 or rng.random() < 0.5}
        return claim.abstract.window(sorted(rows), rng)
    return select_window(" ".join((f"{claim.abstract.title}.", *claim.abstract.sentences)), text)


def _as_it(claim: Written, rng: random.Random) -> str:
    """Half of the time the work's own name reads "it", as the judge puts a claim to the verifier."""
    name = claim.abstract.title.split(":")[0]
    if ":" not in claim.abstract.title or name not in claim.claim or rng.random() < 0.5:
        return claim.claim
    text = claim.claim.replace(f"{name}'s", "its").replace(name, "it")
    return text[:1].upper() + text[1:]
