from __future__ import annotations

import json
from typing import Any

import pytest
from briefs import build_brief
from hypothesis import given
from hypothesis import strategies as st

from cnaps_rag.draft import (
    LIMIT_ENUM_VALUES,
    Brief,
    Draft,
    DraftReader,
    SlotForm,
    is_whole_draft,
    obeys_schema,
    parse_draft,
    plan_form,
    schema_of,
)
from cnaps_rag.errors import BadDraftError
from cnaps_rag.passages import PassageId
from cnaps_rag.request import AnswerRequest
from cnaps_rag.sources import RecommendedModel, RelatedPaper, SourceId

SR_PAPER = RelatedPaper(
    title="Enlarging photos",
    paper="https://arxiv.org/abs/2501.00001",
    summary="Enlarging images is hard. We test SISR-Any-LIIF-EDSR on photos. Our own method uses splines.",
)
TITLE_ONLY = RelatedPaper(title="Deblurring at night", paper="https://arxiv.org/abs/2501.00002")


def brief(
    *papers: RelatedPaper, model: RecommendedModel | None = None, bearing: tuple[str, ...] | None = None
) -> Brief:
    request = AnswerRequest(
        question="How do I enlarge a photo? I have a small one.",
        models=(model or RecommendedModel(name="SISR-Any-LIIF-EDSR", paper="https://arxiv.org/abs/2012.09161"),),
        papers=papers,
    )
    every = tuple(source.id for source in request.sources if source.kind == "paper")
    return build_brief(request, bearing=every if bearing is None else bearing)


def evidence_by_key(of: Brief) -> dict[str, list[str]]:
    form = plan_form(of, [passage.id for passage in of.passages.all])
    return {slot.key: list(slot.evidence_ids) for slot in form}


def test_each_slot_may_cite_only_what_can_speak_of_its_subject() -> None:
    assert evidence_by_key(brief(SR_PAPER)) == {
        "task": ["Q.1", "Q.2"],
        "M1_input": ["M1.0", "P1.2", "Q.1", "Q.2"],
        "M1_processing": [
            "M1.0",
            "P1.2",
        ],  # the sentence that names the model, none that tells of the paper's own method
        "M1_output": ["M1.0", "P1.2", "Q.1", "Q.2"],
        "P1_says": ["P1.0", "P1.1", "P1.2", "P1.3"],
    }


def test_a_paper_that_is_the_model_s_own_speaks_of_the_model() -> None:
    own = RelatedPaper(title="LIIF", paper="http://arxiv.org/pdf/2012.09161v4", summary="Pixels are decoded.")
    assert evidence_by_key(brief(own))["M1_processing"] == ["M1.0", "P1.0", "P1.1"]


def test_a_description_speaks_of_its_model() -> None:
    described = RecommendedModel(name="LIIF", description="LIIF decodes pixels. It takes photos.")
    assert evidence_by_key(brief(model=described))["M1_processing"] == ["M1.0", "M1.1", "M1.2"]


@pytest.mark.parametrize(
    ("key", "papers"), [("M1_processing", ()), ("P1_says", (TITLE_ONLY,))], ids=["bare name", "bare title"]
)
def test_names_alone_tell_nothing_and_are_not_asked(key: str, papers: tuple[RelatedPaper, ...]) -> None:
    of = brief(*papers)
    assert evidence_by_key(of)[key] == []
    assert key not in schema_of(plan_form(of, [passage.id for passage in of.passages.all]))["properties"]


def test_papers_that_do_not_bear_have_no_slot() -> None:
    assert "P1_says" not in evidence_by_key(brief(SR_PAPER, TITLE_ONLY, bearing=("P2",)))


def test_papers_that_share_a_link_have_one_slot_with_the_sentences_of_both() -> None:
    twin = RelatedPaper(title="The same", paper="https://arxiv.org/pdf/2501.00001v2.pdf", summary="More of it.")
    keys = evidence_by_key(brief(SR_PAPER, twin))
    assert keys["P1_says"] == ["P1.0", "P1.1", "P1.2", "P1.3", "P2.0", "P2.1"]
    assert "P2_says" not in keys


