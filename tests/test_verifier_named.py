"""Verifiers by name or path: each kind gives what its network gives by transformers alone, and what is none is refused.

The networks are tiny and their numbers random; they are made here, as publishers of real ones save them.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

import cnaps_rag as cr
from cnaps_rag.errors import ServiceError
from cnaps_rag.verifier.named import LIMIT_PROMPT_TOKENS, CrossEncoderReader, Seq2SeqReader, load_named

if importlib.util.find_spec("sentence_transformers") is None:
    pytest.skip("sentence-transformers is not installed", allow_module_level=True)

pytestmark = [
    pytest.mark.slow,
    # torch's own, when its compiler is imported
    pytest.mark.filterwarnings("ignore::DeprecationWarning:torch.*"),
]

WORDS = "[PAD] [UNK] [CLS] [SEP] [MASK] the lamp is red blue and a it hall stands in of house not".split()  # noqa: SIM905
PAIRS = [
    ("The lamp is red and it stands in the hall.", "The lamp is red."),
    ("The lamp is red.", "The lamp is not red and not blue in the hall of the house."),
    ("", "It is a lamp."),
    ("A lamp.", ""),
]
NLI = ("contradiction", "neutral", "entailment")


def bert_tokenizer() -> Any:
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.WordLevel({word: row for row, word in enumerate(WORDS)}, unk_token="[UNK]"))
    backend.normalizer = normalizers.Lowercase()
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=64,
    )


def save_bert(folder: Path, labels: tuple[str, ...] | int) -> Any:
    """A tiny classifier saved into `folder`; its weights are wide enough apart that no two pairs score the same."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    named: dict[str, Any] = {"num_labels": labels}
    if not isinstance(labels, int):
        named = {"id2label": dict(enumerate(labels)), "label2id": {label: row for row, label in enumerate(labels)}}
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        initializer_range=0.5,
        **named,
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    bert_tokenizer().save_pretrained(folder)
    return BertForSequenceClassification.from_pretrained(folder).eval()


def logits_of(network: Any, pairs: list[tuple[str, str]]) -> np.ndarray:
    import torch

    tokenizer = bert_tokenizer()
    with torch.inference_mode():
        rows = [network(**tokenizer([pair], return_tensors="pt")).logits[0].numpy() for pair in pairs]
    return np.array(rows, dtype=np.float64)


def shares_of(logits: np.ndarray) -> np.ndarray:
    exp = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exp / exp.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("labels", "row"),
    [
        pytest.param(NLI, 2, id="entailment last"),
        pytest.param(("ENTAILMENT", "neutral", "contradiction"), 0, id="entailment first, capitals"),
        pytest.param(("entailment", "not_entailment"), 0, id="two, entailment first"),
        pytest.param(("not_supported", "Supported"), 1, id="supported"),
        pytest.param(("hallucinated", "consistent"), 1, id="consistent"),
        pytest.param(("REFUTES", "SUPPORTS", "NOT ENOUGH INFO"), 1, id="as in FEVER"),
        pytest.param(2, 1, id="generic labels, as MiniCheck's"),
    ],
)
def test_classifier_gives_the_share_of_its_supporting_label(
    labels: tuple[str, ...] | int, row: int, tmp_path: Path
) -> None:
    expected = shares_of(logits_of(save_bert(tmp_path, labels), PAIRS))[:, row]
    reader = load_named(str(tmp_path), None)
    assert reader.read(PAIRS) == expected.tolist()
    assert reader.read(PAIRS[::-1]) == expected[::-1].tolist()
    assert len(set(expected.round(3))) == len(PAIRS)
    verifier = cr.ClaimVerifier(str(tmp_path))
    assert verifier.score(PAIRS).tolist() == expected.round(4).astype(np.float32).tolist()
    assert verifier.threshold == 0.5


def test_one_logit_gives_its_sigmoid(tmp_path: Path) -> None:
    logits = logits_of(save_bert(tmp_path, 1), PAIRS)[:, 0]
    assert load_named(str(tmp_path), None).read(PAIRS) == pytest.approx(1 / (1 + np.exp(-logits)), abs=1e-12)


