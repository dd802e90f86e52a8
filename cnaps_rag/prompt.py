"""From a request and its hits to the messages of one LLM call: stable text first, then sources, the question last.

What a source says is data: it stands on lines whose beginning it cannot forge, between delimiters that occur nowhere
else, without the control tokens of chat templates. What does not fit the token budget is left out by rank.
"""

from __future__ import annotations

import base64
import hashlib
import re
import threading
from bisect import bisect_right
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from string import Template
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from cnaps_rag.draft import (
    MODEL_SLOTS,
    Brief,
    SlotForm,
    SlotName,
    is_whole_draft,
    obeys_schema,
    parse_draft,
    plan_form,
    schema_of,
)
from cnaps_rag.errors import BadDraftError, RequestError
from cnaps_rag.fit import named_models
from cnaps_rag.passages import Passage, PassageId
from cnaps_rag.settings import Settings
from cnaps_rag.sources import QUESTION_ID, SourceId

if TYPE_CHECKING:
    from tiktoken import Encoding


class Message(TypedDict):
    """One message of a chat."""

    role: Literal["system", "user"]
    content: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompt:
    """What the call for a draft sends, and the form that its reply fills.

    Attributes:
        schema: JSON schema of `form`.
        n_tokens: tokens of the messages, the schema not counted.
        left_out: passages that the token budget left out, best first.
        sha256: hash of all prompt files, in hexadecimal.
    """

    messages: tuple[Message, ...]
    form: tuple[SlotForm, ...]
    schema: dict[str, Any]
    n_tokens: int
    left_out: tuple[PassageId, ...]
    sha256: str

    def is_obeyed(self, reply_text: str) -> bool:
        """True when a server that enforces the schema could have sent this whole reply."""
        return obeys_schema(reply_text, self.form)

    def is_answered(self, reply_text: str) -> bool:
        """True when the reply holds all that was asked for, in whatever wrapping."""
        return is_whole_draft(reply_text, self.form)

    def is_begun(self, reply_text: str) -> bool:
        """True when a claim of a reply that broke off is whole."""
        try:
            draft = parse_draft(reply_text, self.form, "")
        except BadDraftError:
            return False
        return any(slot.claims for slot in draft.slots)


@dataclass(frozen=True, kw_only=True, slots=True)
class RejectedClaim:
    """A drafted claim that did not pass, where it stood, and why."""

    name: SlotName
    subject: SourceId
    text: str
    reason: str


def build_prompt(brief: Brief, settings: Settings) -> Prompt:
    """Prompt that asks for the first draft.

    Shown are the question and every recommended model; and of the papers that bear on the question, and of sentences
    that name a model, as many as fit ``settings.prompt_limit_tokens``, best first.

    Raises:
        RequestError: the question and the models alone do not fit.
    """
    return _fit_budget(brief, settings, "draft", ())


def build_repair_prompt(brief: Brief, rejected: Sequence[RejectedClaim], settings: Settings) -> Prompt:
    """Prompt that asks again for the slots of `rejected` claims alone, at most as many claims as were rejected.

    The sources stand as in the first prompt, so that a server that caches prefixes need not read them again.

    Raises:
        RequestError: the question, the models and the rejected claims do not fit ``settings.prompt_limit_tokens``.
        ValueError: no claim in `rejected` belongs to a slot that is asked.
    """
    return _fit_budget(brief, settings, "repair", tuple(rejected))


