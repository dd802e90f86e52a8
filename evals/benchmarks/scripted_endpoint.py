"""An LLM's endpoint that says what it must at a pace that it keeps, for hundreds of streams at once.

    python evals/benchmarks/scripted_endpoint.py [--port 0] [--tokens-per-s 30]

A process of its own, so that its work is not measured with that of the program under test. It speaks OpenAI's chat
completions, streamed or whole, and fills the form of the request's own schema with claims that pass: sentences of the
sources in the prompt, in quotation marks (LLM name ``quoted``) or told in the third person, which the claim verifier
must read (``told``). A token is four characters. The first line on standard output is the endpoint's address.

``GET /written`` gives what was written since it was last asked, and when: a list of `Written` as JSON. Its times are
of the machine's monotonic clock, which every process on it shares.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

TOKEN_CHARS = 4  # what an English token has on average
TOKENS_PER_S = 30.0
MOST_CLAIMS = 3  # a slot; as many as the forms allow

_LINE = re.compile(r"^([MPQ]\d*)\.(\d+) \| (.*)$", re.MULTILINE)
_FIRST_PERSON = (
    (re.compile(r"\b[Ww]e\b"), "the authors"),
    (re.compile(r"\b[Oo]ur\b"), "the authors'"),
)


# What it says


def reply_to(body: dict[str, Any]) -> str:
    """A draft as compact JSON that fills the form which the request's schema describes."""
    user = body["messages"][-1]["content"]
    text_by_id = {f"{source}.{number}": text for source, number, text in _LINE.findall(user)}
    tells = body.get("model") == "told"
    slots = body["response_format"]["json_schema"]["schema"]["properties"]
    draft = dict[str, list[dict[str, Any]]]()
    told = set[str]()
    for slot, schema in slots.items():
        ids = [passage_id for passage_id in _chosen(slot, schema, text_by_id) if passage_id not in told]
        told.update(ids)
        say = _asked if slot == "task" else _told if tells else _quoted
        draft[slot] = [{"text": say(text_by_id[passage_id]), "evidence": [passage_id]} for passage_id in ids]
    return json.dumps(draft, ensure_ascii=False, separators=(",", ":"))


def _chosen(slot: str, schema: dict[str, Any], text_by_id: dict[str, str]) -> list[str]:
    """Ids of the sentences that fill `slot`: the user's last question, else the first sentences of its own subject."""
    ids: list[str] = schema["items"]["properties"]["evidence"]["items"]["enum"]
    if slot == "task":
        asked = [passage_id for passage_id in ids if text_by_id[passage_id].endswith("?")]
        return (asked or ids)[-1:]
    sentences = [passage_id for passage_id in ids if not passage_id.endswith(".0") and passage_id[0] == slot[0]]
    return sentences[: min(MOST_CLAIMS, schema.get("maxItems", MOST_CLAIMS))]


def _asked(question: str) -> str:
    return f'The user asks: "{question}"'


def _quoted(sentence: str) -> str:
    return f'The source says: "{sentence}"'


def _told(sentence: str) -> str:
    for first_person, third_person in _FIRST_PERSON:
        sentence = first_person.sub(third_person, sentence)
    return sentence[:1].upper() + sentence[1:]


# What it wrote, and when


@dataclass(slots=True)
class Written:
    """One reply: the question it was to, what it says, and the time in seconds at which each token was written.

    Attributes:
        started_s: when the request had arrived.
        is_whole: False for one that nobody wanted to the end.
    """

    question: str
    content: str
    started_s: float
    times_s: list[float] = field(default_factory=list)
    is_whole: bool = False


class _Endpoint:
    """What all connections share."""

    def __init__(self, tokens_per_s: float) -> None:
        self.pause_s = 1 / tokens_per_s
        self.written: list[Written] = []
        self.n_running = 0

    def take_written(self) -> bytes:
        """What is over, as JSON; it is forgotten here."""
        over, self.written = self.written, []
        return json.dumps([asdict(reply) for reply in over]).encode()


# How it says it: HTTP by hand, because a web framework costs ten times as much for each token


