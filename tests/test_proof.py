"""Proof bundles: made, verified where nothing else is, corrupted and forged in every way, compared."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from processes import run_python
from scripted_llm import Say, ScriptedLLM, Status

import cnaps_rag as cr
from cnaps_rag.llm import LLM, Completes, Reply
from cnaps_rag.proof import canonical_bytes, check_bytes, read_bundle, render_diff, render_verification
from cnaps_rag.proof.bundle import LIMIT_BYTES, ProofBundle, sealed
from cnaps_rag.proof.proving import Proved

ROOT = Path(__file__).parents[1]
SEEDS = sorted((ROOT / "data/requests").glob("*.txt"))
KEY, PASSWORD, HOST = "sk-very-secret-key", "pass-of-the-proxy", "llm.internal.example"

QUOTED = (
    'The paper says: "We demonstrate the effectiveness of this approach on core perception tasks as well as within '
    'agglomerative model (RADIO) training as a way of providing richer targets for distillation."'
)
SAID = "FeatSharp upsamples the feature maps of low-res vision encoders."
LIE = "FeatSharp removes all noise from every image."


def featsharp_request() -> cr.AnswerRequest:
    """Sources of 001.txt under a question on which FeatSharp (P1) plainly bears."""
    request = cr.AnswerRequest.from_prompt((ROOT / "data/requests/001.txt").read_text())
    question = "I have low-resolution feature maps of a vision encoder. How can they be upsampled by AI?"
    return request.model_copy(update={"question": question})


def reply(**slots: list[tuple[str, list[str]]]) -> str:
    return json.dumps({key: [{"evidence": ids, "text": text} for text, ids in claims] for key, claims in slots.items()})


DRAFT = reply(task=[], P1_says=[(QUOTED, ["P1.6"]), (LIE, ["P1.5"])])
REDRAFT = reply(P1_says=[(SAID, ["P1.5"])])


def judging(sent: dict[str, Any]) -> str:
    """Drafts where it is asked to draft; as a judge says yes with words that stand in some evidence."""
    is_judge = len(sent["messages"]) == 1
    return json.dumps({"quote": "upsample the feature maps", "supported": True}) if is_judge else DRAFT


def prove_scripted(*script: Any, **changes: Any) -> Proved:
    with ScriptedLLM(*script) as llm:
        given = {"openai_base_url": llm.base_url, "openai_api_key": KEY, "llm_max_retries": 0, **changes}
        return cr.prove(featsharp_request(), cr.Settings(llm="scripted", **given))


@pytest.fixture(scope="module")
def extractive() -> Proved:
    return cr.prove(cr.AnswerRequest.from_prompt((ROOT / "data/requests/003.txt").read_text()), cr.Settings(llm=None))


@pytest.fixture(scope="module")
def repaired() -> Proved:
    return prove_scripted(DRAFT, REDRAFT)


@pytest.fixture(scope="module")
def failed() -> Proved:
    return prove_scripted(Status(503, "down"), on_llm_failure="extractive")


@pytest.fixture(scope="module")
def judged() -> Proved:
    return prove_scripted(judging, llm_judge=True, llm_judge_band=0.5, llm_judge_limit_pairs=3)


@pytest.fixture(params=["extractive", "repaired", "failed", "judged"])
def proved(request: pytest.FixtureRequest) -> Proved:
    found: Proved = request.getfixturevalue(request.param)
    return found


# Made


def test_bundle_is_canonical_and_holds_what_made_the_answer(proved: Proved) -> None:
    bundle = proved.bundle
    assert read_bundle(proved.raw) == bundle
    assert proved.raw == canonical_bytes(read_bundle(proved.raw))
    assert proved.raw.endswith(b"}\n")
    assert bundle.answer["markdown"] == proved.answer.markdown
    assert bundle.drafter == proved.answer.drafter
    assert bundle.verifier.sha256.keys() == {"config.json", "model.onnx", "tokenizer.json"}


def test_every_reply_is_in_the_bundle(repaired: Proved, failed: Proved, judged: Proved) -> None:
    assert [exchange.text for exchange in repaired.bundle.exchanges] == [DRAFT, REDRAFT]
    assert [exchange.failure is not None for exchange in failed.bundle.exchanges] == [True]
    n_judged = sum('"supported"' in (exchange.text or "") for exchange in judged.bundle.exchanges)
    assert n_judged == 3
    assert len(judged.bundle.exchanges) > 3


def test_same_request_without_an_llm_gives_the_same_bytes(extractive: Proved) -> None:
    assert cr.prove(extractive.answer.request, cr.Settings(llm=None)).raw == extractive.raw


def test_neither_key_nor_address_nor_folder_is_in_a_bundle(tmp_path: Path) -> None:
    changes = {"on_llm_failure": "extractive", "encoder_cache_file": str(tmp_path / "vectors.sqlite")}
    address = f"http://user:{PASSWORD}@{HOST}:9/v1"
    settings = cr.Settings(
        llm="scripted", openai_base_url=address, openai_api_key=KEY, llm_max_retries=0, llm_timeout_s=5, **changes
    )
    proved = cr.prove(featsharp_request(), settings)
    assert proved.bundle.exchanges[0].failure is not None
    for secret in (KEY, PASSWORD, HOST, str(tmp_path), "user:"):
        assert secret.encode() not in proved.raw
    assert cr.verify_bundle(proved.raw).ok


def test_reply_that_repeats_the_key_makes_no_bundle() -> None:
    with pytest.raises(cr.ServiceError, match="give it away"):
        prove_scripted(reply(P1_says=[(f"The key is {KEY}.", ["P1.5"])]))


def test_half_of_a_surrogate_pair_in_a_reply_is_kept() -> None:
    draft = '{"task": [], "P1_says": [{"evidence": ["P1.5"], "text": "It is \\ud800 so."}]}'
    proved = prove_scripted(draft, repair_limit_calls=0)
    assert read_bundle(proved.raw) == proved.bundle
    assert cr.verify_bundle(proved.raw).ok


# Verified


def test_all_of_a_bundle_holds(proved: Proved, tmp_path: Path) -> None:
    file = tmp_path / "proof.json"
    file.write_bytes(proved.raw)
    found = cr.verify_bundle(file)
    assert found.ok, render_verification(found)
    assert found == cr.verify_bundle(proved.raw)
    assert render_verification(found).splitlines()[-1].startswith("all holds")


@pytest.mark.parametrize(
    "script",
    [
        (DRAFT, Status(500)),
        (Say(DRAFT[:-40], finish_reason="length"), REDRAFT),
        (f"Here it is: {DRAFT}", DRAFT, REDRAFT),
        ("Nothing of the kind.", "Nor this.", DRAFT, REDRAFT),
        (DRAFT, "No."),
        (DRAFT,),
    ],
    ids=["dies in repair", "breaks off", "talks", "obeys late", "gives up", "repeats itself"],
)
def test_bundle_holds_whatever_the_llm_does(script: tuple[Any, ...]) -> None:
    found = cr.verify_bundle(prove_scripted(*script).raw)
    assert found.ok, render_verification(found)


def test_answer_of_a_judge_that_fails_holds() -> None:
    def failing(sent: dict[str, Any]) -> Any:
        return DRAFT if len(sent["messages"]) > 1 else Status(500)

    proved = prove_scripted(failing, llm_judge=True, llm_judge_band=0.5)
    assert any(exchange.failure is not None for exchange in proved.bundle.exchanges)
    assert cr.verify_bundle(proved.raw).ok


@pytest.mark.parametrize("path", SEEDS, ids=lambda path: path.name)
def test_bundles_of_the_example_requests_hold(path: Path) -> None:
    request = cr.AnswerRequest.from_prompt(path.read_text())
    assert cr.verify_bundle(cr.prove(request, cr.Settings(llm=None)).raw).ok


def test_bundle_holds_in_another_process_without_network_whatever_its_environment(
    repaired: Proved, judged: Proved, tmp_path: Path
) -> None:
    files = [tmp_path / "repaired.json", tmp_path / "judged.json"]
    for file, proved in zip(files, (repaired, judged), strict=True):
        file.write_bytes(proved.raw)
    printed = run_python(
        f"""
        import os, socket
        for name in [name for name in os.environ if name.startswith("OPENAI_")]:
            del os.environ[name]
        def refuse(*_): raise AssertionError("the network was asked")
        socket.socket.connect = socket.getaddrinfo = refuse
        import cnaps_rag as cr
        for file in {[str(file) for file in files]}:
            print(cr.verify_bundle(file).ok)
        """,
        CNAPS_RAG_LLM="another",
        CNAPS_RAG_LLM_PRICES="{",
        CNAPS_RAG_VERIFIER="/nowhere",
        CNAPS_RAG_PROMPT_LIMIT_TOKENS="500",
    )
    assert printed.split() == ["True", "True"]


def test_answer_that_shows_marked_claims_is_proved_and_said_to_be_untraceable() -> None:
    proved = prove_scripted(DRAFT, on_untraceable="mark", repair_limit_calls=0)
    found = cr.verify_bundle(proved.raw)
    assert found.ok
    assert "not traceable" in found.notes[0]


def test_bundle_of_other_files_cannot_be_checked_and_opens_none_of_them(extractive: Proved, tmp_path: Path) -> None:
    values = json.loads(extractive.raw)
    values["settings"]["verifier"] = values["verifier"]["name"] = str(tmp_path)
    values["verifier"]["sha256"] = {"model.safetensors": "0" * 64}
    found = {check.name: check for check in cr.verify_bundle(forged(values)).checks}
    assert found["verifier"].holds is None
    assert "--verifier" in found["verifier"].told
    assert [found[name].holds for name in ("replies", "answer", "verdicts", "report")] == [None] * 4
    assert not cr.verify_bundle(forged(values)).ok


def test_bundle_of_a_verifier_object_cannot_be_checked() -> None:
    class Own:
        threshold = 0.5

        def score(self, pairs: Any) -> Any:
            return cr.ClaimVerifier().score(pairs)

    found = cr.verify_bundle(cr.prove(featsharp_request(), cr.Settings(llm=None), verifier=Own()).raw)
    assert {check.name: check.holds for check in found.checks}["verifier"] is None
    assert not found.ok


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch.*")
def test_bundle_of_a_named_verifier_holds_where_the_same_files_are_named(tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed")
    from test_verifier_named import save_bert

    save_bert(tmp_path / "mine", 1)
    proved = cr.prove(featsharp_request(), cr.Settings(llm=None, verifier=str(tmp_path / "mine")))
    assert proved.bundle.settings["verifier"] == proved.bundle.verifier.name == "mine"
    assert str(tmp_path).encode() not in proved.raw
    assert not cr.verify_bundle(proved.raw).ok
    (tmp_path / "mine").rename(tmp_path / "elsewhere")
    assert cr.verify_bundle(proved.raw, verifier=str(tmp_path / "elsewhere")).ok
    (tmp_path / "elsewhere/note.txt").write_text("Another file.")
    assert not cr.verify_bundle(proved.raw, verifier=str(tmp_path / "elsewhere")).ok


# Corrupted


def fails(raw: bytes) -> bool:
    try:
        return not all(check.holds for check in check_bytes(raw))
    except cr.RequestError:
        return True


def test_any_changed_byte_is_found(repaired: Proved) -> None:
    chance = random.Random(8)
    for number in range(200):
        corrupt = bytearray(repaired.raw)
        place = chance.randrange(len(corrupt))
        corrupt[place] ^= chance.randrange(1, 256)
        assert fails(bytes(corrupt)), f"byte {place}"
        if number % 40 == 0:
            with suppress(cr.RequestError):
                assert not cr.verify_bundle(bytes(corrupt)).ok


def test_any_byte_that_is_lost_or_added_is_found(repaired: Proved) -> None:
    chance = random.Random(9)
    for _ in range(50):
        place = chance.randrange(len(repaired.raw))
        assert fails(repaired.raw[:place] + repaired.raw[place + 1 :])
        assert fails(repaired.raw[:place] + bytes([chance.randrange(256)]) + repaired.raw[place:])
    for raw in (repaired.raw + b"\n", repaired.raw[:-1], b" " + repaired.raw, b"\xef\xbb\xbf" + repaired.raw):
        assert fails(raw)


def test_checks_go_on_where_the_hash_does_not_hold(extractive: Proved) -> None:
    found = cr.verify_bundle(canonical_bytes(extractive.bundle.model_copy(update={"sha256": "0" * 64})))
    assert [check.name for check in found.checks if not check.holds] == ["sha256"]
    compact = json.dumps(json.loads(extractive.raw)).encode()
    assert [check.name for check in cr.verify_bundle(compact).checks if not check.holds] == ["canonical"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda raw: b"", "no JSON"),
        (lambda raw: raw[: len(raw) // 2], "no JSON"),
        (lambda raw: b"\xff" + raw, "UTF-8"),
        (lambda raw: b"[" * 100_000, "deeply"),
        (lambda raw: b'{"version": "cnaps_rag.proof/1", "answer": ' + b"[" * 500 + b"]" * 500 + b"}", "deeply"),
        (lambda raw: b"[]", "no JSON object"),
        (lambda raw: b'{"version": "cnaps_rag.proof/2"}', "version"),
        (lambda raw: b"{}", "version"),
        (lambda raw: b'{"sha256": "", ' + raw[1:], "twice"),
        (lambda raw: raw.replace(b'"score": 1.0', b'"score": NaN', 1), "NaN"),
        (lambda raw: raw.replace(b'"score": 1.0', b'"score": 1e999', 1), "1e999"),
        (lambda raw: raw.replace(b'"score": 1.0', b'"score": ' + b"9" * 5_000, 1), "no JSON"),
        (lambda raw: b'{"more": 1, ' + raw[1:], "more"),
        (lambda raw: raw.replace(b'"llm_seed"', b'"openai_api_key"', 1), "openai_api_key"),
        (lambda raw: raw.replace(b'"llm_seed": 0', b'"llm_seed": "0"', 1), "llm_seed"),
        (lambda raw: raw.replace(b'"request_limit_chars": 1000000', b'"request_limit_chars": 10', 1), "limit"),
        (lambda raw: b" " * (LIMIT_BYTES + 1), "bytes"),
    ],
)
def test_what_is_no_bundle_is_refused_in_words(change: Callable[[bytes], bytes], said: str, extractive: Proved) -> None:
    raw = change(extractive.raw)
    assert raw != extractive.raw
    with pytest.raises(cr.RequestError, match=said):
        cr.verify_bundle(raw)


# Forged: changed, and the hash made to fit


def forged(values: dict[str, Any]) -> bytes:
    raw = canonical_bytes(sealed(ProofBundle.model_validate(values)))
    assert all(check.holds for check in check_bytes(raw))
    return raw


def put(value: object, *place: str | int) -> Callable[[dict[str, Any]], None]:
    def change(values: dict[str, Any]) -> None:
        part: Any = values
        for key in place[:-1]:
            part = part[key]
        assert part[place[-1]] != value
        part[place[-1]] = value

    return change


def change_claim_everywhere(values: dict[str, Any]) -> None:
    text = json.dumps(values["answer"]).replace("upsamples the feature maps", "downsample the feature maps")
    assert "downsample the" in text
    values["answer"] = json.loads(text)


def change_quote_everywhere(values: dict[str, Any]) -> None:
    text = json.dumps(values["answer"]).replace("richer targets", "poorer targets")
    values["answer"] = json.loads(text) | {"request": values["request"]}


def change_source(values: dict[str, Any]) -> None:
    text = json.dumps(values["request"]).replace("richer targets", "poorer targets")
    values["request"] = values["answer"]["request"] = json.loads(text)


def change_link(values: dict[str, Any]) -> None:
    markdown = values["answer"]["markdown"]
    start = markdown.index("<http") + 1
    end = markdown.index(">", start)
    values["answer"]["markdown"] = markdown[: end - 1] + "x" + markdown[end:]


def lower_score(values: dict[str, Any]) -> None:
    found = next(claim for claim in values["answer"]["report"]["claims"] if claim["layer"] == "verifier")
    found["score"] -= 0.01


def change_verdict(values: dict[str, Any]) -> None:
    claims = values["answer"]["report"]["claims"]
    next(claim for claim in claims if claim["verdict"] == "supported")["verdict"] = "not_a_claim"


def drop_reply(values: dict[str, Any]) -> None:
    del values["exchanges"][1]


def repeat_reply(values: dict[str, Any]) -> None:
    values["exchanges"].append(copy.deepcopy(values["exchanges"][0]))


def swap_replies(values: dict[str, Any]) -> None:
    values["exchanges"].reverse()


def drop_ledger_entry(values: dict[str, Any]) -> None:
    del values["answer"]["ledger"][0]


FORGERIES: dict[str, tuple[Callable[[dict[str, Any]], None], set[str]]] = {
    "claim": (change_claim_everywhere, {"answer", "verdicts"}),
    "drafted claim alone": (put("LIIF is best.", "answer", "sections", 2, "slots", 0, "claims", 0, "text"), {"answer"}),
    "quote": (change_quote_everywhere, {"quotes", "answer", "report"}),
    "offset": (put(1, "answer", "citations", 0, "start"), {"quotes", "answer"}),
    "UTF-16 offset": (put(1, "answer", "claims", 0, "start_utf16"), {"places", "answer"}),
    "source": (change_source, {"sources", "quotes"}),
    "source in the answer": (put("Another?", "answer", "request", "question"), {"agreement", "answer"}),
    "link": (change_link, {"links", "answer"}),
    "verdict": (change_verdict, {"answer", "verdicts", "report"}),
    "layer": (put("names", "answer", "report", "claims", 0, "layer"), {"answer", "verdicts", "report"}),
    "score": (lower_score, {"answer", "verdicts", "report"}),
    "reason": (put("because", "answer", "report", "claims", 0, "reason"), {"answer", "report"}),
    "ok": (put(False, "answer", "report", "ok"), {"answer", "report"}),
    "ledger": (put("supported", "answer", "ledger", 1, "verdict"), {"answer"}),
    "ledger entry": (drop_ledger_entry, {"answer"}),
    "usage": (put(1, "answer", "usage", "prompt_tokens"), {"answer"}),
    "usage key": (lambda values: values["answer"]["usage"].pop("calls"), {"answer"}),
    "fit": (put("fits", "answer", "fit", "models", 0, "verdict"), {"answer"}),
    "note": (put(["No LLM took part."], "answer", "notes"), {"answer"}),
    "reply": (put(reply(P1_says=[(QUOTED, ["P1.6"])]), "exchanges", 0, "text"), {"answer", "replies"}),
    "LLM of a reply": (put("gpt", "exchanges", 0, "llm"), {"answer"}),
    "hash of a schema": (put("0" * 64, "exchanges", 0, "asked", "schema_sha256"), {"replies"}),
    "reply left out": (drop_reply, {"replies", "answer"}),
    "reply too many": (repeat_reply, {"replies"}),
    "replies out of order": (swap_replies, {"replies"}),
    "LLM": (put("another", "llm"), {"agreement"}),
    "drafter": (put("another", "drafter"), {"agreement"}),
    "setting": (put(1, "settings", "llm_seed"), {"replies", "answer"}),
    "threshold": (put(0.1, "verifier_threshold"), {"verifier"}),
    "setting of the threshold": (put(0.9, "settings", "verifier_threshold"), {"verifier"}),
    "prompts": (put("0" * 64, "prompts_sha256"), {"agreement", "prompts", "replies"}),
    "verifier": (put("0" * 64, "verifier", "sha256", "model.onnx"), {"verifier", "verdicts"}),
    "name of the verifier": (put("another", "verifier", "name"), {"verifier"}),
    "setting of the verifier": (put("another", "settings", "verifier"), {"agreement"}),
    "encoder": (put({"model.onnx": "0" * 64}, "encoder", "sha256"), {"encoder", "answer"}),
    "source hash": (put("0" * 64, "source_sha256", "P1", "summary"), {"sources"}),
    "source unknown": (put({"title": "0" * 64}, "source_sha256", "Q"), {"sources"}),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_forgery_under_a_fitting_hash_is_found(name: str, repaired: Proved) -> None:
    change, found_by = FORGERIES[name]
    values = json.loads(repaired.raw)
    change(values)
    found = cr.verify_bundle(forged(values))
    assert not found.ok
    assert found_by <= {check.name for check in found.checks if not check.holds}, render_verification(found)


def test_hostile_settings_give_a_report() -> None:
    proved = prove_scripted(DRAFT, REDRAFT)
    hostile: list[dict[str, Any]] = [
        {"llm": None, "llm_judge": True},
        {"llm": None, "drafter": "llm"},
        {"verifier_support_label": "yes"},
        {"prompt_limit_tokens": 500},
        {"on_untraceable": "raise", "repair_limit_calls": 0},
        {"encoder": "../../etc", "verifier": "\0"},
    ]
    for changes in hostile:
        values = json.loads(proved.raw)
        values["settings"] |= changes
        values["llm"] = values["settings"]["llm"]
        found = cr.verify_bundle(forged(values))
        assert not found.ok
        assert render_verification(found)


# Compared


def test_bundle_does_not_differ_from_itself(proved: Proved) -> None:
    found = cr.diff_bundles(proved.bundle, proved.bundle)
    assert found.is_empty
    assert render_diff(found) == "no difference"


def test_diff_of_two_llms_tells_which_claims_appeared_vanished_and_changed(repaired: Proved) -> None:
    appeared = "FeatSharp picks up fine-grained details that would otherwise be lost due to resolution."
    changed = "FeatSharp upsamples the feature maps of vision encoders."
    other = prove_scripted(reply(P1_says=[(changed, ["P1.5"]), (appeared, ["P1.5"])]), repair_limit_calls=0)
    found = cr.diff_bundles(repaired.bundle, other.bundle)
    assert found.request == ()
    assert [each.name for each in found.making] == ["settings.repair_limit_calls"]
    (slot,) = (slot for slot in found.slots if slot.subject == "P1")
    assert [
        (claim.change, claim.before and claim.before.text, claim.after and claim.after.text) for claim in slot.claims
    ] == [
        ("vanished", QUOTED, None),
        ("changed", SAID, changed),
        ("appeared", None, appeared),
    ]
    assert [slot.before, slot.after] == ["answered", "answered"]
    text = render_diff(found)
    assert f"  - {QUOTED!r}" in text
    assert f"  → {changed!r}" in text
    assert "1 appeared, 1 vanished, 1 changed" in text


def test_diff_tells_what_was_dropped_judged_otherwise_and_made_with_other_things(repaired: Proved) -> None:
    values = json.loads(repaired.raw)
    values |= {"prompts_sha256": "1" * 64, "library": "9.9"}
    values["answer"]["ledger"][0] |= {"action": "dropped", "before": "Dropped."}
    said = next(claim for claim in values["answer"]["report"]["claims"] if claim["text"] == SAID)
    said["score"] = 0.5
    values["answer"]["sections"][1]["slots"][0]["state"] = "ended"
    found = cr.diff_bundles(repaired.bundle, read_bundle(forged(values)))
    assert {each.name for each in found.making} == {"prompts", "library"}
    assert found.dropped_after == ("Dropped.",)
    assert found.count("judged") == 1
    assert [(slot.before, slot.after) for slot in found.slots if slot.after == "ended"]
    assert "→ supported (verifier, 0.5000)" in render_diff(found)


def test_diff_says_that_requests_differ(extractive: Proved, repaired: Proved) -> None:
    found = cr.diff_bundles(extractive.bundle, repaired.bundle)
    assert "Q (question)" in {each.name for each in found.request}
    assert render_diff(found).startswith("THE REQUESTS DIFFER")


def test_terminal_is_not_told_what_to_do(repaired: Proved) -> None:
    values = json.loads(repaired.raw)
    values["answer"]["sections"][2]["slots"][0]["claims"][0]["text"] = "\x1b[2J\u202egone"
    values["library"] = "\x9b2J"
    bundle = read_bundle(forged(values))
    for text in (
        render_diff(cr.diff_bundles(repaired.bundle, bundle)),
        render_verification(cr.verify_bundle(forged(values))),
    ):
        assert not {"\x1b", "\u202e", "\x9b"} & set(text)


def test_any_llm_that_completes_can_be_proved() -> None:
    class Twice:
        """An LLM of the caller's own."""

        def __init__(self, llm: Completes) -> None:
            self.llm = llm

        def complete(self, prompt: Any, *, deadline_s: float | None = None) -> Reply:
            return self.llm.complete(prompt, deadline_s=deadline_s)

        async def acomplete(self, prompt: Any, *, deadline_s: float | None = None) -> Reply:
            return await self.llm.acomplete(prompt, deadline_s=deadline_s)

    with ScriptedLLM(DRAFT, REDRAFT) as endpoint:
        settings = cr.Settings(llm="scripted", openai_base_url=endpoint.base_url, openai_api_key=KEY)
        proved = cr.prove(featsharp_request(), settings, llm=Twice(LLM(settings)))
    assert cr.verify_bundle(proved.raw).ok