def test_the_form_holds_only_what_is_shown() -> None:
    of = brief(SR_PAPER)
    form = plan_form(of, [PassageId("Q.1"), PassageId("P1.0"), PassageId("P1.3")])
    assert {slot.key: slot.evidence_ids for slot in form} == {
        "task": ("Q.1",),
        "M1_input": ("Q.1",),
        "M1_processing": (),
        "M1_output": ("Q.1",),
        "P1_says": ("P1.0", "P1.3"),
    }


def slot(name: Any, subject: str, *ids: str) -> SlotForm:
    return SlotForm(name=name, subject=SourceId(subject), evidence_ids=tuple(map(PassageId, ids)))


FORM = (
    slot("task", "Q", "Q.1"),
    slot("input", "M1", "Q.1"),
    slot("processing", "M1"),
    slot("output", "M1", "Q.1"),
    slot("paper", "P1", "P1.0", "P1.1", "P1.2"),
)


def objects_of(schema: Any) -> list[dict[str, Any]]:
    if isinstance(schema, list):
        return [found for part in schema for found in objects_of(part)]
    if not isinstance(schema, dict):
        return []
    here = [schema] if schema.get("type") == "object" else []
    return here + [found for part in schema.values() for found in objects_of(part)]


def test_schema_is_one_that_strict_servers_take() -> None:
    schema = schema_of(FORM)
    assert list(schema["properties"]) == ["task", "M1_input", "M1_output", "P1_says"]
    for found in objects_of(schema):
        assert found["required"] == list(found["properties"])
        assert found["additionalProperties"] is False
    # maxLength cuts sentences in mid-word, uniqueItems and format are not honoured, $ref is not known everywhere
    assert not {"maxLength", "uniqueItems", "format", "$ref"} & set(json.dumps(schema).replace('"', " ").split())


def test_schema_gives_each_slot_its_own_enum_and_the_text_before_its_evidence() -> None:
    claims = schema_of(FORM)["properties"]["P1_says"]
    claim = claims["items"]
    assert claim["properties"]["evidence"]["items"]["enum"] == ["P1.0", "P1.1", "P1.2"]
    assert list(claim["properties"]) == ["text", "evidence"]
    assert (claims["minItems"], claims["maxItems"]) == (1, 3)
    assert claim["properties"]["evidence"]["minItems"] == 1


def test_schema_beyond_the_servers_limit_has_no_enums() -> None:
    ids = [f"P1.{n}" for n in range(LIMIT_ENUM_VALUES + 1)]
    assert '"enum"' not in json.dumps(schema_of((slot("paper", "P1", *ids),)))
    assert '"enum"' in json.dumps(schema_of((slot("paper", "P1", *ids[:-1]),)))


def claims_by_key(draft: Draft, form: tuple[SlotForm, ...] = FORM) -> dict[str, list[tuple[str, ...]]]:
    keys = {(slot.name, slot.subject): slot.key for slot in form}
    return {
        keys[slot.name, slot.subject]: [(claim.text, *claim.evidence) for claim in slot.claims]
        for slot in draft.slots
        if slot.claims
    }


WHOLE = (
    '{"task":[{"evidence":["Q.1"],"text":"The user asks A."}],"M1_input":[],"M1_output":[],'
    '"P1_says":[{"evidence":["P1.1","P1.2"],"text":"B is \\"C\\"."},{"evidence":["P1.1"],"text":"D."}]}'
)
READ = {"task": [("The user asks A.", "Q.1")], "P1_says": [('B is "C".', "P1.1", "P1.2"), ("D.", "P1.1")]}


