"""How many answers the server streams at once, and what it adds to each, beside the same LLM through a bare proxy.

    python evals/benchmarks/load.py [--quick] [--gate] [--n-streams 64] [--seconds 60] [--tokens-per-s 30]

Four processes: the LLM (scripted_endpoint.py), what stands before it (`cnaps-rag serve`, or a proxy of uvicorn,
Starlette and sse-starlette that passes its stream on), a client that holds so many streams for so long, and this one.
Client and LLM note their times by the machine's monotonic clock; what an answer took longer than the LLM's own replies
to it is told as "before" the first call and "after" the last one's end (what lies between two calls, a draft and its
repair, counts as before). No two requests are alike and no answer is cached: "new" texts have a new word in every
name, title and sentence, so that all of it is encoded and verified anew; "seen" ones have it in the question alone.
Two rounds by one server show what its memory does. Prints Markdown to standard output; with --gate, exit status 1 at
any error, or where less than 90% comes through of what the proxy passes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit

from measured_processes import RunningEndpoint, RunningServer, running_endpoint, running_process, running_server
from overhead import new_word
from scripted_endpoint import TOKENS_PER_S, Written
from streaming import WORD_PLACE, percentile, request_texts, seen_text

N_STREAMS, SECONDS = 64, 60.0
N_TEXTS = 32
RAMP_SHARE = 0.1  # of the time, in which the streams start; what is told a second counts from then on
LEAST_SHARE = 0.9  # of what comes through the proxy: the project's aim
N_NUMBERS = 2_000  # words for the requests of one round
WARM_S, WARM_NUMBERS_FROM = 1.0, 9_000
READ_LIMIT_BYTES = 65_536
WAIT_LIMIT_S = 300.0  # for one answer
PROXY_TELLS = "passes on at "


# The client: a process of its own


@dataclass(frozen=True, slots=True)
class Load:
    """What the client asks: `bodies` in turn, each with a word of its own, by so many streams for so many seconds."""

    base_url: str
    path: str
    bodies: list[str]
    n_streams: int
    seconds: float
    first_number: int


@dataclass(slots=True)
class Streamed:
    """One request: its word, when it was sent, when its answer began and ended, and what is wrong with it."""

    word: str
    sent_s: float
    first_byte_s: float = 0.0
    done_s: float = 0.0
    fault: str = ""


async def ask_all(load: Load) -> list[Streamed]:
    """Starts the streams one by one, keeps all busy until the time is over, then lets them end."""
    begun_s = time.monotonic()
    until_s = begun_s + load.seconds
    numbers = iter(range(load.first_number, 10_000))
    streamed: list[Streamed] = []

    async def one_after_the_other(wait_s: float) -> None:
        await asyncio.sleep(wait_s)
        while time.monotonic() < until_s:
            number = next(numbers)
            word = new_word(number)
            body = load.bodies[number % len(load.bodies)].replace(WORD_PLACE, word)
            answered = Streamed(word=word, sent_s=time.monotonic())
            streamed.append(answered)
            try:
                async with asyncio.timeout(WAIT_LIMIT_S):
                    answered.fault = await ask(load, body.encode(), answered)
            except (OSError, TimeoutError) as error:
                answered.fault = type(error).__name__
            answered.done_s = time.monotonic()

    ramp_s = load.seconds * RAMP_SHARE / load.n_streams
    await asyncio.gather(*(one_after_the_other(place * ramp_s) for place in range(load.n_streams)))
    return streamed


async def ask(load: Load, body: bytes, answered: Streamed) -> str:
    """Reads one answer to its end; its fault. HTTP by hand: a client library would take more time than the server."""
    address = urlsplit(load.base_url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        writer.write(
            b"POST %b HTTP/1.1\r\nhost: %b\r\nconnection: close\r\nauthorization: Bearer none\r\n"
            b"content-type: application/json\r\ncontent-length: %d\r\n\r\n"
            % (load.path.encode(), address.netloc.encode(), len(body))
            + body
        )
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in head.partition(b"\r\n")[0]:
            return head.partition(b"\r\n")[0].decode()
        received = [await reader.read(READ_LIMIT_BYTES)]
        answered.first_byte_s = time.monotonic()
        while part := await reader.read(READ_LIMIT_BYTES):
            received.append(part)
        answered.done_s = time.monotonic()
        return fault_of(load.path, without_chunks(b"".join(received)))
    finally:
        writer.close()


def without_chunks(body: bytes) -> bytes:
    """A body out of the chunks in which it was sent; what a cut-off body still holds."""
    parts: list[bytes] = []
    while body:
        size, _, body = body.partition(b"\r\n")
        n_bytes = int(size or b"0", 16)
        parts.append(body[:n_bytes])
        body = body[n_bytes + 2 :]
    return b"".join(parts)


def fault_of(path: str, body: bytes) -> str:
    """What is wrong with an answer's events, or an empty text."""
    lines = [line.removeprefix(b"data: ") for line in body.splitlines() if line.startswith(b"data: ")]
    if path != "/v1/answers":
        return "" if lines[-1:] == [b"[DONE]"] else "stream ended early"
    events = [json.loads(line) for line in lines]
    if not events or events[-1].get("event") != "answer_done":
        return f"last event: {events[-1].get('event', 'error') if events else 'none'}"
    answer = events[-1]["answer"]
    if "".join(event["markdown"] for event in events) != answer["markdown"]:
        return "fragments do not make the answer"
    return "" if answer["drafter"] != "extractive" else "the LLM's draft was not used"


