"""LangChain runnables: one that answers, and one that checks what any chain answered. Extra ``langchain``.

Both take what retrieval chains hand on: ``question`` (or ``input``) and ``documents`` (or ``context``).

    retrieved = {"question": RunnablePassthrough(), "documents": retriever}
    message = (retrieved | CnapsAnswerer()).invoke(question)  # .stream yields it claim by claim, each one checked
    message.content, message.additional_kwargs["annotations"]

    chain = retrieved | RunnablePassthrough.assign(answer=prompt | llm) | CnapsGuard(on_untraceable="withhold")
    checked = chain.invoke(question)
    checked["answer"], checked["report"].ok
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing, closing
from typing import Any, Literal, cast
from uuid import uuid4

from cnaps_rag.answer import Answer
from cnaps_rag.errors import RequestError, UntraceableError
from cnaps_rag.integrations.guard import GuardSources, build_request
from cnaps_rag.llm import Streams
from cnaps_rag.pipeline import Answerer
from cnaps_rag.pipeline.events import AnswerDone, AnswerEvent
from cnaps_rag.pipeline.events_json import EventsJson
from cnaps_rag.render.escape import is_web_address
from cnaps_rag.render.shown import can_be_shown, shown_title
from cnaps_rag.report import ClaimFinding, LinkFinding, Report
from cnaps_rag.request import AnswerRequest
from cnaps_rag.settings import Settings
from cnaps_rag.sources import RelatedPaper
from cnaps_rag.validation import avalidate, validate
from cnaps_rag.verifier import Verifier

try:
    from langchain_core.callbacks import adispatch_custom_event, dispatch_custom_event
    from langchain_core.documents import Document
    from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
    from langchain_core.messages.ai import UsageMetadata
    from langchain_core.messages.content import Citation
    from langchain_core.runnables import Runnable, RunnableConfig
except ModuleNotFoundError as error:
    if error.name != "langchain_core":
        raise
    raise ModuleNotFoundError(
        "langchain-core is not installed: pip install 'cnaps_rag[langchain]' installs it.", name=error.name
    ) from error

__all__ = ["AnswererInput", "CnapsAnswerer", "CnapsGuard", "paper_of"]

AnswererInput = AnswerRequest | str | Mapping[str, Any]
"""A request; its text, in the layout of the seeds or as JSON; its fields; or a question and documents."""

_QUESTION_KEYS = ("question", "input")
_DOCUMENTS_KEYS = ("documents", "context")
_ANSWER_KEYS = ("answer", "output")
_LINK_KEYS = ("source", "url", "link")
"""Names under which loaders keep where a document is from."""


class CnapsAnswerer(Runnable[AnswererInput, AIMessage]):
    """Runnable whose message holds a validated answer: Markdown in which every claim and link is traceable.

    ``stream`` and ``astream`` yield it claim by claim, each one checked; the chunks add up to what ``invoke`` gives.
    Claims that are dropped or repaired, and all other events, come as custom events named ``cnaps_rag.<event>`` to
    callbacks and ``astream_events``. Where the LLM may be down, ask for ``on_llm_failure="extractive"``: a stream has
    begun before the LLM is asked, and LangChain's ``with_fallbacks`` does not replace one that has.

    The message's ``additional_kwargs["annotations"]`` are LangChain's citations (span in the content, quote, and link
    where the source has one), ``response_metadata["cnaps_rag"]`` is the whole answer as `AnswerJson`.

    Example:
        >>> CnapsAnswerer(Settings(llm="gpt-4o-mini")).invoke({"question": "...", "documents": documents}).content
    """

    def __init__(
        self, settings: Settings | None = None, *, verifier: Verifier | None = None, llm: Streams | None = None
    ) -> None:
        """Loads nothing yet; the arguments are those of `Answerer`."""
        self.answerer = Answerer(settings, verifier=verifier, llm=llm)

    def invoke(self, input: AnswererInput, config: RunnableConfig | None = None, **kwargs: Any) -> AIMessage:
        """Message with the whole answer.

        Raises:
            RequestError: the input is no request, with the place and what to do.
            ServiceError: the LLM failed, and `on_llm_failure` is ``raise``.
            UntraceableError: `on_untraceable` is ``raise`` and a claim did not pass.
        """
        return self._call_with_config(self._answer, input, config, **kwargs)

    async def ainvoke(self, input: AnswererInput, config: RunnableConfig | None = None, **kwargs: Any) -> AIMessage:
        """`invoke` for asyncio."""
        return await self._acall_with_config(self._aanswer, input, config, **kwargs)

    def stream(self, input: AnswererInput, config: RunnableConfig | None = None, **kwargs: Any) -> Iterator[AIMessage]:
        """Chunks of the message, each claim checked before it is yielded; closing it early ends the LLM's call."""
        yield from self._transform_stream_with_config(iter([input]), self._chunks, config, **kwargs)

    async def astream(
        self, input: AnswererInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[AIMessage]:
        """`stream` for asyncio."""
        chunks = self._atransform_stream_with_config(_once(input), self._achunks, config, **kwargs)
        async with aclosing(cast("AsyncGenerator[AIMessage]", chunks)) as open_chunks:
            async for chunk in open_chunks:
                yield chunk

    def _answer(self, input: AnswererInput) -> AIMessage:
        return _message(self.answerer.answer(self._read(input)))

    async def _aanswer(self, input: AnswererInput) -> AIMessage:
        return _message(await self.answerer.aanswer(self._read(input)))

    def _chunks(self, inputs: Iterator[AnswererInput]) -> Iterator[AIMessage]:
        request = self._read(next(inputs))
        chunks = _Chunks(request)
        with closing(self.answerer.stream(request)) as events:
            for event in events:
                dispatch_custom_event(*chunks.told(event))
                yield from chunks.of(event)

    async def _achunks(self, inputs: AsyncIterator[AnswererInput]) -> AsyncIterator[AIMessage]:
        request = self._read(await anext(inputs))
        chunks = _Chunks(request)
        async with aclosing(self.answerer.astream(request)) as events:
            async for event in events:
                await adispatch_custom_event(*chunks.told(event))
                for chunk in chunks.of(event):
                    yield chunk

    def _read(self, input: AnswererInput) -> AnswerRequest:
        settings = self.answerer.settings
        if isinstance(input, AnswerRequest):
            return input
        if isinstance(input, str):
            return AnswerRequest.from_text(input, settings=settings)
        if any(key in input for key in _DOCUMENTS_KEYS):
            return _request_of(input, settings)
        return AnswerRequest.model_validate(dict(input), context={"settings": settings})


class CnapsGuard(Runnable[Mapping[str, Any], dict[str, Any]]):
    """Runnable that checks a chain's answer against its documents, and adds a ``report`` and a ``request`` to them.

    The input holds ``answer`` (or ``output``; text or a message), ``documents`` (or ``context``) and ``question`` (or
    ``input``). Documents may be LangChain's, or anything that `guard` takes; pieces of one document (one title, one
    link) become one source. The report's evidence points into ``request``: ``P1`` is its first paper. Nothing is
    streamed before the whole answer has been checked.

    Args of the constructor:
        on_untraceable: what becomes of an answer that is not traceable: ``report`` hands it on with its report,
            ``raise`` raises, ``withhold`` puts a sentence in its place that says so. Single claims are not cut out of a
            text: what is left may then say something else.
    """

    def __init__(
        self,
        *,
        on_untraceable: Literal["report", "raise", "withhold"] = "report",
        settings: Settings | None = None,
        verifier: Verifier | None = None,
    ) -> None:
        """Loads nothing yet; `settings` and `verifier` are those of `validate`."""
        self.on_untraceable = on_untraceable
        self.settings = settings
        self.verifier = verifier

    def invoke(self, input: Mapping[str, Any], config: RunnableConfig | None = None, **kwargs: Any) -> dict[str, Any]:
        """The input and its ``report``.

        Raises:
            RequestError: a key is missing, or its value is not what it must be.
            ServiceError: the encoder or the verifier failed.
            UntraceableError: `on_untraceable` is ``raise``, and something is not traceable.
        """
        return self._call_with_config(self._check, input, config, **kwargs)

    async def ainvoke(
        self, input: Mapping[str, Any], config: RunnableConfig | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        """`invoke` for asyncio."""
        return await self._acall_with_config(self._acheck, input, config, **kwargs)

    def _check(self, input: Mapping[str, Any]) -> dict[str, Any]:
        text, request = _text_of(input), _request_of(input, self.settings)
        report = validate(text, request, settings=self.settings, verifier=self.verifier)
        return self._decide({**input, "request": request, "report": report}, report)

    async def _acheck(self, input: Mapping[str, Any]) -> dict[str, Any]:
        text, request = _text_of(input), _request_of(input, self.settings)
        report = await avalidate(text, request, settings=self.settings, verifier=self.verifier)
        return self._decide({**input, "request": request, "report": report}, report)

    def _decide(self, checked: dict[str, Any], report: Report) -> dict[str, Any]:
        if report.ok or self.on_untraceable == "report":
            return checked
        failed = _failed(report)
        finding = f"{len(failed)} of {len(report.claims) + len(report.links)} claims and links are not traceable"
        if self.on_untraceable == "raise":
            raise UntraceableError(f"{finding}; the first: {failed[0].text!r}: {failed[0].reason}", findings=failed)
        key = _key_of(checked, _ANSWER_KEYS)
        sentence = f"This answer is withheld: {finding} to the supplied sources."
        answer = checked[key]
        # A new message: the other fields of the old one may hold what was not checked either.
        checked[key] = AIMessage(content=sentence, id=answer.id) if isinstance(answer, BaseMessage) else sentence
        return checked


def paper_of(document: Document, number: int) -> RelatedPaper:
    """The source that a document is: its text the summary, its title and link from the metadata.

    The title is ``title``, else where it is from (``source``) if that is no link, else "Document" and its `number`.
    """
    metadata = cast("dict[str, Any]", document.metadata)
    places = [place for key in _LINK_KEYS if isinstance(place := metadata.get(key), str) and place.strip()]
    links = [place for place in places if is_web_address(place)]
    titles = [metadata.get("title"), *(place for place in places if place not in links), f"Document {number}"]
    return RelatedPaper(
        title=next(title for title in titles if isinstance(title, str) and title.strip()),
        paper=links[0] if links else None,
        github=metadata["github"] if isinstance(metadata.get("github"), str) else None,
        summary=document.page_content,
    )


class _Chunks:
    """What one stream's events become: LangChain's custom events and chunks of one message."""

    def __init__(self, request: AnswerRequest) -> None:
        self._rendered = EventsJson(request)
        self._id = _new_id()

    def told(self, event: AnswerEvent) -> tuple[str, dict[str, Any]]:
        """Name and plain values of the custom event."""
        rendered = cast("dict[str, Any]", self._rendered.render(event))
        return f"cnaps_rag.{rendered['event']}", rendered

    def of(self, event: AnswerEvent) -> Iterator[AIMessageChunk]:
        """The chunk of an event that adds to the answer; the last one holds all metadata."""
        if isinstance(event, AnswerDone):
            yield AIMessageChunk(
                content=event.markdown, id=self._id, chunk_position="last", **_metadata_of(event.answer)
            )
        elif event.markdown:
            yield AIMessageChunk(content=event.markdown, id=self._id)


def _message(answer: Answer) -> AIMessage:
    return AIMessage(content=answer.markdown, id=_new_id(), **_metadata_of(answer))


def _new_id() -> str:
    return f"cnaps-rag-{uuid4()}"


def _metadata_of(answer: Answer) -> dict[str, Any]:
    """All that a message tells beside its content."""
    usage = answer.usage
    return {
        "additional_kwargs": {"annotations": list(_annotations(answer))},
        "response_metadata": {
            "model_name": answer.drafter,
            "finish_reason": "stop",
            "cnaps_rag": answer.to_json(),
        },
        "usage_metadata": UsageMetadata(
            input_tokens=usage.prompt_tokens,
            output_tokens=usage.completion_tokens,
            total_tokens=usage.prompt_tokens + usage.completion_tokens,
        ),
    }


def _annotations(answer: Answer) -> Iterator[Citation]:
    """LangChain's citations, one a claim and quote, in their order; a link only where it may be shown."""
    for claim in answer.claims:
        for citation in claim.citations:
            source = answer.request.source(citation.source_id)
            annotation = Citation(
                type="citation",
                title=shown_title(source.id, answer.request) if source.title else "Question",
                start_index=claim.start,
                end_index=claim.end,
                cited_text=citation.quote,
                extras={"source_id": citation.source_id, "field": citation.field},
            )
            links = [link for link in source.links if can_be_shown(link)]
            if links:
                annotation["url"] = links[0]
            yield annotation


def _request_of(fields: Mapping[str, Any], settings: Settings | None) -> AnswerRequest:
    """The request that a retrieval chain's question and documents make."""
    documents_key = _key_of(fields, _DOCUMENTS_KEYS)
    documents: object = fields[documents_key]
    question_keys = [key for key in _QUESTION_KEYS if key in fields]
    question: object = fields[question_keys[0]] if question_keys else None
    if question is not None and not isinstance(question, str):
        raise RequestError(
            f"It is of type {type(question).__name__}.", remedy="Supply the question as text.", field=question_keys[0]
        )
    if isinstance(documents, Sequence) and not isinstance(documents, str | bytes):
        documents = _join_pieces(cast("Sequence[object]", documents))
    return build_request(cast("GuardSources", documents), question, settings=settings, place=documents_key)


def _join_pieces(documents: Sequence[object]) -> list[object]:
    """The same with documents as papers, and pieces of one document as one.

    Two papers of one title and link would be two sources, and what one says not true of the other.
    """
    papers: dict[tuple[str, str | None, str | None] | int, object] = {}
    for number, document in enumerate(documents, 1):
        if not isinstance(document, Document):
            papers[number] = document
            continue
        paper = paper_of(document, number)
        key = (paper.title, paper.paper, paper.github)
        before = papers.get(key)
        if isinstance(before, RelatedPaper):
            pieces = [piece for piece in (before.summary, paper.summary) if piece]
            paper = paper.model_copy(update={"summary": "\n\n".join(pieces) or None})
        papers[key] = paper
    return list(papers.values())


def _text_of(fields: Mapping[str, Any]) -> str:
    key = _key_of(fields, _ANSWER_KEYS)
    answer: object = fields[key]
    if isinstance(answer, BaseMessage):
        return str(answer.text)
    if not isinstance(answer, str):
        raise RequestError(f"It is of type {type(answer).__name__}.", remedy="Supply text or a message.", field=key)
    return answer


def _key_of(fields: Mapping[str, Any], names: Sequence[str]) -> str:
    """The first of these keys that is there."""
    for name in names:
        if name in fields:
            return name
    raise RequestError(
        f"The input has no {names[0]}; it has {', '.join(map(str, fields)) or 'nothing'}.",
        remedy=f"Supply it, for example with RunnablePassthrough.assign({names[0]}=...).",
        field=names[0],
    )


def _failed(report: Report) -> tuple[ClaimFinding | LinkFinding, ...]:
    claims = (claim for claim in report.claims if claim.verdict not in ("supported", "not_a_claim"))
    return (*claims, *(link for link in report.links if link.verdict != "supplied"))


async def _once(value: AnswererInput) -> AsyncIterator[AnswererInput]:
    yield value