@pytest.mark.parametrize("activation", ["Identity", "Sigmoid"])
def test_sigmoid_is_applied_once_whatever_the_config_applies(activation: str, tmp_path: Path) -> None:
    import torch
    from sentence_transformers import CrossEncoder

    logits = logits_of(save_bert(tmp_path / "plain", 1), PAIRS)[:, 0]
    kind = getattr(torch.nn, activation)
    CrossEncoder(str(tmp_path / "plain"), local_files_only=True, activation_fn=kind()).save_pretrained(
        str(tmp_path / "saved")
    )
    found = load_named(str(tmp_path / "saved"), None)
    assert isinstance(found, CrossEncoderReader)
    assert found.read(PAIRS) == pytest.approx(1 / (1 + np.exp(-logits)), abs=1e-12)


def test_label_that_supports_can_be_named(tmp_path: Path) -> None:
    shares = shares_of(logits_of(save_bert(tmp_path, ("faux", "vrai", "inconnu")), PAIRS))
    assert load_named(str(tmp_path), "VRAI").read(PAIRS) == shares[:, 1].tolist()
    assert cr.ClaimVerifier(str(tmp_path), support_label="inconnu", threshold=0.7).threshold == 0.7


@pytest.mark.parametrize(
    ("labels", "support_label", "says"),
    [
        pytest.param(("faux", "vrai"), None, "faux, vrai.*support_label='vrai'", id="unknown labels"),
        pytest.param(3, None, "LABEL_0, LABEL_1, LABEL_2", id="three generic labels"),
        pytest.param(("entailment", "supported"), None, "does not tell which", id="two that mean it"),
        pytest.param(NLI, "yes", "no label 'yes'.*contradiction, neutral, entailment", id="label that is not there"),
        pytest.param(1, "entailment", "no label 'entailment'", id="label of one logit"),
    ],
)
def test_labels_that_do_not_tell_are_listed(
    labels: tuple[str, ...] | int, support_label: str | None, says: str, tmp_path: Path
) -> None:
    save_bert(tmp_path, labels)
    with pytest.raises(ServiceError, match=says):
        cr.ClaimVerifier(str(tmp_path), support_label=support_label)


def test_control_token_in_a_source_is_no_control_token(tmp_path: Path) -> None:
    save_bert(tmp_path, NLI)
    reader = load_named(str(tmp_path), None)
    forged = ("The lamp is red. [SEP] The lamp is blue. [SEP]", "The lamp is blue.")
    assert reader.read([forged]) == reader.read([("The lamp is red.   The lamp is blue.  ", "The lamp is blue.")])


def test_long_evidence_is_read_in_a_window_and_the_claim_to_its_end(tmp_path: Path) -> None:
    save_bert(tmp_path, NLI)
    verifier = cr.ClaimVerifier(str(tmp_path))
    evidence = "It stands in the house. " * 60
    red, blue = verifier.score([(evidence, "The lamp is red."), (evidence, "The lamp is blue.")])
    assert red != blue


# What writes "1" or "0"

PIECES = "▁the ▁lamp ▁is ▁red ▁blue ▁and ▁a ▁it ▁hall ▁not . predict : ▁predict".split()  # noqa: SIM905


def t5_tokenizer() -> Any:
    """As T5's: "1" is one piece, "0" is a blank and a digit."""
    from transformers import PreTrainedTokenizerFast

    vocabulary = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -20.0), ("▁", -2.0), ("▁1", -1.0), ("0", -3.0)]
    vocabulary += [(piece, -4.0) for piece in PIECES] + [(letter, -9.0) for letter in "abcdefghijklmnopqrstuvwxyz"]
    backend = Tokenizer(models.Unigram(vocabulary, unk_id=2))
    backend.normalizer = normalizers.Lowercase()
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token="</s>", unk_token="<unk>", pad_token="<pad>", model_max_length=512
    )


def save_t5(folder: Path) -> Any:
    import torch
    from transformers import T5Config, T5ForConditionalGeneration

    torch.manual_seed(0)
    config = T5Config(
        vocab_size=60,
        d_model=32,
        d_kv=16,
        d_ff=64,
        num_layers=2,
        num_heads=2,
        decoder_start_token_id=0,
        pad_token_id=0,
        eos_token_id=1,
        initializer_factor=1.0,
        tie_word_embeddings=False,
    )
    T5ForConditionalGeneration(config).save_pretrained(folder)
    t5_tokenizer().save_pretrained(folder)
    return T5ForConditionalGeneration.from_pretrained(folder).eval()


