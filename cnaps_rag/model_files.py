"""Files of encoders and verifiers on this disk: the shipped ones opened by onnxruntime, a named one's folder found."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import sys
from collections.abc import Generator
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from cnaps_rag.errors import ServiceError

if TYPE_CHECKING:
    import onnxruntime
    import tokenizers

# What a folder that holds no such model, or a broken one, was seen to raise in transformers, safetensors and torch.
_LOAD_FAULTS: Final = (
    AttributeError,
    ImportError,
    KeyError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
)

Kind = Literal["encoder", "verifier"]


def shipped_folder(name: str) -> Traversable:
    """Folder of one shipped model's files."""
    return resources.files("cnaps_rag.models") / name


def open_shipped(
    name: str, kind: Kind, *, n_threads: int, fuses: bool = False
) -> tuple[onnxruntime.InferenceSession, tokenizers.Tokenizer]:
    """Session and tokenizer of a shipped model, which truncates and pads nothing; torch is not imported.

    Args:
        name: its folder's name.
        kind: what it is to the reader of an error.
        n_threads: threads that share one operator; those that wait sleep.
        fuses: whether onnxruntime may put operators together that its first level of optimisation leaves apart.

    Raises:
        ServiceError: the shipped files are not there or cannot be read.
    """
    # Before it is imported: it would tell Microsoft of each session, and keep an id of this machine under ~/.cache.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime
    import tokenizers

    runtime: Any = onnxruntime  # pyright finds no types in its compiled part
    faults = runtime.capi.onnxruntime_pybind11_state  # which have no class in common but Exception
    options = runtime.SessionOptions()
    options.intra_op_num_threads = n_threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    level = runtime.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_ENABLE_ALL if fuses else level.ORT_ENABLE_BASIC
    files = shipped_folder(name)
    try:
        tokenizer = tokenizers.Tokenizer.from_str(_tokenizer_text(files / "tokenizer.json"))
        with resources.as_file(files / "model.onnx") as path:
            session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except (OSError, ValueError, faults.NoSuchFile, faults.InvalidProtobuf, faults.InvalidGraph, faults.Fail) as error:
        raise ServiceError(f"The shipped {kind} in {files} cannot be loaded: {error} {remedy(kind)}") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return session, tokenizer


def _tokenizer_text(file: Traversable) -> str:
    """Text of a tokenizer's file. What is broken is found here: tokenizers itself raises a bare `Exception`.

    Raises:
        ValueError: it holds no tokenizer.
    """
    text = file.read_text(encoding="utf-8")
    found = json.loads(text)
    if not isinstance(found, dict) or not {"model", "post_processor"} <= found.keys():
        raise ValueError(f"{file} holds no tokenizer.")
    return text


def remedy(kind: Kind) -> str:
    """What to do where the shipped files are not as they should be."""
    return f"Reinstall cnaps_rag, or name another {kind} in CNAPS_RAG_{kind.upper()}."


def find_folder(name_or_path: str, kind: Kind, organisations: tuple[str, ...] = ()) -> Path:
    """Folder of a named model's files: the libraries themselves ask the network before they look at a name's files.

    Args:
        name_or_path: a folder, or a name on the hub.
        kind: what it is to the reader of an error.
        organisations: where on the hub a name without an organisation may be.

    Raises:
        ServiceError: it is neither a folder nor in Hugging Face's cache on this disk.
    """
    folder = Path(name_or_path).expanduser()
    if folder.is_dir():
        return folder.resolve()
    import huggingface_hub

    hub: Any = huggingface_hub  # its types, as those of the modules below, are partly unknown to pyright

    names = [name_or_path]
    if "/" not in name_or_path:
        names += [f"{organisation}/{name_or_path}" for organisation in organisations]
    for name in names:
        with contextlib.suppress(OSError, ValueError):
            cache = os.environ.get("SENTENCE_TRANSFORMERS_HOME")
            return Path(hub.snapshot_download(name, local_files_only=True, cache_dir=cache))
    raise ServiceError(
        f"{kind.capitalize()} {name_or_path!r} is neither a folder nor in the cache of Hugging Face on this machine, "
        f"and nothing is downloaded here. Fetch it with `hf download {names[-1]}`, give the path of a folder, or leave "
        f"CNAPS_RAG_{kind.upper()} unset for the shipped {kind}."
    )


@contextlib.contextmanager
def loading(name_or_path: str, kind: Kind, folder: Path) -> Generator[None]:
    """Inside, a model is loaded by torch: quietly, and what fails is an error of ours.

    Raises:
        ServiceError: the folder does not hold what was asked for.
    """
    import safetensors as untyped_safetensors

    safetensors: Any = untyped_safetensors
    try:
        with _no_progress_bars():
            yield
    except (*_LOAD_FAULTS, safetensors.SafetensorError) as error:
        raise ServiceError(f"{kind.capitalize()} {name_or_path!r} cannot be loaded from {folder}: {error}") from error


@contextlib.contextmanager
def torch_waiting_passively() -> Generator[None]:
    """Where torch is not imported yet: its threads, made inside, sleep while they wait.

    They spin otherwise, and with a core shared one question took 215 ms instead of 12. OpenMP reads the variable when
    torch is imported and never again, so it is gone afterwards; who imported torch before us has chosen already.
    """
    if "torch" in sys.modules or "OMP_WAIT_POLICY" in os.environ:
        yield
        return
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    try:
        import torch  # noqa: F401  # pyright: ignore[reportUnusedImport]

        yield
    finally:
        os.environ.pop("OMP_WAIT_POLICY", None)


@contextlib.contextmanager
def _no_progress_bars() -> Generator[None]:
    """Keeps transformers from drawing on standard error while it loads."""
    from transformers.utils import logging as untyped_logging

    logging: Any = untyped_logging

    enabled = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if enabled:
            logging.enable_progress_bar()
