"""Layer `quotes`: quotations stand verbatim in the source spoken of; a claim that only quotes needs nothing more."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cnaps_rag.checks.attribution import find_mentions
from cnaps_rag.checks.quotes import Found, Frame, find_quotations, find_quoted, is_long, read_frame, split_pieces
from cnaps_rag.fit import tells_of
from cnaps_rag.passages import Passages
from cnaps_rag.render.shown import shown, shown_title
from cnaps_rag.report import Citation
from cnaps_rag.request import AnswerRequest
from cnaps_rag.sources import QUESTION_ID, Source, SourceId
from cnaps_rag.validation.evidence import cite
from cnaps_rag.validation.judgement import Judgement, accepted, rejected


def judge_quotes(claim: str, spoken: Sequence[SourceId], passages: Passages) -> Judgement | None:
    """Verdict of the layer on `claim`, or None where other layers have to decide.

    Args:
        claim: the claim's text.
        spoken: sources that it speaks of; empty where unknown.
        passages: all passages.
    """
    framed = read_frame(claim)
    if framed is not None:
        frame, (quoted,) = framed
        return _judge_framed(frame, quoted, spoken, passages)
    request = passages.request
    named = [mention.source_id for mention in find_mentions(claim, request)]
    allowed = _with_twins([*spoken, *named], request) or _all_ids(request)
    for quotation in find_quotations(claim):
        if not is_long(quotation) or _stands_in(quotation.text, (*allowed, QUESTION_ID), passages):
            continue
        return _missing(quotation.text, _others(allowed, request), passages)
    return None


def _judge_framed(frame: Frame, quoted: str, spoken: Sequence[SourceId], passages: Passages) -> Judgement | None:
    request = passages.request
    speakers = _speakers(frame, spoken, request)
    if not speakers:
        return rejected("not_found", "quotes", f'no supplied source is called what "{frame.text}" says.')
    for source_id in speakers:
        found = _find(quoted, source_id, passages)
        if found and _may_speak(frame, source_id, found, request):
            if not all(part.is_whole for part in found):
                return None
            spans = [span for part in found for span in part.spans]
            evidence = tuple(dict.fromkeys(cite(passage, start, end) for passage, start, end in spans))
            return accepted("quotes", f"these words stand so in {source_id}.", evidence)
    return _missing(quoted, _others(speakers, request), passages)


def _speakers(frame: Frame, spoken: Sequence[SourceId], request: AnswerRequest) -> tuple[SourceId, ...]:
    """Sources that a frame says it quotes."""
    if frame.is_user:
        return (QUESTION_ID,)
    if frame.source_id is not None:
        wanted = frame.source_id.split(".")[0].upper()
        return tuple(source_id for source_id in (*_all_ids(request), QUESTION_ID) if source_id == wanted)
    if frame.title is not None:
        return tuple(source.id for source in request.sources if _is_called(source, frame.title, request))
    if frame.of is not None:
        named = [mention.source_id for mention in find_mentions(frame.of, request)]
        named += [source.id for source in request.sources if _is_called(source, frame.of, request)]
        return _with_twins(named, request) or _with_twins(spoken, request)
    return _with_twins(spoken, request) or _all_ids(request)


def _may_speak(frame: Frame, source_id: SourceId, found: Sequence[Found], request: AnswerRequest) -> bool:
    """A paper's words told of a model must be of that model: of its own paper, or naming it."""
    if frame.title is None or frame.of is None:
        return True
    models = [m.source_id for m in find_mentions(frame.of, request) if request.source(m.source_id).kind == "model"]
    words = " ".join(passage.text for part in found for passage in part.passages)
    return all(
        source_id in request.twins(model_id) or tells_of(words, request.source(model_id).title) for model_id in models
    )


def _find(quoted: str, source_id: SourceId, passages: Passages) -> tuple[Found, ...] | None:
    """All of a run of quotations in one source, its pieces one by one where it does not stand whole."""
    for pieces in ((quoted,), split_pieces(quoted)):
        found = [_find_in(piece, source_id, passages) for piece in pieces]
        if all(part is not None for part in found):
            return tuple(part for part in found if part is not None)
    return None


def _find_in(text: str, source_id: SourceId, passages: Passages) -> Found | None:
    return find_quoted(text, passages.of(source_id), lambda words: shown(words, passages.request.owners))


def _stands_in(text: str, ids: Iterable[SourceId], passages: Passages) -> bool:
    return any(_find_in(text, source_id, passages) is not None for source_id in ids)


def _missing(quoted: str, others: Sequence[SourceId], passages: Passages) -> Judgement:
    for source_id in others:
        if found := _find(quoted, source_id, passages):
            evidence: tuple[Citation, ...] = tuple(cite(p, s, e) for part in found for p, s, e in part.spans)
            return rejected("misattributed", "quotes", f"these words stand in {source_id}.", evidence)
    return rejected("not_found", "quotes", f'"{quoted}" does not stand so in the source spoken of.')


def _is_called(source: Source, called: str, request: AnswerRequest) -> bool:
    titles = (source.title, shown(source.title, request.owners), shown_title(source.id, request))
    return _plain(called) in map(_plain, titles)


def _plain(text: str) -> str:
    return " ".join(text.translate(str.maketrans("“”‘’", "\"\"''")).split()).casefold().strip(" .\"'")


def _all_ids(request: AnswerRequest) -> tuple[SourceId, ...]:
    return tuple(source.id for source in request.sources)


def _with_twins(ids: Iterable[SourceId], request: AnswerRequest) -> tuple[SourceId, ...]:
    return tuple(dict.fromkeys(twin for source_id in ids for twin in request.twins(source_id)))


def _others(ids: Sequence[SourceId], request: AnswerRequest) -> tuple[SourceId, ...]:
    return tuple(source_id for source_id in _all_ids(request) if source_id not in ids)
