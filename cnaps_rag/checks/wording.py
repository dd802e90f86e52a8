"""Wording of a claim that says the opposite of its evidence, or leaves out its doubt: negation, comparison, hedges."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from cnaps_rag.checks.faults import Fault
from cnaps_rag.checks.names import find_names, spelling_keys
from cnaps_rag.report import Rule
from cnaps_rag.words import content_stems, split_words, stem

_CLAUSE_END = re.compile(r"[,;:.!?()]\s|[;:()]|\b(?:but|while|whereas|although|though|however|which|who)\b")
_NEGATION = re.compile(
    r"\b(?:not(?! (?:only|just|merely|necessarily|to mention))|no(?! doubt)|never|neither|nor|without|"
    r"cannot|\w+n['’]t|hardly|barely|scarcely|lacks?|lacking|fails? to|failed to|unable to|of little|instead of|"
    r"rather than|free (?:of|from))\b|\bnon-(?=\w)",
    re.IGNORECASE,
)
# These deny what follows only in effect: enough to excuse a "not", too little to accuse for lack of one.
_AVOIDANCE = re.compile(
    r"\b(?:avoid|prevent|preclud|mitigat|unlike|remov|eliminat|reduc|miss|los[et])\w*", re.IGNORECASE
)
# Words that may carry a negation inside them: with one of these in the claim, a missing "not" proves nothing.
_NEGATIVE = re.compile(
    r"\b(?:nothing|none|nobody|without|lack\w*|miss\w*|lost|los[es]\w*|avoid\w*|prevent\w*|ignor\w*|overlook\w*|absen\w*|"
    r"disregard\w*|mitigat\w*|neglect\w*|free|few|fewer|little|less|unlike|instead|too|only|hard\w*|poor\w*|weak\w*|fail\w*|stop\w*|"
    r"un(?!der|it|if|iq|cov|til|leash)[a-z]{4,}|non-?\w+|\w+less|(?:in|im)(?:flex|sens|acc|cons|dep|vis|poss|suff|adeq)\w+)\b",
    re.IGNORECASE,
)

_HEDGE = re.compile(
    r"\b(?:may|might|could|can|would|potential(?:ly)?|possibl[ey]|likely|perhaps|seems?|appears?|suggest\w*)\b"
    r"(?:\s\w+ly\b)?",
    re.IGNORECASE,
)
# These make less of the word that follows; a number has its own check.
_SOFTENER = re.compile(
    r"\b(?:nearly|almost|virtually|practically|part(?:ial)?ly|mostly|largely|sometimes|occasionally|somewhat)\b(?!\s\d)",
    re.IGNORECASE,
)
_SOFT = re.compile(
    r"\b(?:most|some|many|often|usually|mainly|close to|next to|all but|in part|partial|about|around)\b", re.IGNORECASE
)
# What follows one of these, to the end of the sentence, is not told as a fact.
_GUESS = re.compile(r"\b(?:hypothesi\w*|assum\w*|conjectur\w*|speculat\w*|suspect\w*|hop(?:e|es|ing))\b", re.IGNORECASE)
# One of these in a claim may keep it as careful as its evidence, unless the evidence holds it beside its hedge.
_CAREFUL = re.compile(
    r"\b(?:believ\w*|argu\w*|propos\w*|idea|expect\w*|able|allow\w*|enabl\w*|capab\w*|let(?:s|ting)?|want\w*|try|tries|"
    r"trying|meant|supposed|goal|aim\w*|seek\w*|intend\w*|according|whether|should|promis\w*|if|is to|are to)\b",
    re.IGNORECASE,
)

_BOTH = re.compile(r"\bboth ([\w-]+) and ([\w-]+)(?:[ -]([\w-]+))?", re.IGNORECASE)

_OPPOSITES = """increase decrease|raise lower|higher lower|more less|more fewer|before after|strengthen weaken|
enhance weaken|enhance suppress|better worse|cheap expensive|cheaply expensive|inexpensive expensive|large small|
many few|strong weak|
always never|reduce increase|improve worsen|improve degrade|improve reduce|first last|open closed|increase reduce|
outperform underperform|faster slower|fast slow|easy difficult|internal external|global local|synthetic real|add remove|
agnostic specific|maximize minimize|online offline|early late|upscale downscale|upsample downsample|
supervised unsupervised|success failure|gain loss|encourage penalize|high low|flexible inflexible|stable unstable|
sensitive insensitive|public private|old new|short long|correct incorrect|strongly weakly|accurate inaccurate"""
_OPPOSITE_STEMS = frozenset(
    frozenset((stem(first), stem(second)))
    for first, second in (pair.split() for pair in _OPPOSITES.replace("\n", "").split("|"))
)

_COMPARISON = re.compile(
    r"\b(?:(?<!rather )(?<!other )(?<!more )(?<!less )than(?! \d)|outperform\w*|surpass\w*|beats?|exceeds?|"
    r"superior to|ahead of)\b",
    re.IGNORECASE,
)
_BEHIND = re.compile(r"\b(?:(?:fall|lag|trail)\w* behind|fell behind|inferior|worse|underperform\w*)\b", re.IGNORECASE)
_AHEAD = re.compile(r"\b(?:outperform\w*|superior|surpass\w*|better|beats?|on par|comparabl[ey])\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Scope:
    """A cue word and the content stems that it governs."""

    cue: str
    stems: tuple[str, ...]


def leaves_out_doubt(left_out: str) -> bool:
    """True where words left out of a quotation hold a negation or a hedge, so that the rest may say something else."""
    return _NEGATION.search(left_out) is not None or any(cue.search(left_out) for cue in (_HEDGE, _GUESS))


def check_wording(claim: str, passages: Sequence[str]) -> tuple[Fault, ...]:
    """Faults of wording in `claim` against its evidence: what is turned round, and what is made stronger.

    Args:
        claim: the claim's text.
        passages: the passages that it is to follow from. What the one with most of the claim's words says counts most:
            a "without" that another sentence happens to hold excuses nothing.
    """
    whole = " ".join(passages)
    stems = set(content_stems(claim))
    nearest = max(passages, key=lambda passage: len(stems & set(content_stems(passage))))
    for evidence in dict.fromkeys((whole, nearest)):
        faults = [*_negations(claim, evidence), *_comparisons(claim, evidence), *_opposites(claim, evidence)]
        if faults:
            return tuple(faults)
    return (*_hedges(claim, nearest), *_both(claim, whole))


@lru_cache(maxsize=4_096)
def _scopes(text: str, cue: re.Pattern[str], limit_words: int = 5) -> tuple[_Scope, ...]:
    scopes: list[_Scope] = []
    for match in cue.finditer(text):
        rest = text[match.end() :]
        end = _CLAUSE_END.search(rest)
        clause = rest[: end.start()] if end else rest
        scopes.append(_Scope(match.group().lower(), content_stems(clause)[:limit_words]))
    return tuple(scopes)


def _negations(claim: str, evidence: str) -> Iterator[Fault]:
    ours, theirs = _scopes(claim, _NEGATION), _scopes(evidence, _NEGATION)
    evidence_stems, claim_stems = set(content_stems(evidence)), set(content_stems(claim))
    denied = {stem_ for scope in (*theirs, *_scopes(evidence, _AVOIDANCE)) for stem_ in scope.stems}
    for scope in ours:
        if scope.cue in ("neither", "nor") and theirs:
            continue
        met = [stem_ for stem_ in scope.stems if stem_ in evidence_stems]
        is_double = any(other is not scope and set(other.stems) <= set(scope.stems) for other in ours)
        if not is_double and _is_met(scope, met) and not denied & set(met):
            yield _contradicted("negation_added", f'the claim says "{scope.cue} …" of what the evidence affirms.')
    if ours or _NEGATIVE.search(claim):
        return
    for scope in theirs:
        met = [stem_ for stem_ in scope.stems if stem_ in claim_stems]
        if _is_met(scope, met) and scope.stems[0] in met:
            yield _contradicted("negation_dropped", f'the claim leaves out the "{scope.cue}" of the evidence.')


def _is_met(scope: _Scope, met: list[str]) -> bool:
    return bool(met) and len(met) * 2 >= len(scope.stems)


def _comparisons(claim: str, evidence: str) -> Iterator[Fault]:
    """Such as "A is better than B" of "B is better than A", told by the names on either side."""
    if _BEHIND.search(claim) and _AHEAD.search(evidence) and not _BEHIND.search(evidence):
        yield _contradicted("comparison_turned", "the evidence does not put it behind what it is compared with.")
    for ours in _COMPARISON.finditer(claim):
        keys = {name.key for name in find_names(claim[: ours.start()])}
        for theirs in _COMPARISON.finditer(evidence):
            left, right = spelling_keys(evidence[: theirs.start()]), spelling_keys(evidence[theirs.end() :])
            if keys and keys & right and not keys & left:
                yield _contradicted(
                    "comparison_turned",
                    f"the evidence puts {', '.join(sorted(keys & right))} on the other side of its comparison.",
                )
                return


def _opposites(claim: str, evidence: str) -> Iterator[Fault]:
    """A word and its opposite beside the same words: "correlates strongly" of "weakly correlated"."""
    ours, theirs = _plain_stems(claim), _plain_stems(evidence)
    for pair in _OPPOSITE_STEMS:
        in_claim, in_evidence = pair & ours, pair & theirs
        if len(in_claim) != 1 or len(in_evidence) != 1 or in_claim == in_evidence or _NEGATION.search(claim + evidence):
            continue
        (said,), (told,) = in_claim, in_evidence
        if _beside(claim, said) & _beside(evidence, told):
            yield _contradicted("opposite", f'"{said}" in the claim is the opposite of "{told}".')


def _beside(text: str, stem_: str, reach: int = 3) -> set[str]:
    """Content stems that stand within a few words of `stem_`."""
    stems = [word.stem for word in split_words(text) if word.is_content or word.stem == stem_]
    places = [place for place, other in enumerate(stems) if other == stem_]
    near = {n for place in places for n in range(max(0, place - reach), min(len(stems), place + reach + 1))}
    return {stems[n] for n in near.difference(places)}


@lru_cache(maxsize=4_096)
def _plain_stems(text: str) -> frozenset[str]:
    return frozenset(word.stem for word in split_words(text))


def _hedges(claim: str, evidence: str) -> Iterator[Fault]:
    if _HEDGE.search(claim) or _GUESS.search(claim):
        return
    claim_stems, evidence_stems = set(content_stems(claim)), _plain_stems(evidence)
    if any(stem(match.group()) not in evidence_stems for match in _CAREFUL.finditer(claim)):
        return
    guessed = [scope for scope in _scopes(evidence, _GUESS, 20) if len(claim_stems & set(scope.stems)) >= 3]
    hedged = [scope for scope in _scopes(evidence, _HEDGE, 3) if scope.stems and scope.stems[0] in claim_stems]
    if not _SOFTENER.search(claim) and not _SOFT.search(claim):
        softened = _scopes(evidence, _SOFTENER, 3)
        hedged += [scope for scope in softened if scope.stems and scope.stems[0] in claim_stems]
    for scope in (guessed + hedged)[:1]:
        reason = f'the claim leaves out the "{scope.cue}" of the evidence.'
        yield Fault(layer="wording", rule="hedge_dropped", verdict="not_found", reason=reason)


def _both(claim: str, evidence: str) -> Iterator[Fault]:
    """Each word of "both low and high resolution" has to stand in the evidence, near "resolution" where that does."""
    stems = _plain_stems(evidence)
    for match in _BOTH.finditer(claim):
        noun = next(iter(content_stems(match[3] or "")), "")
        for word in match.groups()[:2]:
            own = content_stems(word)
            is_held = set(own) <= stems
            if is_held and (noun not in stems or any(noun in _beside(evidence, stem_) for stem_ in own)):
                continue
            reason = f'the evidence does not say "{word}" of "{match.group()}".'
            yield Fault(layer="wording", rule="both", verdict="not_found", reason=reason)
            break


def _contradicted(rule: Rule, reason: str) -> Fault:
    return Fault(layer="wording", rule=rule, verdict="contradicted", reason=reason)
