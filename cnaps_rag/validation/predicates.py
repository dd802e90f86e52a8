"""What asserts nothing (policy.md, "What is not a claim"): told by closed word lists, so that doubt makes a claim."""

from __future__ import annotations

import re

from cnaps_rag.render.phrases import (
    DOES_NOT_FIT,
    FIT_OPEN,
    FITS,
    LLM_NAME,
    NO_BEARING_PAPER,
    NO_LLM,
    NOT_TRACEABLE,
    NOT_USED,
    NOTES,
)

NAME = "\u00a7"
"""Stands for the name of a supplied source in a text whose words are looked at."""

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


def word_set(text: str) -> frozenset[str]:
    """Words of `text`, which white space parts."""
    return frozenset(text.split())


_LABELS = word_set(
    f"""{NAME} task tasks goal workflow pipeline input inputs output outputs processing process step steps stage stages
    model models paper papers tool tools reference references source sources link links code github git arxiv repo
    repository project page pdf doi url website summary overview introduction conclusion answer question explanation
    section part note notes detail details background context user user's name title description method methods
    approach evidence citation citations footnotes appendix key points main short long final further reading related
    recommended supplied relevant provided cited list table figure fit cnaps cnaps-ai ai like literature bibliography
    the a an of and or with for to in from on this these that here below following how what its their paper's
    model's demo tl dr tldr vs"""
)
"""Words of headings, labels and texts of links; no verb, no negation, no praise stands among them."""

_LINK_LABELS = _LABELS | word_set(
    """is are at available can be found under via see also located hosted read it and online accessible there
    published article preprint implementation official"""
)
"""What may stand with a link in a line that says no more than whose link it is."""

# The number that a heading or an item starts with: "2. Workflow", "2.1 Workflow", "Step 1: …"; not that of "16 models".
_NUMBERING = re.compile(
    r"^\W*(?:(?:section|step|part|stage|chapter)\s+\d{1,2}[.):]?|(?:\d{1,2}(?:\.\d{1,2})*|[ivx]{1,4}|[a-z])[.):]|"
    rf"\d{{1,2}}(?:\.\d{{1,2}})+(?=\s+(?-i:[A-Z{NAME}])))\s+",
    re.IGNORECASE,
)