@pytest.mark.parametrize(
    ("reply", "read"),
    [
        pytest.param(WHOLE, READ, id="as asked"),
        pytest.param(f"```json\n{WHOLE}\n```", READ, id="fenced"),
        pytest.param(f"Here {{as asked}} it is: {WHOLE} Shall I go on?", READ, id="prose around"),
        pytest.param(f"<think>{{is it P1?}} yes</think>\n{WHOLE}", READ, id="thinking before"),
        pytest.param(f'{{"answer":{WHOLE}}}', READ, id="wrapped"),
        pytest.param("\ufeff" + WHOLE.replace("},{", "},\n\t{"), READ, id="byte order mark and line breaks"),
        pytest.param(
            '{"P1_says":[{"text":"a\nb","evidence":["P1.1"]}]}', {"P1_says": [("a b", "P1.1")]}, id="raw line break"
        ),
        pytest.param(
            '{"P1_says":[{"text":"A.","evidence":["P1.1"]}],"P1_says":[{"text":"B.","evidence":["P1.2"]}]}',
            {"P1_says": [("A.", "P1.1")]},
            id="repeated slot: the first stands",
        ),
        pytest.param(
            '{"P1_says":[{"text":"A.","text":"B.","evidence":["P1.1"],"evidence":["P1.2"]}]}',
            {"P1_says": [("A.", "P1.1", "P1.2"), ("B.", "P1.1", "P1.2")]},
            id="repeated keys in a claim",
        ),
        pytest.param(
            '{"P1_says":[{"text":"A.","evidence":["P9.9","nonsense"]}]}',
            {"P1_says": [("A.", "P9.9", "nonsense")]},
            id="unknown",
        ),
        pytest.param('{"P1_says":[{"text":"A."}]}', {"P1_says": [("A.",)]}, id="no evidence"),
        pytest.param(
            '{"P1_says":["A.",{"text":"B.","evidence":"[p1.2]"}]}', {"P1_says": [("A.",), ("B.", "P1.2")]}, id="bare"
        ),
        pytest.param(
            '{"P1_says":{"text":"A.","evidence":"P1.1, P1.2"}}',
            {"P1_says": [("A.", "P1.1", "P1.2")]},
            id="no list, ids in one",
        ),
        pytest.param('{"P1_says":"A.","task":null}', {"P1_says": [("A.",)]}, id="text for a slot, and null"),
        pytest.param('{"P1_says":[{"says":"A."},7]}', {"P1_says": [('{"says": "A."}',), ("7",)]}, id="another form"),
        pytest.param(
            '{"P1_says":[{"text":"\\ud83dA.","evidence":["P1.1"]}]}', {"P1_says": [("\ufffdA.", "P1.1")]}, id="half"
        ),
        pytest.param(
            '{"P1_says":[{"text":"A.","evidence":["P1.1"]},{"text":" A. ","evidence":["P1.1","P1.1"]}]}',
            {"P1_says": [("A.", "P1.1")]},
            id="the same twice",
        ),
        pytest.param(
            '{"P1_says":[{"text":"A.","evidence":["\\ud83d\\ude00","\\ud83d"]}]}',
            {"P1_says": [("A.", "\U0001f600", "\ufffd")]},
            id="half a character for an id",
        ),
    ],
)
def test_what_a_reply_says_is_read_however_it_says_it(reply: str, read: dict[str, Any]) -> None:
    draft = parse_draft(reply, FORM, "llm")
    assert claims_by_key(draft) == read
    assert not any(slot.ended for slot in draft.slots)
    assert [slot.name for slot in draft.slots] == [slot.name for slot in FORM]
    assert is_whole_draft(reply, FORM)


def test_what_no_slot_asks_for_is_told_as_ignored() -> None:
    reply = (
        '{"P1_says":[],"summary":"All is well.","M1_processing":[{"text":"M1 dreams.","evidence":["M1.0"]}],"x":[],'
        '"P1_says":["A second time."]}'
    )
    draft = parse_draft(reply, FORM, "llm")
    assert claims_by_key(draft) == {}
    assert [part.split(":")[0] for part in draft.ignored] == ["summary", "M1_processing", "P1_says"]


