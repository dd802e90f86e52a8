"""A draft without any LLM: the sources' own sentences, chosen, framed as theirs and put in order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from cnaps_rag.discourse import asks, goes_on, orders, points_back
from cnaps_rag.draft import Brief, Claim, Draft, Slot, SlotForm, SlotName, plan_form
from cnaps_rag.fit import tells_of
from cnaps_rag.links import find_links
from cnaps_rag.passages import Passage, PassageId, quotable
from cnaps_rag.request import AnswerRequest
from cnaps_rag.sources import QUESTION_ID, SourceId
from cnaps_rag.words import content_stems

# What a sentence of a paper is worth here: its cosine to the question, plus and minus these. Chosen on gold.jsonl (54
# papers, 82 quotes; evals/fit/coverage.py): 55 quotes are then held by 154 sentences, by cosine alone 45 by 162.
WORTH_OF_TITLE_WORDS = 0.3
WORTH_OF_CONTRIBUTION = 0.3
COST_OF_POINTING_BACK = 0.1
COST_OF_GOING_ON = 0.1
COST_OF_OPENING = 0.1
COST_OF_PLATITUDE = 0.3
N_TITLE_WORDS = 3

LIMIT_PAPER_SENTENCES = 3
LIMIT_MODEL_SENTENCES = 2
LIMIT_QUESTION_SENTENCES = 8
# A second or third sentence stands only where it is worth at least this share of the paper's best.
LEAST_SHARE_OF_BEST = 0.5
# Share of the shorter sentence's content words that the other one holds too: then one of them says enough.
NEAR_DUPLICATE_SHARE = 0.7
LEAST_SENTENCE_CHARS = 30
LEAST_COPIED_WORDS = 6
# A line of the prompt copied with its id: "P1.2 | However, ...".
_LINE_ID = re.compile(r"^\s*(?:[MP]\d+|Q)\.\d+\s*\|\s*")

_CONTRIBUTION = re.compile(
    r"\b(?:we|this (?:paper|work|study|survey|article)|our \w+|the proposed \w+)\b(?:\W+\w+){0,4}?\W+"
    r"(?:propos\w+|present\w*|introduc\w+|develop\w*|design\w*|formulat\w+|provid\w+|investigat\w+|adopt\w*|uses?|"
    r"train|learns?|leverag\w+|build|apply|adapts?|exploits?|reviews?|consists?|show\w*|find)\b",
    re.IGNORECASE,
)
_BOILERPLATE = re.compile(
    r"\b(?:publicly available|open[- ]?sourced?|code (?:and|is|are|will|at|to reproduce)|(?:source|our) code|"
    r"(?:extensive|comprehensive|empirical) (?:experiment|evaluation|result)\w*|this https? url)\b",
    re.IGNORECASE,
)
# True of every paper's subject: "is a fundamental task", "has long been used", "shows the potential of".
_PLATITUDE = re.compile(
    r"\b(?:is|are|remains?|becom\w+) (?:an? |of )?(?:\w+ (?:and )?)?"
    r"(?:crucial|essential|fundamental|vital|important|significant|key|great interest)\b|"
    r"\b(?:underscor|highlight|demonstrat|show(?:cas)?)\w* (?:the|its|their|\w+['’]s) (?:\w+ ){0,2}"
    r"(?:impact|potential|importance|need)\b|"
    r"\b(?:has|have) (?:long |rapidly |recently |significantly )?(?:been used|advanced|improved|attracted|received)\b",
    re.IGNORECASE,
)
_PROCESSING: SlotName = "processing"
_TAKES = re.compile(r"\b(?:takes?|accepts?|inputs?|given|receives?|reads?)\b", re.IGNORECASE)
_GIVES = re.compile(r"\b(?:outputs?|returns?|produces?|predicts?|generates?|yields?|estimates?)\b", re.IGNORECASE)


class ExtractiveDrafter:
    """Drafts an answer from the sources alone; the embedded default, and the fallback when an LLM is down.

    Every claim is a sentence of a source between quotation marks, told as that source's words, so nothing is said that
    no source says. What the sources leave open stays an empty slot.
    """

    name = "extractive"

    def draft(self, brief: Brief) -> Draft:
        """A draft for `brief`, its slots in the form's order."""
        chooser = _Chooser(brief)
        form = plan_form(brief, [passage.id for passage in brief.passages.all])
        slots = tuple(Slot(name=slot.name, subject=slot.subject, claims=chooser.claims(slot)) for slot in form)
        return Draft(slots=slots, drafter=self.name)


