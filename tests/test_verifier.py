"""The shipped verifier: bounds, what moves no score, what is loaded, what is kept, and how the settings choose."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from processes import run_python

import cnaps_rag as cr
from cnaps_rag.errors import ServiceError
from cnaps_rag.settings import Settings
from cnaps_rag.verifier import ClaimVerifier, load_verifier
from cnaps_rag.verifier.cache import ScoreCache
from cnaps_rag.verifier.protocol import Pair, sigmoid
from cnaps_rag.verifier.shipped import ShippedConfig, ShippedReader

ROOT = Path(__file__).parents[1]
MODEL = ROOT / "data" / "models" / "claim-verifier"

SAID = ("We upsample feature maps cheaply. CLIP helps.", "It upsamples feature maps.")
PAIRS = [
    SAID,
    ("We upsample feature maps cheaply.", "It cooks soup for the whole family."),
    ("", "It upsamples feature maps."),
    ("We upsample feature maps cheaply.", ""),
    ("한국어 문장입니다.", "It reads Korean."),
    ("word " * 3_000, "It is a word."),
    ("We upsample feature maps cheaply.", "word " * 3_000),
    ("\ud800 half a character", "a\0b"),
]


@pytest.fixture(scope="module")
def verifier() -> ClaimVerifier:
    return ClaimVerifier()


class CountingReader:
    """A small reader that remembers what it was given: the more of a claim's letters, the likelier."""

    threshold = 0.5

    def __init__(self, score: float | None = None) -> None:
        self.read_pairs: list[Pair] = []
        self._score = score

    def read(self, pairs: Sequence[Pair]) -> list[float]:
        self.read_pairs += pairs
        return [
            len(set(claim) & set(evidence)) / 100 if self._score is None else self._score for evidence, claim in pairs
        ]


# Scores


def test_no_pairs_give_no_scores(verifier: ClaimVerifier) -> None:
    scores = verifier.score([])
    assert (scores.shape, scores.dtype) == ((0,), np.float32)


def test_scores_are_probabilities_to_four_digits(verifier: ClaimVerifier) -> None:
    scores = verifier.score(PAIRS)
    assert scores.dtype == np.float32
    assert scores.shape == (len(PAIRS),)
    assert ((scores >= 0) & (scores <= 1)).all()
    np.testing.assert_array_equal(scores, scores.astype(np.float64).round(4).astype(np.float32))


def test_batch_result_is_the_single_result_bit_for_bit() -> None:
    together = ShippedReader().read(PAIRS)
    assert [ShippedReader().read([pair])[0] for pair in PAIRS] == together
    assert ShippedReader().read(PAIRS[::-1]) == together[::-1]


def test_order_and_repetition_change_nothing(verifier: ClaimVerifier) -> None:
    scores = verifier.score(PAIRS)
    assert verifier.score(PAIRS[::-1]).tolist() == scores[::-1].tolist()
    assert verifier.score([*PAIRS, PAIRS[0], PAIRS[0]]).tolist() == [*scores.tolist(), scores[0], scores[0]]
    assert [float(verifier.score([pair])[0]) for pair in PAIRS] == scores.tolist()


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=80), st.text(max_size=80)), max_size=4))
def test_any_text_has_a_score(pairs: list[tuple[str, str]]) -> None:
    scores = ClaimVerifier().score(pairs)
    assert np.isfinite(scores).all()
    assert scores.shape == (len(pairs),)


def test_threads_get_the_same_scores() -> None:
    expected = ShippedReader().read(PAIRS)
    with ThreadPoolExecutor(6) as pool:
        for scores in pool.map(lambda _: ShippedReader().read(PAIRS), range(6)):
            assert scores == expected


def test_claim_is_read_to_its_end_where_the_evidence_is_long() -> None:
    evidence = "The lamp is red and it stands in the hall of the house. " * 60
    claims = [f"The lamp is {colour}." for colour in ("red", "blue")]
    red, blue = ShippedReader().read([(evidence, claim) for claim in claims])
    assert red != blue