TASK, PAPER, OTHER = (
    f'[{{"text":"{name}.","evidence":["{of}"]}}]' for name, of in (("T", "Q.1"), ("A", "P1.1"), ("B", "P1.2"))
)


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(f'{{"task":{TASK},"P1_says":{PAPER},"P1_says":{OTHER}}}', id="repeated slot"),
        pytest.param(f'{{"P1_says":[],"task":{TASK},"P1_says":{OTHER}}}', id="repeated after an empty one"),
        pytest.param(f'{{"task":{TASK},"P1_says":{PAPER}, oops {{"task":[],"P1_says":{OTHER}}}', id="begun again"),
        pytest.param(f'{{"task":{TASK},"P1_says":{PAPER}}} {{"P1_says":{OTHER}}}', id="two objects"),
        pytest.param(f'{{"note":1,"P1_says":{PAPER}}} {{"task":{TASK}}}', id="one behind that begins otherwise"),
        pytest.param(f'{{"example":{{"P1_says":{PAPER}}},"task":{TASK},"P1_says":{OTHER}}}', id="one within"),
        pytest.param(
            f'{{"task":{TASK},"P1_says":{PAPER[:-1]},{{"x" 1}}],"M1_input":[]}}]}} ] }}', id="no JSON from then"
        ),
        pytest.param(f'{{"task":{TASK}]],"P1_says":{PAPER}}}', id="closed too often"),
        pytest.param('{"task":{"text":"T.","evidence":["Q.1"]},"P1_says":"A."}', id="no lists"),
        pytest.param(f'{{"P1_says":[{PAPER},"B."],"x":{"9" * 5_000},"task":{TASK}}}', id="a number without end"),
    ],
)
def test_how_a_reply_is_cut_into_parts_changes_nothing(reply: str) -> None:
    whole = parse_draft(reply, FORM, "llm")
    assert claims_by_key(whole)
    for size in (1, 2, 5, 17, len(reply)):
        reader = DraftReader(FORM, "llm")
        for start in range(0, len(reply), size):
            reader.feed(reply[start : start + size])
        assert reader.close(reply) == whole


@pytest.mark.parametrize("reply", ["", "I cannot help.", "[]", "{}", '{"answer":"P1"}', "[" * 100_000, "9" * 5_000])
def test_a_reply_without_any_slot_is_no_draft(reply: str) -> None:
    with pytest.raises(BadDraftError) as raised:
        parse_draft(reply, FORM, "llm")
    assert raised.value.partial_text == reply


@given(cut=st.integers(min_value=0, max_value=len(WHOLE) - 1))
def test_of_a_reply_that_breaks_off_what_is_whole_is_kept_and_the_rest_is_marked(cut: int) -> None:
    try:
        draft = parse_draft(WHOLE[:cut], FORM, "llm")
    except BadDraftError:
        assert cut <= len('{"task":')
        return
    whole = parse_draft(WHOLE, FORM, "llm")
    for slot, whole_slot in zip(draft.slots, whole.slots, strict=True):
        assert slot.claims == whole_slot.claims[: len(slot.claims)] or slot.ended
        assert {claim.text for claim in slot.claims} <= {claim.text for claim in whole_slot.claims}
        assert slot.ended or slot.claims == whole_slot.claims
    assert draft.slots[-1].ended or draft == whole, "only the object's own bracket is missing"
    assert not is_whole_draft(WHOLE[:cut], FORM)


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(WHOLE.replace('"B is', '"B "is'), id="quote that is not escaped"),
        pytest.param(WHOLE.replace('"P1_says":', '"P1_says"='), id="no colon"),
    ],
)
def test_of_a_reply_that_stops_being_json_what_came_before_is_kept(reply: str) -> None:
    draft = parse_draft(reply, FORM, "llm")
    assert claims_by_key(draft)["task"] == READ["task"]
    assert not draft.slots[0].ended
    assert draft.slots[-1].ended


@pytest.mark.parametrize(
    ("reply", "obeys"),
    [
        (WHOLE, True),
        (f" {WHOLE}\n", True),
        (f"```json\n{WHOLE}\n```", False),
        (WHOLE.replace('"M1_output":[],', ""), False),
        (WHOLE.replace('"M1_output"', '"M1_input"'), False),
        (WHOLE.replace("P1.2", "P2.2"), False),
        (WHOLE.replace('"text":"D."', '"text":7'), False),
        (WHOLE.replace('"M1_input":[]', '"M1_input":["A."]'), False),
        ("", False),
        ("null", False),
    ],
)
def test_a_server_that_ignores_the_schema_is_noticed(reply: str, obeys: bool) -> None:
    assert obeys_schema(reply, FORM) is obeys
