"""How soon a validated claim is told after the LLM wrote its last token, beside the raw stream of the same LLM.

    python evals/benchmarks/streaming.py [--quick] [--gate] [--n-requests 8] [--tokens-per-s 30]

The LLM is scripted_endpoint.py in a process of its own, which notes when it wrote each token; all processes share the
machine's monotonic clock. A claim's delay runs from the writing of the token that closes it to its event (raw: to the
token's arrival from the openai client), so the way through the sockets counts. Claims are told in words that the
verifier must read. "New" texts hold a new word in every name, title and sentence, "seen" ones in the question alone;
"cold" is the first request of a fresh process. Prints Markdown to standard output; with --gate, exit status 1 where
95 of 100 claims do not come in time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from measured_processes import RunningEndpoint, running_endpoint, running_server
from overhead import new_word, with_new_question, with_new_texts
from scripted_endpoint import TOKEN_CHARS, TOKENS_PER_S, Written

ROOT = Path(__file__).parents[2]
LEAST_TEXT_CHARS = 4_000  # a request so long makes the LLM say more than a claim or two
AIM_MS = 150.0  # from a claim's last token to its event: the project's aim
COLD_WORDS_FROM = 9_000  # words of their own for requests of fresh processes
N_COLD = 3  # fresh processes; each takes seconds to start
WORD_PLACE = "zzwordzz"  # stands where each request gets a word of its own


@dataclass(slots=True)
class Run:
    """One request as it was seen from outside: when each claim came, by its letters, and when all was over."""

    begun_s: float
    claims_s: dict[str, float] = field(default_factory=dict)
    done_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Figures:
    """Delays of one way: of each claim and of the end in milliseconds, first claims in seconds after the request."""

    claims_ms: list[float] = field(default_factory=list)
    ends_ms: list[float] = field(default_factory=list)
    firsts_s: list[float] = field(default_factory=list)
    firsts_written_s: list[float] = field(default_factory=list)
    n_missing: list[int] = field(default_factory=list)

    def add(self, run: Run, replies: list[Written]) -> None:
        """Counts one request in, to which the LLM wrote `replies`: a draft, and repairs."""
        written_s = {letters: at_s for reply in replies for letters, at_s in claim_ends(reply).items()}
        told_s = {letters: at_s for letters in written_s if (at_s := told_at(letters, run)) is not None}
        self.claims_ms.extend((at_s - written_s[letters]) * 1e3 for letters, at_s in told_s.items())
        self.n_missing.append(len(written_s) - len(told_s))
        self.ends_ms.append((run.done_s - max(reply.times_s[-1] for reply in replies)) * 1e3)
        if told_s:
            self.firsts_s.append(min(told_s.values()) - run.begun_s)
            self.firsts_written_s.append(min(written_s.values()) - run.begun_s)


def told_at(letters: str, run: Run) -> float | None:
    """When a claim was told; before the words of a source then stands whose they are."""
    return next((at_s for told, at_s in run.claims_s.items() if letters in told), None)


Way = Callable[[str], Awaitable[Run]]


# The requests


def request_texts(n_requests: int) -> list[str]:
    """Requests whose papers say something, each with a place for a word in every name, title and sentence."""
    files = [*sorted((ROOT / "data/requests").glob("*.txt")), *sorted((ROOT / "evals/requests").glob("*.txt"))]
    texts = [path.read_text() for path in files]
    long_enough = [text for text in texts if len(text) >= LEAST_TEXT_CHARS]
    return [with_new_texts(text, WORD_PLACE) for text in long_enough[:n_requests]]


def seen_text(text: str, word: str) -> str:
    """A text of `request_texts` that is new in its question only."""
    return with_new_question(text.replace(f" {WORD_PLACE}", ""), word)


# The claims


def letters_of(claim: str) -> str:
    """What of a claim does not change when it is rendered."""
    return re.sub(r"[\W_]", "", claim)


def claim_ends(reply: Written) -> dict[str, float]:
    """When the token that closes each claim of a reply was written, by the claim's letters."""
    draft: dict[str, list[dict[str, Any]]] = json.loads(reply.content)
    ends_s: dict[str, float] = {}
    place = 0
    for claim in (claim for claims in draft.values() for claim in claims):
        place = reply.content.index("}", reply.content.index(json.dumps(claim["text"], ensure_ascii=False), place))
        ends_s[letters_of(claim["text"])] = reply.times_s[place // TOKEN_CHARS]
    return ends_s


# The ways


def raw_way(endpoint: RunningEndpoint) -> Way:
    """The same prompts through the openai client alone, without any check."""
    from openai import AsyncOpenAI

    from cnaps_rag import Answerer, AnswerRequest, Settings
    from cnaps_rag.llm.dialect import Dialect

    client = AsyncOpenAI(base_url=endpoint.base_url, api_key="none")
    settings = Settings(llm="told", openai_base_url=endpoint.base_url)

    async def stream(text: str) -> Run:
        arguments = Dialect().arguments(Answerer(settings).draft_prompt(AnswerRequest.from_prompt(text)), settings)
        run, content = Run(time.monotonic()), ""
        arrivals_s: list[float] = []
        chunks = await client.chat.completions.create(**{**arguments, "stream": True})
        async for chunk in chunks:
            if chunk.choices and chunk.choices[0].delta.content:
                content += chunk.choices[0].delta.content
                arrivals_s.append(time.monotonic())
        run.done_s = time.monotonic()
        run.claims_s = claim_ends(Written(question="", content=content, started_s=0, times_s=arrivals_s))
        return run

    return stream


def library_way(base_url: str) -> Way:
    """`Answerer.astream` in this process."""
    from cnaps_rag import Answerer, AnswerRequest, Settings
    from cnaps_rag.pipeline.events import ClaimAccepted, ClaimRepaired

    answerer = Answerer(Settings.model_validate({"llm": "told", "openai_base_url": base_url, "openai_api_key": "none"}))

    async def stream(text: str) -> Run:
        run = Run(time.monotonic())
        async with aclosing(answerer.astream(AnswerRequest.from_prompt(text))) as events:
            async for event in events:
                if isinstance(event, ClaimAccepted | ClaimRepaired):
                    run.claims_s.setdefault(letters_of(event.claim.text), time.monotonic())
        run.done_s = time.monotonic()
        return run

    return stream


def server_way(base_url: str) -> Way:
    """`POST /v1/answers` of a server, as server-sent events."""
    import httpx

    client = httpx.AsyncClient(base_url=base_url, timeout=600)

    async def stream(text: str) -> Run:
        run = Run(time.monotonic())
        async with client.stream("POST", "/v1/answers", json={"text": text, "stream": True}) as reply:
            reply.raise_for_status()
            async for line in reply.aiter_lines():
                event = json.loads(line.removeprefix("data:")) if line.startswith("data:") else {}
                if event.get("event") in ("claim_accepted", "claim_repaired"):
                    run.claims_s.setdefault(letters_of(event["claim"]["text"]), time.monotonic())
        run.done_s = time.monotonic()
        return run

    return stream


async def measure(way: Way, texts: Iterable[str], endpoint: RunningEndpoint) -> Figures:
    """Delays of `way` over `texts`, one after the other."""
    figures = Figures()
    for text in texts:
        run = await way(text)
        figures.add(run, endpoint.take_written())
    return figures


def measure_cold(text: str, endpoint: RunningEndpoint) -> Figures:
    """Delays of the first request of fresh processes."""
    figures = Figures()
    for number in range(N_COLD):
        ended = subprocess.run(
            [sys.executable, __file__, "--cold", endpoint.base_url],
            input=text.replace(WORD_PLACE, new_word(COLD_WORDS_FROM + number)),
            capture_output=True,
            text=True,
            check=True,
        )
        figures.add(Run(**json.loads(ended.stdout)), endpoint.take_written())
    return figures


def run_cold(base_url: str) -> None:
    """One request from standard input in this process, its `Run` as JSON on standard output."""
    text = sys.stdin.read()
    begun_s = time.monotonic()
    run = asyncio.run(_first_run(base_url, text))
    print(json.dumps({"begun_s": begun_s, "claims_s": run.claims_s, "done_s": run.done_s}))


async def _first_run(base_url: str, text: str) -> Run:
    return await library_way(base_url)(text)


# The table


def row(name: str, figures: Figures) -> str:
    """One line of the table."""
    claims, ends = spread(figures.claims_ms), spread(figures.ends_ms)
    own_s = [told - written for told, written in zip(figures.firsts_s, figures.firsts_written_s, strict=True)]
    first = f"{median(figures.firsts_s):.2f} | {median(own_s) * 1e3:.0f}" if figures.firsts_s else "– | –"
    return f"| {name} | {len(figures.claims_ms)} | {claims} | {first} | {ends} | {sum(figures.n_missing)} |"


def spread(values: list[float]) -> str:
    """Median, 95th percentile and highest of `values`."""
    return f"{median(values):.1f} | {percentile(values, 95):.1f} | {max(values):.1f}" if values else "– | – | –"


def percentile(values: list[float], percent: int) -> float:
    """The `percent`-th percentile; the highest of a few values."""
    return quantiles(values, n=100, method="inclusive")[percent - 1] if len(values) > 1 else max(values, default=0.0)


HEAD = """\
| way | claims | claim, ms: median | p95 | highest | first claim, s | of it ours, ms | end, ms: median | p95 | highest \
| claims not told |
| --- | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |"""


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one request a way, none cold")
    parser.add_argument("--gate", action="store_true", help=f"exit status 1 where p95 is over {AIM_MS:g} ms")
    parser.add_argument("--n-requests", type=int, default=8)
    parser.add_argument("--tokens-per-s", type=float, default=TOKENS_PER_S)
    parser.add_argument("--cold", metavar="BASE_URL", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.cold:
        run_cold(options.cold)
        return
    n_requests = 1 if options.quick else options.n_requests
    late = asyncio.run(compare(request_texts(n_requests), options.tokens_per_s, is_quick=options.quick))
    if late and options.gate:
        sys.exit(f"More than {AIM_MS:g} ms from a claim's last token to its event: {', '.join(late)}")


async def compare(texts: list[str], tokens_per_s: float, *, is_quick: bool) -> list[str]:
    """Prints the figures of all ways; those that are too late."""
    late: list[str] = []

    def tell(name: str, figures: Figures) -> None:
        print(row(name, figures), flush=True)
        if percentile(figures.claims_ms, 95) > AIM_MS:
            late.append(name)

    words = (new_word(number) for number in range(COLD_WORDS_FROM))

    def new_texts() -> list[str]:
        return [text.replace(WORD_PLACE, next(words)) for text in texts]

    def seen_texts() -> list[str]:
        return [seen_text(text, next(words)) for text in texts]

    with running_endpoint(tokens_per_s) as endpoint, running_server(endpoint.base_url) as server:
        library, http = library_way(endpoint.base_url), server_way(server.base_url)
        for way in (library, http):
            await measure(way, [seen_text(text, next(words)) for text in texts[:1]], endpoint)
        print(HEAD, flush=True)
        tell("raw stream, openai client", await measure(raw_way(endpoint), new_texts(), endpoint))
        tell("`Answerer.astream`, new texts", await measure(library, new_texts(), endpoint))
        if not is_quick:
            tell("`Answerer.astream`, seen texts", await measure(library, seen_texts(), endpoint))
            tell("`Answerer.astream`, cold process", measure_cold(texts[0], endpoint))
        tell("`POST /v1/answers`, new texts", await measure(http, new_texts(), endpoint))
    return late


if __name__ == "__main__":
    main()