def test_control_token_in_a_source_is_text() -> None:
    plain, forged = ShippedReader().read([("A [SEP] B", "It is B."), ("A B", "It is B.")])
    assert plain != forged
    # As a token it would be one; as text it is five characters, which a reader of the words sees as well.
    assert ShippedReader().read([("A [ sep ] B", "It is B.")]) == [plain]


@pytest.mark.parametrize(("logit", "probability"), [(0, 0.5), (800, 1), (-800, 0), (2, 0.880797), (-2, 0.119203)])
def test_sigmoid_takes_any_logit(logit: float, probability: float) -> None:
    assert sigmoid(logit) == pytest.approx(probability, abs=1e-6)


SUPPORTED_OR_NOT = [
    pytest.param(*SAID, True, id="paraphrase"),
    pytest.param("We upsample feature maps cheaply.", "It cooks soup for the whole family.", False, id="not told"),
    pytest.param(
        "The dataset holds 2,500 images of street scenes.", "The dataset holds 250 images.", False, id="number"
    ),
    pytest.param(
        "Our method outperforms MEMO on ImageNet.", "The method does not outperform MEMO.", False, id="negation"
    ),
    pytest.param(
        "The method reduces noise in photographs.", "It removes all noise from any photograph.", False, id="overclaim"
    ),
]


@pytest.mark.parametrize(("evidence", "claim", "is_supported"), SUPPORTED_OR_NOT)
def test_what_is_said_passes_and_what_is_not_fails(
    verifier: ClaimVerifier, evidence: str, claim: str, is_supported: bool
) -> None:
    (score,) = verifier.score([(evidence, claim)])
    assert (score >= verifier.threshold) == is_supported


def test_evidence_that_is_long_is_read_where_it_speaks_of_the_claim(verifier: ClaimVerifier) -> None:
    padding = "Soup is cooked slowly. " * 40
    (score,) = verifier.score([(f"{padding}{SAID[0]} {padding}", SAID[1])])
    assert score >= verifier.threshold


# What is loaded


def test_shipped_verifier_is_loaded_fast_without_torch_and_opens_no_connection() -> None:
    printed = run_python("""
        import socket, sys, time
        def refuse(*arguments): raise AssertionError(arguments)
        socket.socket.connect = socket.getaddrinfo = refuse
        import onnxruntime, tokenizers  # their import is not what is timed
        from cnaps_rag.verifier import ClaimVerifier
        start = time.process_time()  # and not the clock's, which counts what else the machine does
        ClaimVerifier().score([("The lamp is red.", "The lamp is blue.")])
        assert time.process_time() - start < 1, time.process_time() - start
        print(sorted({"torch", "transformers", "sentence_transformers", "faiss"} & set(sys.modules)))
    """)
    assert printed.strip() == "[]"


def test_nothing_is_loaded_before_the_first_pair() -> None:
    printed = run_python("""
        import sys
        import cnaps_rag as cr
        cr.ClaimVerifier().score([])
        print("onnxruntime" in sys.modules)
    """)
    assert printed.strip() == "False"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_process_forked_off_later_can_verify() -> None:
    printed = run_python("""
        import os, warnings
        from cnaps_rag.verifier.shipped import ShippedReader
        pairs = [("The lamp is red.", "The lamp is blue."), ("The lamp is red.", "It is red.")]
        before = ShippedReader().read(pairs)
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
        if child == 0:
            print(ShippedReader().read(pairs) == before, flush=True)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    """)
    assert printed.strip() == "True"


@pytest.mark.parametrize(
    ("field", "broken"),
    [
        ("limit_tokens", 0),
        ("limit_claim_tokens", None),
        ("threshold", 1.5),
        ("calibration", {"slope": -1, "intercept": 0}),
        ("calibration", {"slope": 1, "intercept": float("inf")}),
        ("calibration", None),
    ],
)
def test_config_that_is_broken_is_refused(field: str, broken: object) -> None:
    good = json.loads((MODEL / "config.json").read_text(encoding="utf-8"))
    ShippedConfig.model_validate(good)
    with pytest.raises(ValueError, match=field):
        ShippedConfig.model_validate({**good, field: broken})