def _fit_budget(
    brief: Brief, settings: Settings, kind: Literal["draft", "repair"], rejected: tuple[RejectedClaim, ...]
) -> Prompt:
    always = [passage.id for passage in brief.passages.all if _stands_always(brief, passage)]
    limit_tokens = settings.prompt_limit_tokens
    ranked = _rank(brief, always)
    if rejected:
        asked = _form_of(rejected, _ask_once(plan_form(brief, [*always, *ranked])))
        if not asked:
            raise ValueError("no rejected claim belongs to a slot that can be asked again")
        wanted = {passage_id for slot in asked for passage_id in slot.evidence_ids}
        ranked.sort(key=lambda passage_id: passage_id not in wanted)
    # A line of one word takes five tokens or more, so what stands further down the ranks cannot fit.
    candidates = ranked[: limit_tokens // 5]

    def build(n_shown: int) -> Prompt:
        shown = _with_titles(brief, [*always, *candidates[:n_shown]])
        left_out = tuple(passage_id for passage_id in ranked if passage_id not in shown)
        return replace(_build(brief, kind, shown, rejected), left_out=left_out)

    prompt = build(len(candidates))
    if prompt.n_tokens <= limit_tokens:
        return prompt
    n_fitting = bisect_right(range(len(candidates)), limit_tokens, key=lambda n_shown: build(n_shown).n_tokens)
    prompt = build(max(0, n_fitting - 1))
    if n_fitting == 0 or not prompt.form:
        raise RequestError(
            f"the question and the recommended models need a prompt of {prompt.n_tokens} tokens or more, and the "
            f"limit is {limit_tokens}.",
            remedy="Raise CNAPS_RAG_PROMPT_LIMIT_TOKENS, shorten the question or recommend fewer models.",
        )
    return prompt


def _stands_always(brief: Brief, passage: Passage) -> bool:
    source = brief.request.source(passage.source_id)
    return source.kind == "question" or (source.kind == "model" and passage.id.endswith(".0"))


def _rank(brief: Brief, always: Collection[PassageId]) -> list[PassageId]:
    """Passages that may be shown, best first: what speaks of a model before the rest, as without it nothing may."""
    request = brief.request
    models = [source.id for source in request.sources if source.kind == "model"]
    of_models = {twin for model in models for twin in request.twins(model)}
    of_papers = {twin for paper in brief.fit.papers if paper.bears for twin in request.twins(paper.source_id)}
    placed = set(always)
    speaking, rest = list[PassageId](), list[PassageId]()
    for passage in (hit.passage for hit in brief.hits):
        if passage.id in placed:
            continue
        if passage.source_id in of_models or named_models(passage.text, request):
            speaking.append(passage.id)
        elif passage.source_id in of_papers:
            rest.append(passage.id)
    # A model described at book length must not crowd out the papers: past this many, its sentences wait.
    return speaking[:_N_SPEAKING_FIRST] + rest + speaking[_N_SPEAKING_FIRST:]


_N_SPEAKING_FIRST = 60
"""Sentences of about 25 tokens: a quarter of the default budget."""


def _with_titles(brief: Brief, ids: Sequence[PassageId]) -> set[PassageId]:
    """`ids` and the entries of their sources: no sentence stands without the title of its paper."""
    return {*ids, *(brief.passages.of(brief.passages.by_id[passage_id].source_id)[0].id for passage_id in ids)}


def _build(
    brief: Brief,
    kind: Literal["draft", "repair"],
    shown: Collection[PassageId],
    rejected: tuple[RejectedClaim, ...],
) -> Prompt:
    passages = [passage for passage in brief.passages.all if passage.id in shown]
    form = _ask_once(plan_form(brief, shown))
    if rejected:
        form = _form_of(rejected, form)
    asked = [slot for slot in form if slot.evidence_ids]
    key = unforgeable_key([as_data(passage.text) for passage in passages])
    user = fill_prompt(
        kind,
        key=key,
        sources="\n".join(_source_lines(brief, [p for p in passages if p.source_id != QUESTION_ID])),
        question="\n".join(_line(passage) for passage in passages if passage.source_id == QUESTION_ID),
        form="\n".join(_slot_line(brief, slot) for slot in asked),
        keys=", ".join(f'"{slot.key}"' for slot in asked),
        rejected="\n".join(_rejected_line(brief, claim, key) for claim in rejected),
    )
    messages: tuple[Message, ...] = (
        {"role": "system", "content": fill_prompt("system")},
        {"role": "user", "content": user},
    )
    return Prompt(
        messages=messages,
        form=form,
        schema=schema_of(form),
        n_tokens=count_message_tokens(messages),
        left_out=(),
        sha256=prompts_sha256(),
    )


_MESSAGE_TOKENS, _CHAT_TOKENS = 4, 3
"""Tokens that chat templates add to a message and to the whole (OpenAI cookbook, "How to count tokens")."""


def _ask_once(form: tuple[SlotForm, ...]) -> tuple[SlotForm, ...]:
    """`form` with what only the question can tell, the user's start and goal, asked at the first model alone."""
    seen, once = set[tuple[SlotName, tuple[PassageId, ...]]](), list[SlotForm]()
    for slot in form:
        is_repeated = slot.name in MODEL_SLOTS and (slot.name, slot.evidence_ids) in seen
        once.append(replace(slot, evidence_ids=()) if is_repeated else slot)
        seen.add((slot.name, slot.evidence_ids))
    return tuple(once)


def _form_of(rejected: tuple[RejectedClaim, ...], form: tuple[SlotForm, ...]) -> tuple[SlotForm, ...]:
    n_by_slot = {
        (slot.name, slot.subject): sum((claim.name, claim.subject) == (slot.name, slot.subject) for claim in rejected)
        for slot in form
        if slot.evidence_ids
    }
    return tuple(
        replace(slot, limit_claims=n_claims)
        for slot in form
        if (n_claims := n_by_slot.get((slot.name, slot.subject), 0)) > 0
    )


def _source_lines(brief: Brief, passages: Iterable[Passage]) -> Iterable[str]:
    """Each source's heading and its shown passages, one a line."""
    source_id = None
    for passage in passages:
        if passage.source_id != source_id:
            source_id = passage.source_id
            source = brief.request.source(source_id)
            heading = "source_paper" if source.kind == "paper" else "source_model"
            if source.kind == "model" and len(brief.passages.of(source_id)) == 1:
                heading = "source_model_name_only"
            yield fill_prompt(heading, id=source_id)
        yield _line(passage)


def _slot_line(brief: Brief, slot: SlotForm) -> str:
    template = f"slot_{slot.name}"
    if slot.name in ("input", "output") and all(passage_id.startswith("Q.") for passage_id in slot.evidence_ids):
        template += "_question_only"
    return fill_prompt(template, key=slot.key, subject=_subject(brief, slot.subject), ids=_ranges(slot.evidence_ids))


def _rejected_line(brief: Brief, claim: RejectedClaim, key: str) -> str:
    slot = SlotForm(name=claim.name, subject=claim.subject, evidence_ids=())
    # The LLM has seen the delimiters' key, so its own text is the one place where it could stand.
    text, reason = (as_data(written).replace(key, "…") for written in (claim.text, claim.reason))
    return fill_prompt("rejected", key=slot.key, subject=_subject(brief, claim.subject), text=text, reason=reason)


def _subject(brief: Brief, source_id: SourceId) -> str:
    source = brief.request.source(source_id)
    return f"{source_id} ({as_data(source.title)})" if source.kind == "model" else source_id


def _ranges(ids: Sequence[PassageId]) -> str:
    """``P1.0-P1.3 Q.1`` for ids that stand in order."""
    ranges: list[list[str]] = []
    for passage_id in ids:
        source_id, _, number = passage_id.rpartition(".")
        if ranges and ranges[-1][-1] == f"{source_id}.{int(number) - 1}":
            ranges[-1][1:] = [passage_id]
        else:
            ranges.append([passage_id])
    return " ".join("-".join(ends) for ends in ranges)


def _line(passage: Passage) -> str:
    return f"{passage.id} | {as_data(passage.text)}"


_TAG = re.compile(r"<(?=[^\s>]{1,64}>)|<(?=[|｜])|(?<=[|｜])>|<(?=/?(?:sources|question|rejected)\b)", re.IGNORECASE)
_TAG_END = re.compile(r"(‹[^\s<>‹›]{1,64})>")
_BRACKET_TOKEN = re.compile(r"\[(/?[A-Z][A-Z_]{1,30})\]")


def as_data(text: str) -> str:
    """`text` on one line, without what a chat template or a delimiter of ours could be made of.

    ``<|im_start|>`` becomes ``‹|im_start|›`` and ``[INST]`` ``(INST)``: neutral, and still to be seen. Control, format
    and direction characters go. Only prompts show text this way; offsets and quotes keep the text as supplied.
    """
    seen = " ".join("".join(char for char in " ".join(text.split()) if char.isprintable()).split())
    neutral = _TAG.sub(lambda found: "‹" if found[0] == "<" else "›", seen)
    return _BRACKET_TOKEN.sub(r"(\1)", _TAG_END.sub(r"\1›", neutral))


def unforgeable_key(texts: Sequence[str]) -> str:
    """Eight hex digits that depend on all texts that are shown and stand nowhere in them."""
    seed = "\n".join(texts).encode("utf-8", "replace")
    for round_number in range(1_000_000):
        key = hashlib.sha256(b"%d\n%s" % (round_number, seed)).hexdigest()[:8]
        if not any(key in text for text in texts):
            return key
    raise AssertionError("a million keys of 32 bits cannot all stand in one prompt")


def fill_prompt(name: str, **values: str) -> str:
    """The prompt file of this name with its places filled."""
    return Template(_prompt_files()[f"{name}.md"]).substitute(values)


@cache
def _prompt_files() -> dict[str, str]:
    """Text of every prompt file by name, its last line end off."""
    folder = files("cnaps_rag.prompts")
    names = sorted(path.name for path in folder.iterdir() if path.name.endswith(".md"))
    return {name: folder.joinpath(name).read_text(encoding="utf-8").rstrip("\n") for name in names}


@cache
def prompts_sha256() -> str:
    """SHA-256 of all prompt files, names and texts, in hexadecimal."""
    texts = "".join(f"{name}\0{text}\0" for name, text in _prompt_files().items())
    return hashlib.sha256(texts.encode()).hexdigest()


def count_message_tokens(messages: Iterable[Message]) -> int:
    """Tokens of a chat, with those that a template adds."""
    return _CHAT_TOKENS + sum(_MESSAGE_TOKENS + count_tokens(message["content"]) for message in messages)


def count_tokens(text: str) -> int:
    """Tokens of `text` in ``cl100k_base``, control tokens read as text; `estimate_tokens` where that is not shipped."""
    encoding = _encoding()
    return estimate_tokens(text) if encoding is None else len(encoding.encode_ordinary(text))


def estimate_tokens(text: str) -> int:
    """Half the UTF-8 bytes, rounded up: more than texts in human languages were seen to need.

    The usual "characters / 4" is a quarter of the truth on Korean.
    """
    return -(-len(text.encode("utf-8", "replace")) // 2)


VOCABULARY_SHA256 = "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7"

# The split of cl100k_base, from tiktoken_ext/openai_public.py (tiktoken 0.14.0).
_SPLIT = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]"
    r"|\s+(?!\S)|\s"
)
_loading = threading.Lock()


def _encoding() -> Encoding | None:
    with _loading:
        return _shipped_encoding()


@cache
def _shipped_encoding() -> Encoding | None:
    return load_encoding(files("cnaps_rag.models").joinpath("tiktoken", "cl100k_base.tiktoken"))


def load_encoding(file: Traversable) -> Encoding | None:
    """The vocabulary in `file`, or None where it is absent or not the one it should be.

    Never by tiktoken's own loader, which asks the network without a timeout and deletes files it does not know.
    """
    vocabulary = file.read_bytes() if file.is_file() else b""
    if hashlib.sha256(vocabulary).hexdigest() != VOCABULARY_SHA256:
        return None
    from tiktoken import Encoding

    ranks = {base64.b64decode(token): int(rank) for token, rank in map(bytes.split, vocabulary.splitlines())}
    return Encoding("cl100k_base", pat_str=_SPLIT, mergeable_ranks=ranks, special_tokens={})
