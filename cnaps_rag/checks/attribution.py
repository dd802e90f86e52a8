"""Which source a claim speaks of (policy.md, "When a claim is supported", 2)."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache

from cnaps_rag.checks.names import find_names, spelling_keys
from cnaps_rag.fit import named_models
from cnaps_rag.request import AnswerRequest
from cnaps_rag.sources import QUESTION_ID, Source, SourceId
from cnaps_rag.words import STOP_WORDS, content_stems, split_words

_TITLE_HEAD = re.compile(r"^(.{2,60}?)(?::|\?|!| [-–—] )\s*\S")
_INTRODUCED = re.compile(
    r"\b(?:propos\w+|introduc\w+|present\w*|develop\w*|call(?:ed|s)|named|dubbed|termed|build|built|releas\w+)\b"
    r"(?P<rest>(?:[^.;]|\.(?!\s)){0,160})"
)
_WORK = (
    r"paper|study|survey|article|work|publication|report|review|guidelines?|abstract|authors?|researchers|"
    r"dataset|database|benchmark|method|approach|system|framework|pipeline|agent|estimator|network|model|algorithm"
)
# "The canopy height paper", and not "the paper describes a method": no function word, no second noun of this kind.
_DESCRIPTION = re.compile(
    rf"\b(?:the|this|that)\s+(?P<words>(?:(?!(?:{_WORK}|{'|'.join(map(re.escape, sorted(STOP_WORDS)))})\s)"
    rf"[\w.+'’-]+\s+){{1,5}}?)(?P<work>{_WORK})\b",
    re.IGNORECASE,
)
_OF_DESCRIPTION = re.compile(
    rf"\bthe\s+(?P<work>{_WORK}|case study)\s+(?:on|of|about|for)\s+(?P<words>(?:[\w-]+\s?){{1,4}})", re.IGNORECASE
)
_BESIDE_LATIN = re.compile(r"[\u1100-\u11ff\u2e80-\u9fff\uac00-\ud7af\uff00-\uffef]")
_THE_MODEL = re.compile(
    r"\b(?:the|this|that|these|both|all|each|neither) (?:(?:two|three|recommended|supplied) )*models?\b", re.I
)
_OF_THE_USER = re.compile(
    r"^\W*(?:(?:here|in short|in other words|in this (?:request|case)),? )?"
    r"(?:(?:what )?the (?:user|asker|person|question|task|goal|aim|request)\b|the user's|users? (?:wants?|asks?)|"
    r"you\b|your\b)",
    re.IGNORECASE,
)
_USER_IN_IT = re.compile(
    r"\bthe user (?:asks?|wants?|wonders?|would like|is asking|asked|wanted|starts? from|says?)\b", re.I
)


@dataclass(frozen=True, slots=True)
class Mention:
    """A place in a claim that names a source, by name, by title or by description."""

    source_id: SourceId
    start: int
    end: int


@lru_cache(maxsize=2_048)
def find_mentions(claim: str, request: AnswerRequest) -> tuple[Mention, ...]:
    """Places in `claim` that name a supplied model or paper, leftmost first; overlapping ones: the longest."""
    found = [mention for source in request.sources for mention in _mentions_of(claim, source, request)]
    found += _model_mentions(claim, request) + _descriptions(claim, request)
    kept: list[Mention] = []
    for mention in sorted(found, key=lambda mention: (mention.start - mention.end, mention.start)):
        over = [other for other in kept if mention.start < other.end and other.start < mention.end]
        names_other = any(_same_span(mention, other) and not _are_twins(mention, other, request) for other in over)
        if not over or names_other:
            kept.append(mention)
    return tuple(sorted(kept, key=lambda mention: mention.start))


def _are_twins(mention: Mention, other: Mention, request: AnswerRequest) -> bool:
    return other.source_id in request.twins(mention.source_id)


def _same_span(mention: Mention, other: Mention) -> bool:
    return (mention.start, mention.end) == (other.start, other.end)


def _mentions_of(claim: str, source: Source, request: AnswerRequest) -> list[Mention]:
    mentions: list[Mention] = []
    for handle in handles_of(source, request):
        for match in _handle_pattern(handle).finditer(claim):
            mentions.append(Mention(source.id, match.start(), match.end()))
    return mentions


def _model_mentions(claim: str, request: AnswerRequest) -> list[Mention]:
    """Shortest runs of words that name a recommended model, as `named_models` reads names."""
    claim = _BESIDE_LATIN.sub(" ", claim)  # a name may stand right before a Korean particle
    if not named_models(claim, request):
        return []
    mentions: list[Mention] = []
    tokens = [match.span() for match in re.finditer(r"[^\s,;:()\"“”]+", claim)]
    for length in (1, 2, 3):
        for run in zip(*(tokens[n:] for n in range(length)), strict=False):
            start, end = run[0][0], run[-1][1]
            if any(mention.start < end and start < mention.end for mention in mentions):
                continue
            ids = named_models(claim[start:end], request)
            mentions += [Mention(source_id, start, end) for source_id in ids]
    return mentions


@lru_cache(maxsize=4_096)
def _handle_pattern(handle: str) -> re.Pattern[str]:
    parts = re.findall(r"[^\W_]+", handle)
    flags = re.IGNORECASE if len(parts) > 1 or not handle[0].isupper() or handle[1:].islower() else 0
    if len(parts) == 1 and handle.islower():
        flags = 0
    return re.compile(r"(?<![A-Za-z0-9-])" + r"[\W_]{0,3}".join(map(re.escape, parts)) + r"(?![A-Za-z0-9])", flags)


@lru_cache(maxsize=512)
def handles_of(source: Source, request: AnswerRequest) -> tuple[str, ...]:
    """What a claim may call the source: its whole name or title, the title's head, the names that it introduces."""
    handles = [source.title]
    if source.kind == "paper":
        if head := _TITLE_HEAD.match(source.title):
            handles.append(head[1].strip())
        handles += _own_names(source.id, request)
    return tuple(handle for handle in handles if re.search(r"[^\W_]{2}", handle))