def frame_copies(draft: Draft, brief: Brief) -> Draft:
    """`draft` where what is copied from a source is told as that source's words, with what it points back to.

    An LLM told to stay close to a sentence may copy it whole, "we" and "however" included: true, but not its to say.
    An id in place of a name is told in words.
    """
    return replace(draft, slots=tuple(replace(slot, claims=_framed_claims(slot, brief)) for slot in draft.slots))


def _framed_claims(slot: Slot, brief: Brief) -> tuple[Claim, ...]:
    """Claims of a slot; what one has quoted already stands above the next, which need not quote it again."""
    quoted: set[PassageId] = set()
    claims: list[Claim] = []
    for drafted in slot.claims:
        claim = _without_id(drafted, slot, brief)
        copied = _copied(claim, slot, brief)
        if copied:
            fresh = [passage for passage in copied if passage.id not in quoted] or copied[-1:]
            quoted.update(passage.id for passage in copied)
            claim = _claim(_speaker(slot.name, copied[-1], brief.request), fresh)
        claims.append(claim)
    return tuple(claims)


def _without_id(claim: Claim, slot: Slot, brief: Brief) -> Claim:
    """`claim` without a sentence's id in front, and with its slot's subject told in words where it had an id."""
    text = _LINE_ID.sub("", claim.text)
    if slot.subject != QUESTION_ID:
        name = "the paper" if slot.name == "paper" else brief.request.source(slot.subject).title
        text = re.sub(rf"\b(?:[Tt]he )?(?:[Pp]aper |[Mm]odel )?{slot.subject}\b(?!\.\d)", lambda _: name, text)
    return replace(claim, text=text[:1].upper() + text[1:] if text.startswith("the paper") else text)


def _copied(claim: Claim, slot: Slot, brief: Brief) -> list[Passage]:
    """The sentence that `claim` copies, behind those it points back to; empty where it is in words of its own."""
    copied = next((p for p in _speaking(claim, slot, brief) if _is_copy(claim.text, p.text)), None)
    if copied is None:
        return []
    sentences = [p for p in brief.passages.of(copied.source_id) if not p.id.endswith(".0")]
    last = sentences.index(copied)
    first = max(_chain_start(sentences, last), last + 1 - LIMIT_PAPER_SENTENCES)
    return sentences[first : last + 1]


def _speaking(claim: Claim, slot: Slot, brief: Brief) -> list[Passage]:
    """Sentences that the claim cites, then all of its subject's own: an LLM's ids are often off by one.

    None that orders its reader about: a planted instruction is nothing that a source says of its subject.
    """
    by_id = brief.passages.by_id
    cited = [by_id[passage_id] for passage_id in claim.evidence if passage_id in by_id]
    speaking = [p for p in (*cited, *brief.passages.of(slot.subject)) if not p.id.endswith(".0")]
    return [p for p in speaking if p.source_id == QUESTION_ID or not orders(p.text)]


def _is_copy(text: str, sentence: str) -> bool:
    """True when `text` is one run of at least half of the words of `sentence`, and of six or more."""
    words, source_words = _folded_words(text), _folded_words(sentence)
    is_long = len(words) >= max(LEAST_COPIED_WORDS, len(source_words) / 2)
    return is_long and f" {' '.join(words)} " in f" {' '.join(source_words)} "