class _Connection(asyncio.Protocol):
    """One connection; requests on it are answered one after the other."""

    def __init__(self, endpoint: _Endpoint) -> None:
        self._endpoint = endpoint
        self._loop = asyncio.get_running_loop()
        self._received = bytearray()
        self._timer: asyncio.TimerHandle | None = None
        self._reply: Written | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, _: Exception | None) -> None:
        self._end()

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._reply is None:
            self._read_request()

    def _read_request(self) -> None:
        head, end, rest = self._received.partition(b"\r\n\r\n")
        length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE)
        n_bytes = int(length[1]) if length else 0
        if not end or len(rest) < n_bytes:
            return
        del self._received[: len(head) + len(end) + n_bytes]
        self._answer(head.split(b" ", 2)[1].decode(), bytes(rest[:n_bytes]))

    def _answer(self, path: str, body: bytes) -> None:
        if path.endswith("/written"):
            self._send(self._endpoint.take_written())
        elif path.endswith("/chat/completions"):
            self._begin(json.loads(body))
        else:
            self._send(b'{"object":"list","data":[{"id":"quoted","object":"model"},{"id":"told","object":"model"}]}')

    def _begin(self, request: dict[str, Any]) -> None:
        content = reply_to(request)
        question = " ".join(
            text for source, _, text in _LINE.findall(request["messages"][-1]["content"]) if source == "Q"
        )
        self._reply = Written(question=question, content=content, started_s=time.monotonic())
        self._endpoint.n_running += 1
        self._tokens = [content[at : at + TOKEN_CHARS] for at in range(0, len(content), TOKEN_CHARS)]
        self._streams = request.get("stream") is True
        if self._streams:
            self._transport.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
                + _chunk({"role": "assistant", "content": ""})
            )
        self._wait(self._reply)

    def _say_next(self, reply: Written) -> None:
        """Writes the next token, its time having come; the pace is kept from the request on."""
        n_said = len(reply.times_s)
        if self._streams:
            self._transport.write(_chunk({"content": self._tokens[n_said]}))
        reply.times_s.append(time.monotonic())
        if n_said + 1 == len(self._tokens):
            self._finish(reply)
        else:
            self._wait(reply)

    def _wait(self, reply: Written) -> None:
        due_s = reply.started_s + (len(reply.times_s) + 1) * self._endpoint.pause_s
        self._timer = self._loop.call_at(due_s, self._say_next, reply)

    def _finish(self, reply: Written) -> None:
        counts = {"prompt_tokens": 1000, "completion_tokens": len(self._tokens)}
        usage = {**counts, "total_tokens": sum(counts.values())}
        if self._streams:
            last = {**_HEAD, "object": "chat.completion.chunk", "choices": [], "usage": usage}
            self._transport.write(_chunk({}, "stop") + _framed(last) + b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")
        else:
            message = {"role": "assistant", "content": reply.content}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            self._send(json.dumps({**_HEAD, "object": "chat.completion", "choices": [choice], "usage": usage}).encode())
        reply.is_whole = True
        self._end()
        self._read_request()

    def _send(self, body: bytes) -> None:
        self._transport.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body
        )

    def _end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._reply is not None:
            self._endpoint.written.append(self._reply)
            self._endpoint.n_running -= 1
            self._reply = None


_HEAD = {"id": "chatcmpl-1", "created": 1, "model": "scripted"}


def _chunk(delta: dict[str, str], finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return _framed({**_HEAD, "object": "chat.completion.chunk", "choices": [choice]})


def _framed(event: dict[str, Any]) -> bytes:
    written = b"data: %b\n\n" % json.dumps(event).encode()
    return b"%x\r\n%b\r\n" % (len(written), written)


async def _serve(port: int, tokens_per_s: float) -> None:
    endpoint = _Endpoint(tokens_per_s)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(endpoint), "127.0.0.1", port, backlog=1024)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    await server.serve_forever()


def main() -> None:
    """Serves until it is ended."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--tokens-per-s", type=float, default=TOKENS_PER_S, help="of each stream")
    options = parser.parse_args()
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(options.port, options.tokens_per_s))


if __name__ == "__main__":
    main()
