"""Answers from a handful of supplied AI models and papers, and from nothing else.

Read the modules in this order; each imports only earlier ones:

- `errors`: every error, one tree
- `settings`: all numbers and names a caller may change
- `links`: canonical identity of a link; every link-like thing in a text
- `sources`: one supplied model or paper
- `request`: text or JSON → `AnswerRequest`, and back
- `sentences`: any text → its sentences as exact offsets
- `words`: words of a text with offsets and stems
- `discourse`: sentences that lean on the one before them
- `passages`: sentences of the sources, each with an id
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
- `pipeline`: `Answerer`: the whole way, with repair
- `cli`: the command line
"""

from cnaps_rag.answer import Answer
from cnaps_rag.errors import (
    BadDraftError,
    CnapsRagError,
    RequestError,
    ServiceError,
    ServiceUnavailableError,
    SourceError,
    UntraceableError,
)
from cnaps_rag.pipeline import Answerer
from cnaps_rag.report import Citation, ClaimFinding, LinkFinding, Report
from cnaps_rag.request import AnswerRequest
from cnaps_rag.settings import Settings
from cnaps_rag.sources import RecommendedModel, RelatedPaper
from cnaps_rag.validation import avalidate, validate
from cnaps_rag.verifier import ClaimVerifier

__all__ = [
    "Answer",
    "AnswerRequest",
    "Answerer",
    "BadDraftError",
    "Citation",
    "ClaimFinding",
    "ClaimVerifier",
    "CnapsRagError",
    "LinkFinding",
    "RecommendedModel",
    "RelatedPaper",
    "Report",
    "RequestError",
    "ServiceError",
    "ServiceUnavailableError",
    "Settings",
    "SourceError",
    "UntraceableError",
    "avalidate",
    "validate",
]
