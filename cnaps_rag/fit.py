"""Which related papers bear on the question, and what the sources tell of each recommended model's fit."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cnaps_rag.discourse import asks, points_back
from cnaps_rag.passages import Hit, Passage, PassageId, Passages
from cnaps_rag.request import AnswerRequest
from cnaps_rag.sources import QUESTION_ID, SourceId

Vectors = NDArray[np.float32]

# Weights of the judgement "this paper bears on the question": a logistic regression (L2 = 1 on standardised signals)
# over the 96 papers of 25 prompts that are labelled relevant or irrelevant; evals/fit/calibrate.py fits and measures.
WEIGHT_ASKED = 2.2
WEIGHT_AGREEMENT = 15.8
WEIGHT_NAME = 7.2
INTERCEPT = -10.2

# Under one half on purpose: a paper missed leaves section 3 thin, one too many costs a reader a few quoted lines. With
# each group of prompts left out in turn: precision 0.85, recall 0.91 here; 0.86 and 0.88 at one half.
LEAST_SCORE = 0.42

# Cosine of the whole question with the nearest sentence of a paper or of the two papers closest to it. Of the papers
# labelled relevant none lies under 0.29; it turns away most papers taken from another prompt.
LEAST_COSINE = 0.25

# From here on a sentence speaks of what is asked, whatever else was supplied; no irrelevant paper comes over 0.53.
PLAIN_COSINE = 0.55

# A model's own text is told to fit, or not to fit, only where that is plain. With summaries of papers in the place of
# descriptions, 35 of 58 relevant and 2 of 39 irrelevant ones are told to fit, 0 and 5 not to fit; of those taken from
# another prompt 167 of 289 are told not to fit, and none to fit (evals/fit/calibrate.py).
FITTING_SCORE = 0.7
FOREIGN_SCORE = 0.2

# Stand for a signal that a request cannot give (a single paper, no model): means over the same 96 papers.
MEAN_AGREEMENT = 0.52
MEAN_NAME = 0.28

N_CLOSEST_PAPERS = 2
N_SENTENCE_PAIRS = 3
# Papers compared sentence by sentence, by nearness of their means: bounds the work for a request of 1,000 sources.
N_COMPARED_PAPERS = 12

# The same text supplied again under another link, or under none, agrees with itself and so says nothing.
COPY_COSINE = 0.98

# Shorter titles ("Noise") may stand in a question by chance.
LEAST_TITLE_WORDS = 3

# Share of Latin letters under which the shipped encoder, trained on English, tells nothing of the question.
LEAST_LATIN_SHARE = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class PaperFit:
    """Whether one related paper bears on the question; `score` is the probability by our calibration, 0 to 1.

    A paper bears from `LEAST_SCORE` on with `LEAST_COSINE`, from `PLAIN_COSINE` on, or where the question names it: by
    its whole title, or by the name before the title's colon ("FeatSharp: ..."). `passage_ids` are all its
    passages, nearest to the question first. Papers that share a link are judged as one, so that twins bear alike.
    """

    source_id: SourceId
    bears: bool
    score: float
    passage_ids: tuple[PassageId, ...]
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelFit:
    """What supplied text tells of one recommended model's fit (policy.md, "Fit"); `evidence` are its sentences.

    A name is no text: where only the name speaks of another task, the verdict is ``not_told``. A model's own text that
    does not tell clearly stands as evidence of a ``not_told``, for a reader to decide.
    """

    source_id: SourceId
    verdict: Literal["fits", "does_not_fit", "not_told"]
    evidence: tuple[PassageId, ...]
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Fit:
    """Judgements on all related papers and all recommended models, each in the request's order."""

    papers: tuple[PaperFit, ...]
    models: tuple[ModelFit, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Signals:
    """What the judgement on one text rests on: cosines, -1 to 1.

    Attributes:
        asked: nearest sentence of the text to a sentence of the question that asks.
        agreement: mean over the closest two other papers of the three nearest pairs of sentences; None without others.
        name: nearest sentence of the text to a recommended model's name; None without models.
        own_cosine: nearest sentence of the text to the whole question.
        cosine: the same of the text and those two papers together.
    """

    asked: float
    agreement: float | None
    name: float | None
    own_cosine: float
    cosine: float
    closest: tuple[SourceId, ...]

    @property
    def score(self) -> float:
        """Probability that the text bears on the question, before `LEAST_COSINE` is asked."""
        agreement = MEAN_AGREEMENT if self.agreement is None else self.agreement
        name = MEAN_NAME if self.name is None else self.name
        logit = INTERCEPT + WEIGHT_ASKED * self.asked + WEIGHT_AGREEMENT * agreement + WEIGHT_NAME * name
        return 1 / (1 + math.exp(-logit))


def assess_fit(passages: Passages, hits: Sequence[Hit], vectors: Vectors) -> Fit:
    """Judgements on every paper and model of the request.

    Args:
        passages: all passages of the request.
        hits: every passage with its cosine to the whole question.
        vectors: shape (n, d), the unit vector of each passage, in the order of ``passages.all``.
    """
    space = _Space(passages, hits, vectors)
    papers = assess_papers(space)
    bearing = frozenset(paper.source_id for paper in papers if paper.bears)
    models = tuple(
        _assess_model(space, source.id, bearing) for source in passages.request.sources if source.kind == "model"
    )
    return Fit(papers=papers, models=models)


class _Space:
    """Passages with their vectors and their cosines to the question, and the papers they make up, twins as one."""

    def __init__(self, passages: Passages, hits: Sequence[Hit], vectors: Vectors) -> None:
        self.passages = passages
        self.request = passages.request
        self.cosine_by_id: Mapping[PassageId, float] = {hit.passage.id: hit.score for hit in hits}
        self.reads_question = _latin_share(self.request.question) >= LEAST_LATIN_SHARE
        self._vectors = vectors
        self._row_by_id = {passage.id: row for row, passage in enumerate(passages.all)}
        question = passages.of(QUESTION_ID)
        self._asking = self.of([passage for passage in question if asks(passage.text)] or question)
        self._names = self.of([p for p in passages.all if p.field == "name"])
        self.papers: dict[SourceId, tuple[Passage, ...]] = {}
        for source in self.request.sources:
            twins = self.twin_papers(source.id)
            if source.kind == "paper" and twins[0] == source.id:
                self.papers[source.id] = tuple(p for twin in twins for p in passages.of(twin))
        means = [_unit(self.of(texts).mean(axis=0)) for texts in self.papers.values()]
        self._means = np.stack(means) if means else np.zeros((0, vectors.shape[1]), dtype=np.float32)

    def of(self, passages: Iterable[Passage]) -> Vectors:
        """Vectors of these passages, shape (n, d)."""
        return self._vectors[[self._row_by_id[passage.id] for passage in passages]]

    def twin_papers(self, source_id: SourceId) -> tuple[SourceId, ...]:
        """The related papers among the sources that share a link with this one."""
        return tuple(twin for twin in self.request.twins(source_id) if self.request.source(twin).kind == "paper")

    def nearest_first(self, passages: Iterable[Passage]) -> tuple[PassageId, ...]:
        """Ids by cosine to the question; equal ones in the order given."""
        return tuple(sorted((p.id for p in passages), key=lambda passage_id: -self.cosine_by_id[passage_id]))

    def paper_signals(self, paper_id: SourceId) -> Signals:
        """Signals of one paper; the name of a model whose own paper it is says nothing of the question."""
        is_related = all(self.request.source(twin).kind == "paper" for twin in self.request.twins(paper_id))
        return self.signals(self.papers[paper_id], leave_out=[paper_id], by_name=is_related)

    def signals(self, texts: Sequence[Passage], *, leave_out: Iterable[SourceId] = (), by_name: bool = True) -> Signals:
        """Signals of a text, given by its passages, among the papers that are not left out."""
        vectors = self.of(texts)
        closest = self._closest(vectors, frozenset(leave_out))
        own_cosine = max(self.cosine_by_id[passage.id] for passage in texts)
        others = [self.cosine_by_id[passage.id] for paper_id, _ in closest for passage in self.papers[paper_id]]
        return Signals(
            asked=float((self._asking @ vectors.T).max()),
            agreement=float(np.mean([similarity for _, similarity in closest])) if closest else None,
            name=float((self._names @ vectors.T).max()) if by_name and len(self._names) else None,
            own_cosine=own_cosine,
            cosine=max([own_cosine, *others]),
            closest=tuple(paper_id for paper_id, _ in closest),
        )

    def _closest(self, vectors: Vectors, leave_out: frozenset[SourceId]) -> list[tuple[SourceId, float]]:
        """The papers most like `vectors`, best first, with the mean cosine of their nearest pairs of sentences."""
        nearness: list[float] = (self._means @ _unit(vectors.mean(axis=0))).tolist()
        near = sorted(zip(self.papers, nearness, strict=True), key=lambda pair: -pair[1])
        candidates = [paper_id for paper_id, _ in near if paper_id not in leave_out][:N_COMPARED_PAPERS]
        likeness = [(paper_id, self._likeness(vectors, paper_id)) for paper_id in candidates]
        others = [pair for pair in likeness if pair[1] < COPY_COSINE]
        return sorted(others, key=lambda pair: -pair[1])[:N_CLOSEST_PAPERS]

    def _likeness(self, vectors: Vectors, paper_id: SourceId) -> float:
        cosines = vectors @ self.of(self.papers[paper_id]).T
        return float(np.sort(cosines, axis=None)[-N_SENTENCE_PAIRS:].mean())


def paper_signals(passages: Passages, hits: Sequence[Hit], vectors: Vectors) -> dict[SourceId, Signals]:
    """Signals of each paper, twins as one under the first; what the calibration fits its weights to."""
    space = _Space(passages, hits, vectors)
    return {paper_id: space.paper_signals(paper_id) for paper_id in space.papers}


def assess_papers(space: _Space) -> tuple[PaperFit, ...]:
    """Judgement on each related paper, in the request's order."""
    fits: dict[SourceId, PaperFit] = {}
    question = space.request.question
    for paper_id in space.papers:
        signals = space.paper_signals(paper_id)
        near = signals.cosine >= LEAST_COSINE or not space.reads_question
        named = any(_is_named(space.request.source(twin).title, question) for twin in space.twin_papers(paper_id))
        bears = named or signals.own_cosine >= PLAIN_COSINE or (near and signals.score >= LEAST_SCORE)
        for twin in space.twin_papers(paper_id):
            fits[twin] = PaperFit(
                source_id=twin,
                bears=bears,
                score=signals.score,
                passage_ids=space.nearest_first(space.passages.of(twin)),
                reason="the question names it" if named else _paper_reason(signals, near=near, bears=bears),
            )
    return tuple(fits[source.id] for source in space.request.sources if source.kind == "paper")


def _is_named(title: str, question: str) -> bool:
    """True when the question holds the title, or the one word before its colon that names the paper's method."""
    if " ".join(title.split()).casefold() in " ".join(question.split()).casefold():
        return len(title.split()) >= LEAST_TITLE_WORDS
    name, colon, _ = title.partition(":")
    is_name = bool(colon) and len(name.split()) == 1 and _is_distinctive(name) and any(map(str.isupper, name[1:]))
    return is_name and bool(_name_pattern(name).search(question))


def _paper_reason(signals: Signals, *, near: bool, bears: bool) -> str:
    if not near:
        return f"no sentence of it, or of the papers most like it, is near the question ({signals.cosine:.2f})"
    found = [f"cosine to what is asked {signals.asked:.2f}"]
    if signals.agreement is not None:
        found.append(f"to its closest papers {' and '.join(signals.closest)} {signals.agreement:.2f}")
    if signals.name is not None:
        found.append(f"to a recommended model's name {signals.name:.2f}")
    verdict = "bears on the question" if bears else "does not bear on the question"
    return f"{verdict} with probability {signals.score:.2f}: {', '.join(found)}"


# The fit of a recommended model


def _assess_model(space: _Space, model_id: SourceId, bearing: frozenset[SourceId]) -> ModelFit:
    """Told by the model's own texts where there are any, else by a sentence that names it in a paper that bears."""
    own = [p for twin in space.request.twins(model_id) for p in space.passages.of(twin) if not p.id.endswith(".0")]
    if own:
        return _assess_described(space, model_id, own, bearing)
    name = space.request.source(model_id).title
    naming = [p for p in space.passages.all if p.field == "summary" and tells_of(p.text, name)]
    told = [p for p in naming if p.source_id in bearing]
    if told:
        # Alone in an answer's first line, so one that leans on the sentence before it is the last choice.
        best = min(told, key=lambda p: (points_back(p.text), -space.cosine_by_id[p.id]))
        reason = f"{best.source_id} bears on the question and speaks of the model by name"
        return ModelFit(source_id=model_id, verdict="fits", evidence=(best.id,), reason=reason)
    reason = "named only where another matter is spoken of" if naming else "no supplied text speaks of the model"
    return ModelFit(source_id=model_id, verdict="not_told", evidence=(), reason=reason)


def _assess_described(
    space: _Space, model_id: SourceId, own: Sequence[Passage], bearing: frozenset[SourceId]
) -> ModelFit:
    """Judges the model's own texts as a paper is judged: they fit, are far from the question, or leave it open."""
    papers = space.twin_papers(model_id)
    signals = space.signals(own, leave_out=papers, by_name=False)
    evidence = space.nearest_first(own)[:1]
    cosine = signals.own_cosine
    measured = f"cosine {cosine:.2f}, probability {signals.score:.2f}"
    # The same text as a related paper has been judged already, and must not be judged otherwise here.
    bears = not papers or papers[0] in bearing
    is_near = cosine >= LEAST_COSINE or not space.reads_question
    agrees = is_near and signals.agreement is not None and signals.score >= FITTING_SCORE
    if bears and (cosine >= PLAIN_COSINE or agrees):
        reason = f"its own text bears on the question ({measured})"
        return ModelFit(source_id=model_id, verdict="fits", evidence=evidence, reason=reason)
    can_tell = space.reads_question and _latin_share(" ".join(p.text for p in own)) >= LEAST_LATIN_SHARE
    if can_tell and cosine < LEAST_COSINE and signals.score < FOREIGN_SCORE and not (papers and bears):
        reason = f"its own text is far from the question ({measured})"
        return ModelFit(source_id=model_id, verdict="does_not_fit", evidence=evidence, reason=reason)
    reason = f"its own text does not tell clearly ({measured})"
    return ModelFit(source_id=model_id, verdict="not_told", evidence=evidence, reason=reason)


def tells_of(text: str, name: str) -> bool:
    """True when `text` names the model called `name`, and for more than to compare another method with it."""
    (pattern,) = _name_patterns((name,))
    return any(not _COMPARED.search(text[: match.start()]) for match in pattern.finditer(text))


# "9.2% over the best traditional method XGBoost" says how good another method is, not what XGBoost does.
_COMPARED = re.compile(
    r"\b(?:over|than|unlike|instead of|against|versus|vs\.?|beats?|outperform\w*|surpass\w*|exceed\w*|"
    r"compare[sd]? (?:to|with)|baselines?,? (?:such as|like|including))\s+(?:[\w%.-]+\s+){0,6}$",
    re.IGNORECASE,
)


def _latin_share(text: str) -> float:
    letters = [character for character in text if character.isalpha()]
    return sum(character < "\u0250" for character in letters) / len(letters) if letters else 1.0


def _unit(vector: Vectors) -> Vectors:
    norm = float(np.linalg.norm(vector))
    return vector / norm if norm > 0 else vector


# Names

# Parts of a name that say a task, a size, a data kind or a whole family of methods, and so name no single model.
_GENERIC_PARTS = frozenset(
    re.findall(
        r"\w+",
        """any all base basic big blind color colour custom default fast full general generic gray grey grayscale half
    handwritten high huge image images language large light lite long low medium mini mobile model multi nano net
    network one plus printed pro real rgb scene short small speech sparse standard super text tiny turbo ultra video
    vision word xl xs xxl english korean chinese japanese multilingual uncased cased pretrained finetuned
    attention autoencoder bilstm cnn crf dcgan dnn fcn gan gat gcn gin gnn gru knn lstm mlp rcnn resnet rnn svm
    transformer unet vae vit diffusion llm vlm""",
    )
)
_SIZE_PART = re.compile(r"v?\d+(?:\.\d+)*[a-z]{0,2}|[a-z]{1,2}\d*|x\d+", re.IGNORECASE)


def named_models(text: str, request: AnswerRequest) -> tuple[SourceId, ...]:
    """Recommended models that `text` names: the whole name, or the part of it that names the method.

    A name is read as ``Task-Method-Variant``: the task before the method and the data or size after it name nothing.
    ``HTR-TrOCR-Handwritten`` is named by ``TrOCR``; ``GNN-GCN-Cora`` only whole, since a GCN is a kind of network;
    ``MedSAM-2`` does not name ``MedSeg-MedSAM-ViTB``.
    """
    models = [source for source in request.sources if source.kind == "model"]
    patterns = _name_patterns(tuple(model.title for model in models))
    return tuple(model.id for model, pattern in zip(models, patterns, strict=True) if pattern.search(text))


@lru_cache(maxsize=256)
def _name_patterns(names: tuple[str, ...]) -> tuple[re.Pattern[str], ...]:
    return tuple(_name_pattern(name) for name in names)


def _name_pattern(name: str) -> re.Pattern[str]:
    """Matches the whole name or its method part, never inside a longer name or before another version."""
    parts = [part for part in re.split(r"[-_\s]+", name.rsplit("/", 1)[-1]) if part]
    # A name of a hub begins with the method in small letters ("wav2vec2-base"), not with a task.
    first = 1 if len(parts) > 1 and parts[0][:1].isupper() else 0
    row = next((row for row in range(first, len(parts)) if _is_distinctive(parts[row])), None)
    forms = [re.escape(name)]
    if row is not None:
        before = "".join(f"(?:{re.escape(part)}[-_ ])?" for part in parts[first:row])
        after = "".join(f"(?:[-_ ]{re.escape(part)})?" for part in parts[row + 1 :])
        forms.append(before + _spellings(parts[row]) + after)
    # Not inside a word or a compound, and not before a version number: "Auto-MedSAM", "MedSAM-2" and "MedSAM 2".
    return re.compile(rf"(?<!\w)(?<!\w[-_])(?:{'|'.join(forms)})(?![-_]?\w|\.\d|\s\d(?:\.\d+)?(?![\w.%]))")


def _is_distinctive(part: str) -> bool:
    return len(part) > 2 and part.lower() not in _GENERIC_PARTS and not _SIZE_PART.fullmatch(part)


def _spellings(part: str) -> str:
    """``Tacotron2`` also as ``Tacotron 2``, ``NBEATS`` as ``N-BEATS``, ``HiFiGAN`` as ``HiFi-GAN`` or ``HIFIGAN``."""
    words: list[str] = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^A-Za-z\d]+", part)
    written = [re.escape(word) if not word.isupper() else "-?".join(word) for word in words]
    version = r"(?:\.0)?" if words and words[-1].isdigit() else ""
    if not any(word.islower() or word.istitle() for word in words):
        return "[- ]?".join(written) + version
    # Case is free where the part mixes it anyway, but a reading in small letters alone may be plain English.
    return rf"(?=[^\s]*[A-Z\d]|\w+ [A-Z\d])(?i:{'[- ]?'.join(written)}){version}"