@lru_cache(maxsize=256)
def _own_names(source_id: SourceId, request: AnswerRequest) -> tuple[str, ...]:
    """Names that a paper introduces as its own ("we propose PessORL") and no other source holds."""
    source = request.source(source_id)
    twins = request.twins(source_id)
    others = " ".join(f"{other.title} {other.text}" for other in request.sources if other.id not in twins)
    foreign = spelling_keys(others)
    names: list[str] = []
    for match in _INTRODUCED.finditer(source.text):
        found = [name for name in find_names("we " + match["rest"]) if re.search(r"[A-Z].*[A-Z]|[A-Za-z]\d", name.text)]
        names += [name.text for name in found[:3] if name.key not in foreign and name.text not in names]
    return tuple(names)


def _descriptions(claim: str, request: AnswerRequest) -> list[Mention]:
    mentions: list[Mention] = []
    for pattern in (_DESCRIPTION, _OF_DESCRIPTION):
        for match in pattern.finditer(claim):
            is_model = match["work"].lower() in ("model", "network")
            stems = set(content_stems(match["words"]))
            if (source_id := _described(frozenset(stems), request, is_model=is_model)) is not None:
                mentions.append(Mention(source_id, match.start(), match.end()))
    return mentions


def _described(stems: frozenset[str], request: AnswerRequest, *, is_model: bool) -> SourceId | None:
    """The one source whose title, else name (of what is called a model), else summary, holds all these words."""
    papers = [source for source in request.sources if source.kind == "paper"]
    models = [source for source in request.sources if source.kind == "model"] if is_model else []
    readings = (
        [(paper.id, paper.title) for paper in papers],
        [(model.id, _spaced(model.title)) for model in models],
        [(paper.id, f"{paper.title} {paper.text}") for paper in papers],
    )
    for reading in readings:
        ids = {request.twins(source_id)[0]: source_id for source_id, text in reading if stems <= _stems_of(text)}
        if ids and stems:
            return next(iter(ids.values())) if len(ids) == 1 else None
    return None


def _spaced(title: str) -> str:
    """Parts of a model's name as words: ``OCR-PPOCR-Korean``, ``DecisionTransformer``."""
    return f"{title} {re.sub(r'(?<=[a-z])(?=[A-Z])', ' ', title)}"


@lru_cache(maxsize=1_024)
def _stems_of(text: str) -> frozenset[str]:
    return frozenset(word.stem for word in split_words(text))


def speaks_of_user(claim: str) -> bool:
    """True where a claim says what the user has, asks or wants."""
    return _OF_THE_USER.search(claim) is not None or _USER_IN_IT.search(claim) is not None


def spoken_of(claim: str, request: AnswerRequest, subject: SourceId | None) -> tuple[SourceId, ...]:
    """Sources that the claim speaks of; empty where it names none and none is known from where it stands.

    What it names itself goes before what stands above it, unless it opens with a word that points back ("It ...").
    """
    mentions = find_mentions(claim, request)
    named = tuple(dict.fromkeys(mention.source_id for mention in mentions))
    if subject is not None:
        twins = () if subject == QUESTION_ID else request.twins(subject)
        opens_with_other = bool(mentions) and mentions[0].start <= 30 and not _points_back(claim)
        if not named or subject in named or any(source_id in twins for source_id in named) or not opens_with_other:
            return (subject,)
        return named
    if not named and (match := _THE_MODEL.search(claim)) and match.start() < 40:
        return tuple(source.id for source in request.sources if source.kind == "model")
    return named


def _points_back(claim: str) -> bool:
    return re.match(r"\W*(?:it|its|they|their|this|these|input|output|processing|the model)\b", claim, re.I) is not None


def without_mentions(claim: str, request: AnswerRequest, ids: Collection[SourceId]) -> str:
    """The claim with what it calls these sources replaced by "it", so that it can be held against a text of theirs."""
    # Sources with one title are mentioned by the same words, which are to be replaced once.
    edge = len(claim)
    for mention in reversed(find_mentions(claim, request)):
        if mention.source_id in ids and mention.end <= edge:
            claim = f"{claim[: mention.start]}it{claim[mention.end :]}"
            edge = mention.start
    return claim