@pytest.mark.parametrize("missing", ["config.json", "model.onnx", "tokenizer.json"])
@pytest.mark.parametrize("how", ["absent", "broken"])
def test_file_that_is_missing_or_broken_is_an_error_of_ours(missing: str, how: str, tmp_path: Path) -> None:
    """A copy of the installed package, so that nothing of ours is patched."""
    package = tmp_path / "cnaps_rag"
    package.mkdir()
    for path in (ROOT / "cnaps_rag").iterdir():
        (package / path.name).symlink_to(path)
    models = package / "models"
    models.mkdir()
    (models / "__init__.py").write_text("")
    (models / "claim-verifier").mkdir()
    for path in MODEL.iterdir():
        if path.name != missing:
            (models / "claim-verifier" / path.name).symlink_to(path)
        elif how == "broken":
            (models / "claim-verifier" / path.name).write_bytes(b"{ broken")
    code = f"""
        import sys
        sys.path.insert(0, {str(tmp_path)!r})
        import cnaps_rag
        assert cnaps_rag.__file__.startswith({str(tmp_path)!r})
        try:
            cnaps_rag.ClaimVerifier().score([("The lamp is red.", "It is red.")])
        except cnaps_rag.ServiceError as error:
            print(error)
    """
    printed = run_python(code)
    assert "shipped verifier" in printed
    assert "Reinstall cnaps_rag, or name another verifier in CNAPS_RAG_VERIFIER." in printed


# What is kept


def test_pair_is_read_once() -> None:
    reader = CountingReader()
    cache = ScoreCache(reader)
    first = cache.score([("ab", "a"), ("ab", "b"), ("ab", "a")])
    again = cache.score([("ab", "b"), ("abc", "c")])
    assert reader.read_pairs == [("ab", "a"), ("ab", "b"), ("abc", "c")]
    assert first == [0.01, 0.01, 0.01]
    assert again == [0.01, 0.01]


def test_evidence_and_claim_are_not_run_together() -> None:
    reader = CountingReader()
    cache = ScoreCache(reader)
    cache.score([("ab", "c"), ("a", "bc"), ("abc", "")])
    assert len(reader.read_pairs) == 3


def test_least_recently_used_score_goes_first() -> None:
    reader = CountingReader()
    cache = ScoreCache(reader, limit_scores=2)
    for claim in ("a", "b", "a", "c", "a", "b"):
        cache.score([("abc", claim)])
    assert [claim for _, claim in reader.read_pairs] == ["a", "b", "c", "b"]


@pytest.mark.parametrize("score", [float("nan"), float("inf"), -0.5, 1.5])
def test_reader_that_gives_no_probability_has_failed(score: float) -> None:
    with pytest.raises(ServiceError, match="no probability"):
        ScoreCache(CountingReader(score)).score([("a", "b")])


# How it is chosen


def test_public_name_is_the_shipped_verifier() -> None:
    assert cr.ClaimVerifier is ClaimVerifier
    assert 0 < ClaimVerifier().threshold < 1
    assert ClaimVerifier(threshold=0.9).threshold == 0.9


def test_settings_choose_verifier_and_threshold() -> None:
    chosen = load_verifier(Settings(verifier_threshold=0.25))
    assert chosen.threshold == 0.25
    assert load_verifier(Settings()).threshold == ClaimVerifier().threshold
    with pytest.raises(ServiceError, match="hf download cross-encoder/not-on-this-disk"):
        load_verifier(Settings(verifier="not-on-this-disk"))


def test_environment_names_the_verifier(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CNAPS_RAG_VERIFIER", "not-on-this-disk")
    with pytest.raises(ServiceError, match="not-on-this-disk"):
        cr.validate("The lamp is red.", cr.AnswerRequest(question="Is it?", models=[cr.RecommendedModel(name="Lamp")]))


def test_label_makes_no_sense_for_the_shipped_verifier() -> None:
    with pytest.raises(ServiceError, match="no labels"):
        ClaimVerifier(support_label="entailment")