_AUXILIARY = re.compile(
    r"\b(?:is|are|was|were|be|been|being|has|have|had|does|do|did|can|could|will|would|shall|should|may|might|must|"
    r"cannot|need|needs|isn't|aren't|doesn't|don't|won't|can't|let's|let|there's|it's|that's)\b",
    re.IGNORECASE,
)
_DENIES_OR_PRAISES = re.compile(
    r"\b(?:no|not|never|without|none|neither|nor|best|better|ideal|perfect\w*|great|excellent|superior|powerful|"
    r"state[- ]of[- ]the[- ]art|sota|leading|unmatched|flawless\w*|fast\w*|robust|accurate|reliable|most|all|every\w*|"
    r"always|only|free|proven|guaranteed|thanks|because|since|therefore|so|due|than|more|less|clear\w*|stunning|amazing|"
    r"impressive|outstanding|remarkable|exceptional|superb|seamless\w*|revolutionary|cutting[- ]edge|efficient|unique|"
    r"effective|lossless|(?:photo)?realistic|high[- ](?:quality|fidelity|performance)|top|winning|real[- ]time)\b",
    re.IGNORECASE,
)
# Verbs of what models and papers do, in their base form; a headline uses them as they are or with an s.
_VERBS = word_set(
    """achieve adapt add aggregate align allow alter analyse analyze apply assess assign assume augment avoid beat
    beats became become begin boost break bring broke brought build built calculate came capture chose classify
    clean close combine compare complete compress compute condense confuse consist construct contain contribute
    convert convolve copy correct create cut deblur decide decode decompose decrease deepen deliver demonstrate
    denoise depend derive describe detect determine differ discard disentangle distil distill divide double
    download downscale draw drew drop eliminate embed emphasise emphasize employ enable encode enhance enlarge
    ensure estimate evaluate evolve examine exceed excel expand explain exploit extend extract fail fell felt
    fill find fix follow force found fuse gave generalise generalize generate get give got grew grow guarantee
    guess hallucinate handle held highlight hold identify ignore imagine implement improve include incorporate
    increase infer inject inpaint install integrate interpolate introduce invent invert keep kept knew know lack
    launch lead learn leave led left let lose lost lower made maintain make matter matters maximise maximize
    measure merge met minimise minimize mitigate modify multiply need normalise normalize observe obtain offer
    open operate optimise optimize outperform overcome penalise penalize perceive perform pick possess predict
    prefer preserve prevent produce prompt propagate propose prove provide put quantify raise ran reach read
    recognise recognize recommend reconstruct recover reduce refine regress reject rely remain remains remember
    remove render repair replace require resemble resize resolve restore retain retrieve reveal rose run save
    saw scale see segment select sent separate sharpen shift shows shrink simulate sold solve speak specialise
    specialize spent start stay stood stop store streamline strengthen struggle suffer suggest suppress surpass
    survive synthesise synthesize tackle take taught teach tell tend thought told took track transcribe
    transform translate treat triple try turn understand understood unify upsample upscale use utilise utilize
    vanish want weaken weigh went win won work write wrote yield zoom"""
)
# Words in -s that name things; others in -s behind the first word of a headline are taken for verbs.
_PLURAL = re.compile(
    r"(?:[a-z]+(?:ions|ments|ities|ties|ers|ors|ics|isms|ances|ences|ages|ures|ologies|nesses|sets|works|ss|us|sis|ngs|als|"
    r"ists|ents|ants|ories|ables|phs|ys|oms|ows))|ais|llms|cnns|gans|gnns|vits|vaes|rnns|models|tasks|tools|papers|sources|"
    r"links|inputs|outputs|steps|stages|details|edges|patterns|images|photos|pixels|videos|frames|words|texts|tokens|notes|"
    r"limits|points|facts|claims|codes|repos|names|titles|terms|types|kinds|parts|scales|sizes|tones|colours|colors|scenes|"
    r"objects|cues|masks|faces|voices|sounds|signals|graphs|nodes|labels|classes|items|lists|basics|users|domains|maps",
    re.IGNORECASE,
)
_PARTICIPLE = re.compile(
    r"(?!recommended|related|supplied|cited|provided|detailed|used|based|proposed|expected|required|needed|seed)[a-z]{3,}ed",
    re.I,
)
_FOREIGN = re.compile(
    r"\b(?:el|la|los|las|del|que|para|por|una|como|der|die|das|und|ist|mit|für|ein|eine|le|les|des|une|est|pour|avec|il|lo|"
    r"gli|che|di|sono|os|um|uma|não|het|een|van)\b|[^\x00-\u024f\u2000-\u2bff]",
    re.IGNORECASE,
)
# Headings that name the matter of a section by a clause, as the layout of a request does.
_TOPIC_HEADING = re.compile(
    r"(?:what|which|how|why) (?:task )?"
    rf"(?:it|this|{NAME}|they|the (?:user|model|models|model\(s\)|paper|papers|workflow|question))"
    r"(?: is| are)?(?: trying to| would)? (?:works?|does|do|wants?|asks?|about|used|needs?|perform)"
    r"(?: (?:for|about|to do))?"
    r"(?: in (?:a|the) (?:cnaps(?: ai)?(?:-like)? )?workflow)?(?: \(input (?:→|->) model (?:→|->) output\))?",
    re.IGNORECASE,
)
_ARROW = re.compile(r"→|⇒|➜|➔|⟶|=>|-+>")


LIMIT_HEADING_WORDS = 10
"""Longer ones are taken to say something, whatever their verb: no heading of a good answer is that long."""


