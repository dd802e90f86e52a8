"""What validation reads with, loaded once: the index of a request that comes again, the judge over it."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock

from cnaps_rag.encoder import load_encoder
from cnaps_rag.index import PassageIndex
from cnaps_rag.llm import Completes
from cnaps_rag.passages import split_passages
from cnaps_rag.request import AnswerRequest
from cnaps_rag.settings import Settings
from cnaps_rag.validation.judge import ClaimJudge
from cnaps_rag.verifier import Verifier, load_verifier

LIMIT_INDEXES = 32
"""Most indexes kept: a request of the usual size takes under 100 kB."""

_Key = tuple[AnswerRequest, str | None, str | None]
_indexes: OrderedDict[_Key, PassageIndex] = OrderedDict()
_lock = Lock()


def load_index(request: AnswerRequest, settings: Settings | None = None) -> PassageIndex:
    """Index of `request`; the same one where it was asked for a short while ago.

    Raises:
        RequestError: the request is larger than `settings`, where given, allow.
        ServiceError: the encoder cannot be loaded, or failed.
    """
    if settings is not None:
        request.check_limits(settings)
    settings = settings or Settings()
    key = (request, settings.encoder, settings.encoder_cache_file)
    with _lock:
        index = _indexes.get(key)
        if index is not None:
            _indexes.move_to_end(key)
            return index
    # Made outside the lock: two threads may make the same one, none waits for another's request.
    index = PassageIndex(split_passages(request), load_encoder(settings))
    with _lock:
        _indexes[key] = index
        while len(_indexes) > LIMIT_INDEXES:
            _indexes.popitem(last=False)
    return index


def load_judge(
    index: PassageIndex,
    verifier: Verifier | None = None,
    *,
    settings: Settings | None = None,
    llm: Completes | None = None,
) -> ClaimJudge:
    """Judge of claims about the sources of `index`; where no verifier is given, with the one that the settings name.

    `llm` stands in for the LLM that the settings name, where one judges.

    Raises:
        ServiceError: the verifier cannot be loaded.
    """
    return ClaimJudge(index, verifier if verifier is not None else load_verifier(settings or Settings(), llm=llm))
