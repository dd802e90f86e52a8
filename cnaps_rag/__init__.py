"""Answers from a handful of supplied AI models and papers, and from nothing else.

Read the modules in this order; each imports only earlier ones:

- `errors`: every error, one tree
- `settings`: all numbers and names a caller may change
- `links`: canonical identity of a link; every link-like thing in a text
- `sources`: one supplied model or paper
- `request`: text or JSON → `AnswerRequest`, and back
- `sentences`: any text → its sentences as exact offsets
- `words`: words of a text with offsets and stems
- `discourse`: what a sentence does: asks, orders, leans on the one before it
- `passages`: sentences of the sources, each with an id
- `model_files`: files of encoders and verifiers on this disk
- `encoder`: texts → unit vectors
- `index`: `PassageIndex`: passages → hits
- `fit`: which sources bear on the question, whether each model fits it
- `draft`: `Draft`, `Slot`, `Claim`; the JSON schema of one request
- `prompt`: request + hits → messages within a token budget
- `llm`: messages + schema → reply, from any OpenAI-compatible endpoint
- `extractive`: a draft without any LLM
- `verifier`: (evidence, claim) pairs → probability of support
- `report`: verdicts, findings, citations, sections, ledger
- `checks`: deterministic findings: links, quotes, numbers, names, wording, attribution
- `render`: sections + report → Markdown, plain text, JSON, HTML
- `answer`: `Answer`
- `validation`: draft or any text + request → `Report`; only here is an `Answer` made
- `pipeline`: `Answerer`: the whole way, with repair, whole or as a stream of events
- `proof`: an answer and all that made it in one file, checked again without an LLM, compared with another
- `evaluation`: how good answers and their validator are, measured on a caller's own requests
- `server`: answers over HTTP: OpenAI-compatible chat, native endpoints, a page
- `integrations`: guards and runnables for other programs' loops and chains
- `cli`: the command line
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cnaps_rag.answer import Answer as Answer
    from cnaps_rag.errors import BadDraftError as BadDraftError
    from cnaps_rag.errors import CnapsRagError as CnapsRagError
    from cnaps_rag.errors import RequestError as RequestError
    from cnaps_rag.errors import ServiceError as ServiceError
    from cnaps_rag.errors import ServiceUnavailableError as ServiceUnavailableError
    from cnaps_rag.errors import SourceError as SourceError
    from cnaps_rag.errors import UntraceableError as UntraceableError
    from cnaps_rag.evaluation.gate import check_gate as check_gate
    from cnaps_rag.evaluation.runs import run_suite as run_suite
    from cnaps_rag.evaluation.suite import load_suite as load_suite
    from cnaps_rag.integrations.guard import aguard as aguard
    from cnaps_rag.integrations.guard import guard as guard
    from cnaps_rag.pipeline import Answerer as Answerer
    from cnaps_rag.proof import BundleDiff as BundleDiff
    from cnaps_rag.proof import ProofBundle as ProofBundle
    from cnaps_rag.proof import Proved as Proved
    from cnaps_rag.proof import Verification as Verification
    from cnaps_rag.proof import diff_bundles as diff_bundles
    from cnaps_rag.proof import prove as prove
    from cnaps_rag.proof import verify_bundle as verify_bundle
    from cnaps_rag.report import Citation as Citation
    from cnaps_rag.report import ClaimFinding as ClaimFinding
    from cnaps_rag.report import LinkFinding as LinkFinding
    from cnaps_rag.report import Report as Report
    from cnaps_rag.request import AnswerRequest as AnswerRequest
    from cnaps_rag.settings import LLMPrice as LLMPrice
    from cnaps_rag.settings import Settings as Settings
    from cnaps_rag.sources import RecommendedModel as RecommendedModel
    from cnaps_rag.sources import RelatedPaper as RelatedPaper
    from cnaps_rag.validation import avalidate as avalidate
    from cnaps_rag.validation import validate as validate
    from cnaps_rag.verifier import ClaimVerifier as ClaimVerifier

# Imported when first asked for: `import cnaps_rag` then costs a millisecond instead of numpy's and pydantic's time.
_NAMES_BY_MODULE = {
    "answer": ("Answer",),
    "errors": (
        "BadDraftError",
        "CnapsRagError",
        "RequestError",
        "ServiceError",
        "ServiceUnavailableError",
        "SourceError",
        "UntraceableError",
    ),
    "evaluation.gate": ("check_gate",),
    "evaluation.runs": ("run_suite",),
    "evaluation.suite": ("load_suite",),
    "integrations.guard": ("aguard", "guard"),
    "pipeline": ("Answerer",),
    "proof": ("BundleDiff", "ProofBundle", "Proved", "Verification", "diff_bundles", "prove", "verify_bundle"),
    "report": ("Citation", "ClaimFinding", "LinkFinding", "Report"),
    "request": ("AnswerRequest",),
    "settings": ("LLMPrice", "Settings"),
    "sources": ("RecommendedModel", "RelatedPaper"),
    "validation": ("avalidate", "validate"),
    "verifier": ("ClaimVerifier",),
}
_MODULE_BY_NAME = {name: module for module, names in _NAMES_BY_MODULE.items() for name in names}


def __getattr__(name: str) -> object:
    """A public name, from the module that makes it."""
    if name not in _MODULE_BY_NAME:
        raise AttributeError(f"module 'cnaps_rag' has no attribute {name!r}")
    return getattr(import_module(f"cnaps_rag.{_MODULE_BY_NAME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_MODULE_BY_NAME])