# The proxy: a process of its own


def serve_proxy(llm_base_url: str) -> None:
    """Passes streams of the LLM on, through the same parts as the server's."""
    import httpx
    import uvicorn
    from sse_starlette import EventSourceResponse
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.routing import Route

    client = httpx.AsyncClient(timeout=WAIT_LIMIT_S, limits=httpx.Limits(max_connections=None))

    async def events(body: bytes) -> AsyncIterator[str]:
        headers = {"content-type": "application/json"}
        url = f"{llm_base_url}/chat/completions"
        async with client.stream("POST", url, content=body, headers=headers) as reply:
            async for line in reply.aiter_lines():
                if line:
                    yield line.removeprefix("data: ")

    async def pass_on(request: Request) -> EventSourceResponse:
        return EventSourceResponse(events(await request.body()))

    app = Starlette(routes=[Route("/v1/chat/completions", pass_on, methods=["POST"])])
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
    listener = server.config.bind_socket()
    print(f"{PROXY_TELLS}http://127.0.0.1:{listener.getsockname()[1]}", file=sys.stderr, flush=True)
    server.run(sockets=[listener])


@contextmanager
def running_proxy(llm_base_url: str) -> Iterator[RunningServer]:
    """The proxy in a process of its own."""
    with running_process([sys.executable, __file__, "--proxy", llm_base_url], PROXY_TELLS, {}) as proxy:
        yield proxy


# The figures


@dataclass(frozen=True, kw_only=True, slots=True)
class Figures:
    """Figures of one round."""

    n_answers: int
    answers_per_s: float
    tokens_per_s: float
    before_ms: list[float]
    after_ms: list[float]
    first_byte_ms: list[float]
    calls: float
    cpu_ms: float
    rss_mb: tuple[float, float]
    faults: Counter[str]


def put_load(load: Load, server: RunningServer, endpoint: RunningEndpoint) -> Figures:
    """Figures of one round of `load` on `server`."""
    endpoint.take_written()
    rss_mb, cpu_s = server.rss_mb, server.cpu_s
    ended = subprocess.run(
        [sys.executable, __file__, "--client"],
        input=json.dumps(asdict(load)),
        capture_output=True,
        text=True,
        check=True,
    )
    streamed = [Streamed(**one) for one in json.loads(ended.stdout)]
    cpu_ms = (server.cpu_s - cpu_s) * 1e3 / len(streamed)
    return figures_of(streamed, endpoint.take_written(), load.seconds, cpu_ms, (rss_mb, server.rss_mb))


def figures_of(
    streamed: Sequence[Streamed], written: Sequence[Written], seconds: float, cpu_ms: float, rss_mb: tuple[float, float]
) -> Figures:
    """Figures of a round's answers and of the replies that the LLM wrote for them."""
    sent_s = min(one.sent_s for one in streamed)
    from_s, until_s = sent_s + seconds * RAMP_SHARE, sent_s + seconds
    window_s = until_s - from_s
    replies_by_word = defaultdict[str, list[Written]](list)
    for reply in written:
        replies_by_word[word_of(reply.question)].append(reply)
    faults = Counter(one.fault for one in streamed if one.fault)
    good = [(one, replies_by_word[one.word]) for one in streamed if not one.fault]
    after_ms = [(one.done_s - max(reply.times_s[-1] for reply in replies)) * 1e3 for one, replies in good]
    whole_ms = [
        (one.done_s - one.sent_s - sum(reply.times_s[-1] - reply.started_s for reply in replies)) * 1e3
        for one, replies in good
    ]
    return Figures(
        n_answers=len(good),
        answers_per_s=sum(from_s < one.done_s <= until_s for one, _ in good) / window_s,
        tokens_per_s=sum(from_s < at_s <= until_s for reply in written for at_s in reply.times_s) / window_s,
        before_ms=[whole - after for whole, after in zip(whole_ms, after_ms, strict=True)],
        after_ms=after_ms,
        first_byte_ms=[(one.first_byte_s - one.sent_s) * 1e3 for one, _ in good],
        calls=sum(len(replies) for _, replies in good) / max(1, len(good)),
        cpu_ms=cpu_ms,
        rss_mb=rss_mb,
        faults=faults,
    )


def word_of(question: str) -> str:
    """The request's own word, as `new_word` makes them."""
    found = re.search(r"\b[a-j]{4}ux\b", question)
    return found[0] if found else ""


HEAD = """\
| through | answers | answers/s | LLM tokens/s | before the LLM, ms: p50 | p95 | p99 | after it, ms: p50 | p95 | p99 \
| first byte, ms: p50 | p95 | LLM calls an answer | CPU ms an answer | RSS MB before | after | errors |
| --- | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --- |"""