def _folded_words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def _chain_start(sentences: Sequence[Passage], row: int) -> int:
    """Row of the first sentence that `row` points back to, over as many as it takes."""
    while row > 0 and points_back(sentences[row].text):
        row -= 1
    return row


def _speaker(slot: SlotName, passage: Passage, request: AnswerRequest) -> str:
    """Whose words a quoted passage are, as said in a slot."""
    source = request.source(passage.source_id)
    if source.kind == "question":
        return "The user asks" if asks(passage.text) else "The user says"
    if slot == "paper":
        return "The paper says"
    return "Its description says" if source.kind == "model" else f"The supplied paper {quote(source.title)} says"


def quote(text: str) -> str:
    """`text` on one line, in quotation marks of a kind that it does not hold itself."""
    line = " ".join(text.split())
    return f"“{line}”" if '"' in line else f'"{line}"'


class _Chooser:
    """Chooses sentences slot by slot, and remembers what has been quoted, so that nothing is quoted twice."""

    def __init__(self, brief: Brief) -> None:
        self._brief = brief
        self._request = brief.request
        self._cosine_by_id: Mapping[PassageId, float] = {hit.passage.id: hit.score for hit in brief.hits}
        self._quoted = {passage_id for model in brief.fit.models for passage_id in model.evidence}

    def claims(self, slot: SlotForm) -> tuple[Claim, ...]:
        passages = [self._brief.passages.by_id[passage_id] for passage_id in slot.evidence_ids]
        if slot.name == "task":
            return tuple(_question_claims(passages[:LIMIT_QUESTION_SENTENCES]))
        sentences = [p for p in passages if p.source_id != QUESTION_ID and not p.id.endswith(".0")]
        if slot.name == "paper":
            return self._paper_claims(slot.subject, [p for p in sentences if p.source_id == slot.subject])
        return self._model_claims(slot, sentences)

    # Papers

    def _paper_claims(self, paper_id: SourceId, sentences: Sequence[Passage]) -> tuple[Claim, ...]:
        """The sentences that bear most on the question, in the paper's order, each with what it points back to."""
        chains = self._best_chains(paper_id, sentences)
        chosen = {row for chain in chains for row in chain}
        self._quoted.update(sentences[row].id for row in chosen)
        return tuple(_claim("The paper says", [sentences[row] for row in run]) for run in _runs(chains))

    def _best_chains(self, paper_id: SourceId, sentences: Sequence[Passage]) -> list[tuple[int, ...]]:
        """Rows of the chosen sentences, each behind the rows it points back to, best first."""
        worth = [self._worth(paper_id, sentence) for sentence in sentences]
        chains: list[tuple[int, ...]] = []
        for row in sorted(range(len(sentences)), key=lambda row: -worth[row]):
            chain = self._chain(sentences, row)
            chosen = [sentences[other] for other_chain in chains for other in other_chain]
            if (
                not chain
                or len(sentences[row].text) < LEAST_SENTENCE_CHARS
                or _says_nothing_new(sentences[row], chosen)
            ):
                continue
            if chains and worth[row] < LEAST_SHARE_OF_BEST * worth[chains[0][-1]]:
                break
            chains.append(chain)
            if len({other for other_chain in chains for other in other_chain}) >= LIMIT_PAPER_SENTENCES:
                break
        return chains

    def _worth(self, paper_id: SourceId, sentence: Passage) -> float:
        title_stems = set(content_stems(self._request.source(paper_id).title))
        shared = len(title_stems & set(content_stems(sentence.text)))
        contributes = _CONTRIBUTION.search(sentence.text) is not None
        # "Camera traps have long been used by researchers": an abstract tends to open with what all its readers know.
        opens = sentence.start == 0 and not contributes
        return (
            self._cosine_by_id[sentence.id]
            + WORTH_OF_TITLE_WORDS * min(shared, N_TITLE_WORDS) / N_TITLE_WORDS
            + WORTH_OF_CONTRIBUTION * contributes
            - COST_OF_POINTING_BACK * points_back(sentence.text)
            - COST_OF_GOING_ON * goes_on(sentence.text)
            - COST_OF_OPENING * opens
            - COST_OF_PLATITUDE * bool(_PLATITUDE.search(sentence.text))
        )

    def _chain(self, sentences: Sequence[Passage], row: int) -> tuple[int, ...]:
        """`row` behind the rows it points back to; empty where one of them is not to be quoted, or not again."""
        first = _chain_start(sentences, row)
        rows = tuple(range(first, row + 1))
        starts_well = not points_back(sentences[first].text)
        is_short = len(rows) <= LIMIT_PAPER_SENTENCES
        return rows if starts_well and is_short and all(self._is_quotable(sentences[other]) for other in rows) else ()

    def _is_quotable(self, sentence: Passage) -> bool:
        text = sentence.text
        return (
            sentence.id not in self._quoted
            and not _BOILERPLATE.search(text)
            and not orders(text)
            and not find_links(text)
        )

    # Models

    def _model_claims(self, slot: SlotForm, sentences: Sequence[Passage]) -> tuple[Claim, ...]:
        """What its own texts say of this slot; how it works also from papers that name it for more than to compare."""
        twins = self._request.twins(slot.subject)
        own = [p for p in sentences if p.source_id in twins]
        told = [p for p in own if slot.name in _slots_spoken_of(p.text)]
        if slot.name == "processing":
            name = self._request.source(slot.subject).title
            others = [p for p in sentences if p.source_id not in twins and tells_of(p.text, name)]
            told += [p for p in others if not points_back(p.text)]
            told = told or own
        # What is quoted already (in the lead, say) is quoted again only where nothing else tells of this slot.
        fresh = [p for p in told if self._is_quotable(p)] or [p for p in told if p.id in self._quoted]
        best = sorted(fresh, key=lambda p: -self._cosine_by_id[p.id])[:LIMIT_MODEL_SENTENCES]
        ordered = [p for p in sentences if p in best]
        self._quoted.update(p.id for p in ordered)
        return tuple(_claim(_speaker(slot.name, p, self._request), [p]) for p in ordered)