def words_of(text: str) -> tuple[str, ...]:
    """Words of `text` in small letters; a supplied name is the word `NAME`."""
    return tuple(word.lower() for word in re.findall(rf"{NAME}|{_WORD.pattern}", text))


def without_numbering(text: str) -> str:
    """`text` without the number that a heading or an item starts with: ``2. Workflow``, ``Step 1: …``."""
    return _NUMBERING.sub("", f"{text} ").strip()


def is_label(text: str, *, has_link: bool = False) -> bool:
    """True when `text`, its names put as `NAME`, holds no word but those of labels, so that it says nothing."""
    known = _LINK_LABELS if has_link else _LABELS
    return all(word in known for word in words_of(without_numbering(text)))


def asserts(text: str, question: str) -> bool:
    """True when a heading or a label, its names put as `NAME`, could have a predicate; in doubt it has.

    Args:
        text: the heading.
        question: the user's question; its numbers may stand in a heading.
    """
    text = without_numbering(text).strip(":： ")
    if is_label(text) or _TOPIC_HEADING.fullmatch(text):
        return False
    if any(sign.search(text) for sign in (_AUXILIARY, _DENIES_OR_PRAISES, _FOREIGN, _ARROW)):
        return not is_bare_question(text, question)
    if has_new_number(text, question) or re.search(r"[:：;=≈<>≥≤✓✔✗✘]|\s[-–—]\s", text):
        return True
    words = words_of(text)
    return (len(words) > LIMIT_HEADING_WORDS or _has_verb(words)) and not is_bare_question(text, question)


def has_predicate(text: str) -> bool:
    """True when `text`, its names put as `NAME`, has a verb that is told by its form or known from our own phrases."""
    return _AUXILIARY.search(text) is not None or _has_verb(words_of(text)) or phrase_reason(text) is not None


def _has_verb(words: tuple[str, ...]) -> bool:
    for place, word in enumerate(words):
        stem = word[:-2] if word.endswith(("shes", "ches", "xes", "oes", "sses")) else word.removesuffix("s")
        if word in _VERBS or stem in _VERBS or (f"{word[:-3]}y" in _VERBS and word.endswith("ies")):
            return True
        if place and word not in _LABELS and word.endswith("s") and not _PLURAL.fullmatch(word):
            return True
        if place and _PARTICIPLE.fullmatch(word):
            return True
    return False


# Questions

_ASKS = re.compile(
    r"^\W*(?:(?:so|and|but|now|then|in short|first|finally),? )?"
    r"(?:what|how|which|who|whom|whose|when|where|why|whether|can|could|does|do|did|is|are|"
    r"was|were|will|would|should|shall|may|might|have|has)\b(?!n['’]t| not\b)",
    re.IGNORECASE,
)
# What makes a question assert: a tag, a negation, a clause of its own, a "did you know".
_SUGGESTS = re.compile(
    r"n['’]t\b|\bnot\b|\bdid you know\b|\bwho knew\b|\bright\s*[?？]|\bno\s*[?？]|, (?:is|are|does|do|can|will|has)\b|"
    r"\bthat\b.*\b(?:is|are|was|does|has)\b|\b(?:so (?:well|good|great|fast|sharp)|best|better|perfect\w*)\b|"
    r"[:;—]|\bbecause\b|\bsince\b",
    re.IGNORECASE,
)
_NAMES_A_SOURCE = re.compile(
    rf"{NAME}|\b(?:the|this|these|both|each|recommended|supplied)\s+(?:\w+\s+){{0,2}}(?:models?|papers?|authors?|study|studies|method|"
    r"sources?)\b",
    re.IGNORECASE,
)


def is_bare_question(text: str, question: str) -> bool:
    """True when `text`, its names put as `NAME`, asks and names no source and no number outside the user's question."""
    if not _ASKS.match(text) or _SUGGESTS.search(text) or _NAMES_A_SOURCE.search(text):
        return False
    return not has_new_number(text, question)


_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


