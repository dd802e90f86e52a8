"""From an LLM's reply to a draft: read generously, believed in nothing; whole, broken off, or while it arrives."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

import jiter

from cnaps_rag.draft.form import Claim, Draft, Slot, SlotForm
from cnaps_rag.errors import BadDraftError
from cnaps_rag.passages import PassageId


def parse_draft(reply_json_text: str, form: tuple[SlotForm, ...], drafter: str) -> Draft:
    """Draft that a reply holds: read generously, believed in nothing.

    Fences, prose around the object and unknown ids are no reason to lose a claim: all of it is kept and judged. Of a
    slot that is given twice the first stands, as it would where it was shown while the reply arrived. Of a reply that
    breaks off, what is whole is kept and every slot not finished is marked as `ended`.

    Raises:
        BadDraftError: no slot of `form` can be read from the reply.
    """
    return DraftReader(form, drafter).close(reply_json_text)


class DraftReader:
    """Reads a reply while it arrives: each claim as soon as its last character is there, never a part of one.

    What was read of a slot that is whole stays as it was, whatever the reply says of it later: it may be shown by then.
    The draft is the same however the reply was cut into parts.
    """

    def __init__(self, form: tuple[SlotForm, ...], drafter: str) -> None:
        self._form = form
        self._drafter = drafter
        self._keys = {slot.key for slot in form if slot.evidence_ids}
        self.restart()

    def restart(self) -> None:
        """Begins with another reply; what was read of the last one is forgotten."""
        self._text = ""
        self._brackets = _Brackets()
        self._start = self._place = -1
        self._draft: Draft | None = None

    @property
    def draft(self) -> Draft | None:
        """What is whole so far; slots that are not have `ended`. None before the first whole claim or slot."""
        return self._draft

    def feed(self, part: str) -> bool:
        """Takes the next part of the reply; True when that made a claim or a slot whole."""
        self._text += _CONTROL.sub(" ", part)
        if self._start < 0:
            begun = _object_start(self._text, self._keys)
            if begun is None:
                return False
            self._start = self._place = begun
        ends = self._brackets.whole_ends(self._text, self._place)
        self._place = len(self._text)
        return self._read(ends)

    def close(self, reply_text: str) -> Draft:
        """Draft of the whole reply, or of what there is of one that broke off; it need not have come in parts.

        Raises:
            BadDraftError: no slot of the form can be read from it.
        """
        if not self._text:
            self.feed(reply_text)
        try:
            return self._kept(self._parse(reply_text))
        except BadDraftError:
            if self._draft is None:
                raise
            return self._draft

    def _parse(self, reply_text: str) -> Draft:
        text = _CONTROL.sub(" ", reply_text)
        pairs = _whole_object(text, self._keys)
        is_whole = pairs is not None
        if pairs is None:
            pairs = _partial_object(text, self._keys)
        if pairs is None:
            raise BadDraftError(
                f"The reply of {self._drafter} holds no JSON object with a slot of the form.", partial_text=reply_text
            )
        unfinished = set[str]() if is_whole else self._keys - {key for key, _ in pairs[:-1]}
        return _draft_of(pairs, self._form, self._drafter, unfinished=unfinished)

    def _read(self, ends: list[tuple[int, int]]) -> bool:
        """Reads up to the last of `ends` before which all is JSON; True when there is news."""
        while ends:
            end, depth = ends.pop()
            try:
                pairs = _DECODER.decode(f"{self._text[self._start : end]}{_CLOSING[depth]}")
            except (ValueError, RecursionError) as error:
                faulty = self._start + getattr(error, "pos", end)
                ends = [earlier for earlier in ends if earlier[0] <= faulty]
                continue
            unfinished = self._keys - {key for key, _ in (pairs[:-1] if depth == _IN_SLOT else pairs)}
            draft = _draft_of(pairs, self._form, self._drafter, unfinished=unfinished if depth else set())
            before, self._draft = self._draft, self._kept(draft)
            return self._draft != before
        return False

    def _kept(self, draft: Draft) -> Draft:
        """`draft` where no slot says anything else than what was read of it."""
        if self._draft is None:
            return draft
        slots = tuple(_continued(old, new) for old, new in zip(self._draft.slots, draft.slots, strict=True))
        return replace(draft, slots=slots)


def _continued(old: Slot, new: Slot) -> Slot:
    goes_on = old.ended and new.claims[: len(old.claims)] == old.claims
    return new if goes_on else replace(old, ended=old.ended and new.ended)


_IN_SLOT = 2
"""Brackets open between two claims: the object's and the slot's."""

_CLOSING = ("", "}", "]}")


class _Brackets:
    """Open brackets of a JSON text that is given part by part."""

    def __init__(self) -> None:
        self._depth = 0
        self._in_string = self._is_escaped = self._is_over = False

    def whole_ends(self, text: str, start: int) -> list[tuple[int, int]]:
        """Places from `start` on at which a claim, a slot or all is whole, in order, and the brackets open there."""
        found: list[tuple[int, int]] = []
        for place in range(start, len(text)):
            if not self._is_over and self._closes(text[place]) and self._depth <= _IN_SLOT:
                found.append((place + 1, self._depth))
                self._is_over = self._depth <= 0
        return found

    def _closes(self, character: str) -> bool:
        if self._in_string:
            self._in_string = self._is_escaped or character != '"'
            self._is_escaped = character == "\\" and not self._is_escaped
            return False
        self._in_string = character == '"'
        self._depth += (character in "{[") - (character in "}]")
        return character in "}]"


def is_whole_draft(reply_text: str, form: tuple[SlotForm, ...]) -> bool:
    """True when `reply_text` holds a JSON object with a slot of `form` that neither breaks off nor stops being JSON."""
    return _whole_object(_CONTROL.sub(" ", reply_text), {slot.key for slot in form if slot.evidence_ids}) is not None


def obeys_schema(reply_text: str, form: tuple[SlotForm, ...]) -> bool:
    """True when a server that enforces ``schema_of(form)`` could have sent this whole reply."""
    ids_by_key = {slot.key: set(slot.evidence_ids) for slot in form if slot.evidence_ids}
    try:
        reply = json.loads(reply_text, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError):
        return False
    if not isinstance(reply, _Pairs) or sorted(key for key, _ in reply) != sorted(ids_by_key):
        return False
    return all(
        isinstance(claims, list) and all(_obeys_claim(claim, ids_by_key[key]) for claim in cast("list[object]", claims))
        for key, claims in reply
    )


def _obeys_claim(claim: object, evidence_ids: set[PassageId]) -> bool:
    if not isinstance(claim, _Pairs) or sorted(key for key, _ in claim) != ["evidence", "text"]:
        return False
    fields = dict(claim)
    text, evidence = fields["text"], fields["evidence"]
    return (
        isinstance(text, str)
        and isinstance(evidence, list)
        and set(map(str, cast("list[object]", evidence))) <= evidence_ids
    )


class _Pairs(list[tuple[str, Any]]):
    """A JSON object with all its keys: a ``dict`` would silently keep only the last of repeated ones."""


_CONTROL = re.compile(r"[\x00-\x1f]")
_PASSAGE_ID = re.compile(r"\b(?:Q|[MP]\d+)\.\d+\b", re.IGNORECASE)
_DECODER = json.JSONDecoder(object_pairs_hook=_Pairs)


def _whole_object(text: str, keys: set[str]) -> _Pairs | None:
    """First JSON object in `text` that has one of `keys`, or None."""
    for brace in re.finditer(r"\{", text):
        try:
            found = _DECODER.raw_decode(text, brace.start())[0]
        except (ValueError, RecursionError):
            continue
        if isinstance(found, _Pairs) and any(key in keys for key, _ in found):
            return found
    return None


def _partial_object(text: str, keys: set[str]) -> _Pairs | None:
    """What is whole of an object that breaks off, or stops being JSON; None where that is nothing."""
    start = _object_start(text, keys)
    if start is None:
        return None
    rest = text[start:]
    try:
        _DECODER.raw_decode(rest)
    except json.JSONDecodeError as error:
        rest = rest[: error.pos]
    except (ValueError, RecursionError):
        return None
    try:
        found = jiter.from_json(rest.encode("utf-8", "replace"), partial_mode=True, catch_duplicate_keys=True)
    except ValueError:
        return None
    return _Pairs(found.items()) if found else None


def _object_start(text: str, keys: set[str]) -> int | None:
    """Where the first object begins whose first key is one of `keys`."""
    names = "|".join(map(re.escape, sorted(keys)))
    start = re.search(rf'\{{\s*"(?:{names})"\s*:', text)
    return None if start is None else start.start()


def _draft_of(pairs: _Pairs, form: tuple[SlotForm, ...], drafter: str, *, unfinished: set[str]) -> Draft:
    """Draft that the pairs of a reply hold; slots in `unfinished` were not whole."""
    keys = {slot.key for slot in form if slot.evidence_ids}
    value_by_key: dict[str, Any] = {}
    ignored: list[str] = []
    for key, value in pairs:
        if key in keys and key not in value_by_key:
            value_by_key[key] = value
        elif value:
            ignored.append(_whole_characters(f"{key}: {_json(value)}"))
    slots = tuple(_read_slot(slot, value_by_key.get(slot.key), ended=slot.key in unfinished) for slot in form)
    return Draft(slots=slots, drafter=drafter, ignored=tuple(ignored))


def _read_slot(slot: SlotForm, value: Any, *, ended: bool) -> Slot:
    claims = list(_read_claims(value))
    if ended and claims and not claims[-1].evidence:
        claims.pop()  # it broke off before its evidence
    return Slot(name=slot.name, subject=slot.subject, claims=tuple(dict.fromkeys(claims)), ended=ended)


def _read_claims(value: Any) -> Iterator[Claim]:
    """Every assertion in the value of one slot, in whatever shape an LLM without a schema gave it."""
    if isinstance(value, dict):
        value = _Pairs(cast("dict[str, Any]", value).items())
    if not isinstance(value, _Pairs):
        for part in _listed(value):
            yield from _read_claims(part) if isinstance(part, dict | list) else _bare_claim(part)
        return
    texts = [text for key, text in value if key == "text"]
    evidence = tuple(passage_id for key, ids in value if key == "evidence" for passage_id in _read_ids(ids))
    for text in texts:
        yield from (Claim(text=claim.text, evidence=evidence) for claim in _bare_claim(text))
    others = _Pairs(pair for pair in value if pair[0] not in ("text", "evidence"))
    if not texts and others:
        yield from _bare_claim(_json(others))


def _bare_claim(value: Any) -> Iterator[Claim]:
    """A claim on one line, without evidence; nothing for what asserts nothing."""
    text = value if isinstance(value, str) else "" if value is None else _json(value)
    text = " ".join(_whole_characters(text).split())
    if text:
        yield Claim(text=text, evidence=())


def _read_ids(value: Any) -> tuple[PassageId, ...]:
    """Ids in `value`, each once; what holds no id is kept as an unknown one, for the checks to reject."""
    ids: list[str] = []
    for part in _listed(value):
        text = _whole_characters(part if isinstance(part, str) else _json(part))
        ids += [found.upper() for found in _PASSAGE_ID.findall(text)] or [text.strip()]
    return tuple(PassageId(passage_id) for passage_id in dict.fromkeys(ids) if passage_id)


def _whole_characters(text: str) -> str:
    """`text` with halves of surrogate pairs joined, and replaced where the other half is missing: UTF-8 has none."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _listed(value: Any) -> list[Any]:
    return cast("list[object]", value) if isinstance(value, list) else [value]


def _json(value: Any) -> str:
    return json.dumps(dict(value) if isinstance(value, _Pairs) else value, ensure_ascii=False, default=str)