def _slots_spoken_of(text: str) -> frozenset[SlotName]:
    """Of input and output a model's own text speaks in a few plain verbs; the rest of it tells how the model works."""
    patterns: dict[SlotName, re.Pattern[str]] = {"input": _TAKES, "output": _GIVES}
    told: list[SlotName] = [name for name, pattern in patterns.items() if pattern.search(text)]
    return frozenset(told or [_PROCESSING])


def _question_claims(sentences: Sequence[Passage]) -> Iterator[Claim]:
    """The whole question in its order: what the user says, then what they ask."""
    has_asking = any(asks(sentence.text) for sentence in sentences)
    for is_asked, group in groupby(sentences, key=lambda sentence: not has_asking or asks(sentence.text)):
        yield _claim("The user asks" if is_asked else "The user says", list(group))


def _claim(speaker: str, sentences: Sequence[Passage]) -> Claim:
    sentences = quotable(sentences)
    quotes = " ".join(quote(sentence.text) for sentence in sentences)
    return Claim(text=f"{speaker}: {quotes}", evidence=tuple(sentence.id for sentence in sentences))


def _runs(chains: Iterable[tuple[int, ...]]) -> list[list[int]]:
    """Chosen rows in order; chains that touch by a sentence that both hold become one run."""
    runs: list[list[int]] = []
    for chain in sorted(chains):
        if runs and chain[0] <= runs[-1][-1]:
            runs[-1] += [row for row in chain if row > runs[-1][-1]]
        else:
            runs.append(list(chain))
    return runs


def _says_nothing_new(sentence: Passage, chosen: Iterable[Passage]) -> bool:
    stems = set(content_stems(sentence.text))
    for other in (set(content_stems(passage.text)) for passage in chosen):
        shorter = min(len(stems), len(other))
        if shorter and len(stems & other) / shorter >= NEAR_DUPLICATE_SHARE:
            return True
    return not stems