def has_new_number(text: str, question: str) -> bool:
    """True when `text` holds digits that the user's question does not hold."""
    known = set(_NUMBER.findall(question))
    return any(number not in known for number in _NUMBER.findall(text))


# Fixed phrases

_TOPIC = rf"(?:the task|the (?:input|output|fit) of {NAME}|how {NAME} works|this paper|{NAME})"
_JUDGED = rf"(?:this|this paper|this model|it|they|these papers|the papers?|(?:the paper )?{NAME})"
_PHRASES: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (reason, re.compile(pattern, re.IGNORECASE))
    for reason, pattern in (
        (
            "a greeting",
            r"(?:hello|hi|hey|dear user|dear reader|greetings|good (?:morning|afternoon|evening|day)|welcome)"
            r"(?:,? (?:there|everyone|user))?|(?:thanks|thank you)(?: (?:very much|so much|a lot))?"
            r"(?: for (?:your|the|this) (?:great |good |interesting )?question)?|"
            r"(?:great|good|excellent|interesting) question|sure(?: thing)?|certainly|of course|absolutely|"
            r"(?:i hope|hope) (?:this|that|it) helps|happy to help|best regards|kind regards|regards|cheers|"
            r"(?:please )?(?:let me know|feel free to ask) if you have "
            r"(?:any )?(?:further |more |other |additional )?questions|"
            r"(?:sure|certainly|of course|absolutely),? here(?:'s| is| are)"
            r"(?: (?:the|an|your|my) (?:answer|explanation|overview|summary))?",
        ),
        (
            "about the making of the answer",
            rf"{re.escape(NO_LLM.rstrip('.'))}|no llm took part(?: in (?:this|the) answer)?|"
            rf"drafted by (?:an llm|{LLM_NAME.replace('[', f'[{NAME}')}); "
            rf"every claim was checked against the supplied sources|"
            rf"no statement about {_TOPIC} passed the checks|the answer ended before(?: it came to)? {_TOPIC}|"
            rf"{'|'.join(map(re.escape, NOTES))}|"
            rf"{re.escape(NOT_TRACEABLE)}|\[{re.escape(NOT_TRACEABLE)}\]|"
            r"(?:here|below) (?:is|are) (?:the|an|a|your|my) (?:short |brief |full )?"
            r"(?:answer|explanation|overview|summary|list|papers|tools|references|sources|links|models|workflow|steps|"
            r"relevant papers|papers and tools|relevant papers and tools|three sections)(?: to (?:your|the) question)?|"
            r"(?:the )?(?:answer|explanation|papers|tools|references|sources|links|steps|workflow) "
            r"(?:is|are) (?:as follows|given below|listed below|below)",
        ),
        (
            "a judgement of relevance",
            rf"{re.escape(FITS.rstrip('.'))}|{re.escape(DOES_NOT_FIT.rstrip('.'))}|{re.escape(FIT_OPEN.rstrip('.'))}|{re.escape(NOT_USED.rstrip(':'))}|"
            rf"{re.escape(NO_BEARING_PAPER.rstrip('.'))}|"
            rf"{_JUDGED} (?:was|were|is|are) (?:not )?used(?: here| in this answer)?|"
            rf"{_JUDGED} (?:bears?|does not bear|do not bear|doesn't bear|has no bearing) on "
            r"(?:the|this|your) (?:question|task)|"
            rf"{_JUDGED} (?:is|are) (?:not |only |also |directly |highly |less |not directly )?"
            r"(?:relevant|irrelevant|related|unrelated)(?: here)?"
            r"(?: to (?:the|this|your|the user's) (?:question|task))?",
        ),
    )
)


def phrase_reason(text: str) -> str | None:
    """Why `text`, its names put as `NAME`, is no claim though it is a sentence; None where it is one."""
    bare = " ".join(text.split()).strip(" .!:*…")
    return next((reason for reason, pattern in _PHRASES if pattern.fullmatch(bare)), None)