def row(name: str, figures: Figures) -> str:
    """One line of the table."""
    spreads = [
        " | ".join(f"{percentile(values, percent):.0f}" for percent in percents)
        for values, percents in (
            (figures.before_ms, (50, 95, 99)),
            (figures.after_ms, (50, 95, 99)),
            (figures.first_byte_ms, (50, 95)),
        )
    ]
    faults = ", ".join(f"{fault}: {count}" for fault, count in figures.faults.items()) or "0"
    return (
        f"| {name} | {figures.n_answers} | {figures.answers_per_s:.2f} | {figures.tokens_per_s:.0f} | "
        f"{' | '.join(spreads)} | {figures.calls:.2f} | {figures.cpu_ms:.0f} | {figures.rss_mb[0]:.0f} | "
        f"{figures.rss_mb[1]:.0f} | {faults} |"
    )


# The rounds


def bodies_for_proxy(texts: Sequence[str], llm_base_url: str) -> list[str]:
    """What the server would send to the LLM for each text, streamed."""
    from cnaps_rag import Answerer, AnswerRequest, Settings
    from cnaps_rag.llm.dialect import Dialect

    settings = Settings.model_validate({"llm": "told", "openai_base_url": llm_base_url})
    prompts = [Answerer(settings).draft_prompt(AnswerRequest.from_prompt(text)) for text in texts]
    return [json.dumps({**Dialect().arguments(prompt, settings), "stream": True}) for prompt in prompts]


def compare(texts: Sequence[str], options: argparse.Namespace) -> tuple[dict[str, float], Counter[str]]:
    """Prints the figures of every round; each server's share of what the proxy passes on, and all errors."""
    faults = Counter[str]()
    shares: dict[str, float] = {}
    new = [json.dumps({"text": text, "stream": True}) for text in texts]
    seen = [json.dumps({"text": seen_text(text, WORD_PLACE), "stream": True}) for text in texts]

    def put(name: str, server: RunningServer, path: str, bodies: list[str], *, first_number: int) -> Figures:
        load = Load(server.base_url, path, bodies, options.n_streams, options.seconds, first_number)
        figures = put_load(load, server, endpoint)
        faults.update(figures.faults)
        print(row(name, figures), flush=True)
        return figures

    def put_on_server(n_workers: int, alone: Figures) -> None:
        with running_server(endpoint.base_url, n_workers=n_workers) as server:
            warm(server, seen)
            rounds = [("new texts", new), ("new texts, again", new), ("seen texts", seen)]
            for number, (kind, bodies) in enumerate(rounds):
                name = f"server, {n_workers} worker{'s' * (n_workers > 1)}, {kind}"
                figures = put(name, server, "/v1/answers", bodies, first_number=N_NUMBERS * number)
                shares[name] = figures.tokens_per_s / alone.tokens_per_s

    with running_endpoint(options.tokens_per_s) as endpoint:
        print(HEAD, flush=True)
        with running_proxy(endpoint.base_url) as proxy:
            bodies = bodies_for_proxy(texts, endpoint.base_url)
            alone = put("proxy alone", proxy, "/v1/chat/completions", bodies, first_number=0)
        for n_workers in options.workers:
            put_on_server(n_workers, alone)
    return shares, faults


def warm(server: RunningServer, bodies: list[str]) -> None:
    """Has every worker load its models and see the texts."""
    load = Load(server.base_url, "/v1/answers", bodies, len(bodies), WARM_S, WARM_NUMBERS_FROM)
    faults = Counter(one.fault for one in asyncio.run(ask_all(load)) if one.fault)
    if faults:
        sys.exit(f"The server does not answer: {dict(faults)}")


def main() -> None:
    """Prints the table, or is one of the other processes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="8 streams for 5 s at four times the pace, 1 worker")
    parser.add_argument("--gate", action="store_true")
    parser.add_argument("--n-streams", type=int, default=N_STREAMS)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--tokens-per-s", type=float, default=TOKENS_PER_S)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--client", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--proxy", metavar="BASE_URL", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.client:
        streamed = asyncio.run(ask_all(Load(**json.load(sys.stdin))))
        print(json.dumps([asdict(one) for one in streamed]))
    elif options.proxy:
        serve_proxy(options.proxy)
    else:
        measure(options)


def measure(options: argparse.Namespace) -> None:
    """Prints the table and what it comes to."""
    if options.quick:
        options.n_streams, options.seconds, options.workers = 8, 5.0, [1]
        options.tokens_per_s = 4 * TOKENS_PER_S
    shares, faults = compare(request_texts(N_TEXTS), options)
    print()
    for name, share in shares.items():
        print(f"{name}: {share:.0%} of the LLM's tokens that the proxy passes on")
    is_slow = not options.quick and min(shares.values()) < LEAST_SHARE  # a few seconds say nothing of speed
    if options.gate and (faults or is_slow):
        sys.exit(f"Aim missed: {dict(faults)}, {min(shares.values()):.0%}")


if __name__ == "__main__":
    main()