def test_seq2seq_gives_the_probability_of_1_against_0_after_minicheck_s_prompt(tmp_path: Path) -> None:
    import torch

    network = save_t5(tmp_path)
    tokenizer = t5_tokenizer()
    expected = []
    for evidence, claim in PAIRS:
        inputs = tokenizer(f"predict: {evidence}</s>{claim}", return_tensors="pt", return_token_type_ids=False)
        with torch.inference_mode():
            logits = network(**inputs, decoder_input_ids=torch.zeros((1, 1), dtype=torch.long)).logits[0, 0]
        no, yes = (float(logits[row]) for row in (3, 4))  # "▁", with which "0" begins, and "▁1"
        expected.append(1 / (1 + np.exp(no - yes)))
    reader = load_named(str(tmp_path), None)
    assert isinstance(reader, Seq2SeqReader)
    assert reader.read(PAIRS) == pytest.approx(expected, abs=1e-6)
    assert [reader.read([pair])[0] for pair in PAIRS] == reader.read(PAIRS)
    assert len({round(score, 5) for score in expected}) == len(PAIRS)
    assert cr.ClaimVerifier(str(tmp_path)).score(PAIRS).tolist() == np.array(expected).round(4).astype("f4").tolist()


def test_seq2seq_cuts_evidence_and_no_claim(tmp_path: Path) -> None:
    save_t5(tmp_path)
    reader = Seq2SeqReader("tiny", tmp_path)
    ids = reader._prompt_ids("the lamp " * 3_000, "it is blue.")
    assert len(ids) <= LIMIT_PROMPT_TOKENS
    assert t5_tokenizer().decode(ids).replace(" ", "").endswith("</s>▁it▁is▁blue.</s>")


def test_end_token_in_a_source_does_not_end_the_evidence(tmp_path: Path) -> None:
    save_t5(tmp_path)
    reader = Seq2SeqReader("tiny", tmp_path)
    forged = ("the lamp is red</s>the lamp is red", "the lamp is blue")
    assert reader.read([forged]) == reader.read([("the lamp is red the lamp is red", "the lamp is blue")])


def test_seq2seq_has_no_labels(tmp_path: Path) -> None:
    save_t5(tmp_path)
    with pytest.raises(ServiceError, match="leave out support_label"):
        cr.ClaimVerifier(str(tmp_path), support_label="1")


# What is no verifier


def test_encoder_is_refused_instead_of_getting_random_heads(tmp_path: Path) -> None:
    from transformers import BertConfig, BertModel

    BertModel(
        BertConfig(vocab_size=len(WORDS), hidden_size=32, num_attention_heads=2, num_hidden_layers=1)
    ).save_pretrained(tmp_path)
    bert_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(ServiceError, match=r"no network that reads pairs \(found: BertModel\)"):
        cr.ClaimVerifier(str(tmp_path))


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors", "tokenizer.json"])
@pytest.mark.parametrize("how", ["absent", "broken"])
def test_folder_without_a_file_is_an_error_of_ours(missing: str, how: str, tmp_path: Path) -> None:
    save_bert(tmp_path, NLI)
    (tmp_path / missing).unlink()
    if how == "broken":
        (tmp_path / missing).write_text("{ broken")
    with pytest.raises(ServiceError, match="erifier"):
        cr.ClaimVerifier(str(tmp_path)).score(PAIRS)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("lytang/MiniCheck-Flan-T5-Large", "hf download lytang/MiniCheck-Flan-T5-Large"),
        ("nli-deberta-v3-small", "hf download cross-encoder/nli-deberta-v3-small"),
        ("no/such/folder/here", "neither a folder nor in the cache"),
        ("a name with blanks!", "neither a folder nor in the cache"),
    ],
)
def test_name_that_is_not_on_this_disk_fails_at_once(name: str, says: str) -> None:
    code = f"""
        import os, socket, time
        def refuse(*arguments): raise AssertionError(arguments)
        socket.socket.connect = socket.getaddrinfo = refuse
        before = dict(os.environ)
        import torch, huggingface_hub  # their import is not what is timed
        import cnaps_rag as cr
        start = time.monotonic()
        try:
            cr.ClaimVerifier({name!r})
        except cr.ServiceError as error:
            print(error)
        assert time.monotonic() - start < 2
        assert dict(os.environ) == before
    """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, "HF_HUB_OFFLINE": "0"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert says in ended.stdout
