"""What everything but the LLM costs for one request, stage by stage, beside the same work written by hand.

    python evals/benchmarks/overhead.py [--quick] [--gate]

Three processes take turns request by request, so that whatever else the machine does hits all alike: cnaps_rag, and
by_hand.py twice, with torch's threads as they come and with waiting ones asleep (on shared cores they steal time from
themselves otherwise); ratios are to the faster of the two. Texts "not seen before" are those of data/requests with a
new word in every title and sentence; "seen before" means that only the question is new. Prints Markdown to standard
output. With --gate, exit status 1 where an aim is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
REQUESTS = sorted((ROOT / "data" / "requests").glob("*.txt"))
STAGES = ("parse", "split", "encode", "index", "search", "fit", "draft")  # all that comes before validation
MOST_OF_NEW, MOST_OF_SEEN = 1.3, 0.25  # times the script by hand: the project's aims
MOST_START_S = 0.4  # of `import cnaps_rag` and `cnaps-rag --help`

Milliseconds = dict[str, float]


# The texts


def new_word(number: int) -> str:
    """A word that no text holds, another one for each number."""
    return "".join(chr(ord("a") + int(digit)) for digit in f"{number:04d}") + "ux"


def with_new_question(text: str, word: str) -> str:
    """The request with a word more in its question."""
    return re.sub(r'"(.*?)"', lambda found: f'"{found[1]} {word}"', text, count=1, flags=re.DOTALL)


def with_new_texts(text: str, word: str) -> str:
    """The request with a word more after the first word of every name, title and sentence, the question's too."""
    from cnaps_rag.passages import split_passages
    from cnaps_rag.request import AnswerRequest

    for passage in split_passages(AnswerRequest.from_prompt(text)).all:
        first, *rest = passage.text.split(" ", 1)
        text = text.replace(passage.text, " ".join([first, word, *rest]))
    return text


# The processes that work


def measure_ours(text: str) -> Milliseconds:
    """Stages of one request called one by one, the answer as a whole (from the text on), a check of its Markdown."""
    from cnaps_rag.draft import Brief
    from cnaps_rag.encoder import load_encoder
    from cnaps_rag.extractive import ExtractiveDrafter
    from cnaps_rag.fit import assess_fit
    from cnaps_rag.index import PassageIndex
    from cnaps_rag.passages import split_passages
    from cnaps_rag.pipeline import Answerer
    from cnaps_rag.request import AnswerRequest
    from cnaps_rag.settings import Settings
    from cnaps_rag.validation import validate

    spent: Milliseconds = {}

    def timed(stage: str, work: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        made = work()
        spent[stage] = (time.perf_counter() - start) * 1e3
        return made

    settings = Settings(llm=None, drafter=None)
    staged, whole = text.replace("<word>", "staged"), text.replace("<word>", "whole")
    request = timed("parse", lambda: AnswerRequest.from_prompt(staged))
    passages = timed("split", lambda: split_passages(request))
    encoder = load_encoder(settings)
    timed("encode", lambda: encoder.encode([passage.text for passage in passages.all]))
    index = timed("index", lambda: PassageIndex(passages, encoder))
    hits = timed("search", lambda: index.search(request.question, k=len(passages.all)))
    fit = timed("fit", lambda: assess_fit(passages, hits, index.vectors))
    timed("draft", lambda: ExtractiveDrafter().draft(Brief(passages=passages, hits=hits, fit=fit)))
    spent["without validation"] = sum(spent[stage] for stage in STAGES)

    answerer = Answerer(settings)
    answer = timed("with validation", lambda: answerer.answer(AnswerRequest.from_prompt(whole)))
    timed("markdown", lambda: answer.markdown)
    timed("html", lambda: answer.html)
    timed("prompt", lambda: answerer.draft_prompt(answer.request))
    timed("check of a text", lambda: validate(answer.markdown, answer.request))
    return spent


def measure_by_hand() -> Callable[[str], Milliseconds]:
    """The script's time for one text; it is loaded first."""
    import by_hand

    encoder = by_hand.load()

    def measure(text: str) -> Milliseconds:
        start = time.perf_counter()
        by_hand.prompt_by_hand(text.replace("<word>", "staged"), encoder)
        return {"by hand": (time.perf_counter() - start) * 1e3}

    return measure


def work(side: str) -> None:
    """Answers each text on standard input (a JSON string a line) with its times, one JSON object a line."""
    measure = measure_ours if side == "ours" else measure_by_hand()
    for line in sys.stdin:
        print(json.dumps(measure(json.loads(line))), flush=True)


@contextmanager
def worker(side: str, **environment: str) -> Iterator[Callable[[str], Milliseconds]]:
    """A process that measures one side, as a function from text to times."""
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__)), "--worker", side],
        env={**os.environ, "HF_HUB_OFFLINE": "1", **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    to_worker, from_worker = process.stdin, process.stdout

    def measure(text: str) -> Milliseconds:
        to_worker.write(json.dumps(text) + "\n")
        to_worker.flush()
        line = from_worker.readline()
        if not line:
            sys.exit(f"The process that measures {side!r} ended: run `{' '.join(process.args)}` to see why.")  # type: ignore[arg-type]
        times: Milliseconds = json.loads(line)
        return times

    with process:
        yield measure
        to_worker.close()


# What is measured


def measure_warm(n_rounds: int) -> dict[str, list[Milliseconds]]:
    """Times of each request and round, with texts new and seen."""
    times: dict[str, list[Milliseconds]] = {"new": [], "seen": []}
    with ExitStack() as stack:
        ours = stack.enter_context(worker("ours"))
        sides = [
            ours,
            stack.enter_context(worker("by hand")),
            stack.enter_context(worker("by hand", OMP_WAIT_POLICY="PASSIVE")),
        ]
        for path in REQUESTS:
            for side in sides:
                side(with_new_question(path.read_text(encoding="utf-8"), "warmed <word>"))
        for number in range(n_rounds):
            for place, path in enumerate(REQUESTS):
                word = new_word(number * len(REQUESTS) + place)
                for kind, renewed in (("new", with_new_texts), ("seen", with_new_question)):
                    text = renewed(path.read_text(encoding="utf-8"), f"{word}<word>")
                    mine, by_hand, passive = (side(text) for side in sides)
                    times[kind].append(mine | {"by hand": by_hand["by hand"], "passive": passive["by hand"]})
    return times


def seconds_of(command: list[str]) -> tuple[float, float]:
    """Seconds from the start of a process to its end, which must be a good one, and those it had a core for."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    ended = subprocess.run(command, check=False, capture_output=True, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    if ended.returncode:
        sys.exit(f"{' '.join(command)} ended with {ended.returncode}: {ended.stderr.decode()[-500:]}")
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure_cold(n_rounds: int) -> dict[str, tuple[float, float]]:
    """Median seconds of fresh processes, taking turns: by the clock, and of a core."""
    request = str(REQUESTS[1])
    command_line = "import sys; from cnaps_rag.cli import main; main(sys.argv[1:])"
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "import cnaps_rag": [sys.executable, "-c", "import cnaps_rag"],
        "cnaps-rag --help": [sys.executable, "-c", command_line, "--help"],
        "cnaps-rag answer": [sys.executable, "-c", command_line, "answer", request, "--drafter", "extractive"],
        "by hand": [sys.executable, str(Path(__file__).parent / "by_hand.py"), request],
    }
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for number in range(n_rounds + 1):
        for name, command in commands.items():
            taken = seconds_of(command)
            if number:  # the first round reads the files from the disk
                seconds[name].append(taken)
    return {
        name: (statistics.median(clock for clock, _ in each), statistics.median(core for _, core in each))
        for name, each in seconds.items()
    }


def heavy_modules_of(statement: str) -> list[str]:
    """Heavy libraries that a fresh process has loaded after a statement."""
    heavy = {"torch", "faiss", "onnxruntime", "tokenizers", "sentence_transformers", "openai", "tiktoken"}
    code = (
        "import contextlib, io, sys\n"
        "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):\n"
        f"    {statement}\n"
        f"print(*sorted({heavy!r} & set(sys.modules)))"
    )
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()


# What is printed


def print_stages(times: dict[str, list[Milliseconds]]) -> None:
    """Median milliseconds of each stage."""
    names = list(times["new"][0])
    print("| median ms of a request | texts not seen before | seen before, new question |\n| --- | ---: | ---: |")
    for name in names:
        new, seen = (statistics.median(each[name] for each in times[kind]) for kind in ("new", "seen"))
        label = {"by hand": "**by hand**", "passive": "**by hand, waiting threads asleep**"}.get(name, name)
        print(f"| {label} | {new:.2f} | {seen:.2f} |")


def ratios(times: list[Milliseconds], name: str) -> list[float]:
    """Ours to the faster script, pair by pair."""
    return [each[name] / min(each["by hand"], each["passive"]) for each in times]


def judge_aims(times: dict[str, list[Milliseconds]], cold: dict[str, tuple[float, float]]) -> list[bool]:
    """Prints each aim and whether it was met."""
    met: list[bool] = []
    print("\n| aim | at most | median | middle half | met |\n| --- | ---: | ---: | ---: | --- |")
    for kind, label, most in (
        ("new", "not seen before", MOST_OF_NEW),
        ("seen", "seen before", MOST_OF_SEEN),
    ):
        for name in ("without validation", "with validation"):
            found = ratios(times[kind], name)
            low, median, high = statistics.quantiles(found, n=4)
            met.append(median <= most)
            print(
                f"| texts {label}, {name}, to by hand | {most} | {median:.2f} | {low:.2f} to {high:.2f} "
                f"| {'yes' if met[-1] else 'NO'} |"
            )
    for name, statement in (
        ("import cnaps_rag", "import cnaps_rag"),
        ("cnaps-rag --help", "from cnaps_rag.cli import main; main(['--help'])"),
    ):
        heavy = heavy_modules_of(statement)
        met.append(cold[name][0] < MOST_START_S and not {"torch", "faiss"} & set(heavy))
        loaded = f"loads {', '.join(heavy)}" if heavy else "no heavy library"
        print(f"| {name}, s | {MOST_START_S} | {cold[name][0]:.2f} | {loaded} | {'yes' if met[-1] else 'NO'} |")
    return met


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one round instead of 20")
    parser.add_argument("--gate", action="store_true", help="exit status 1 where an aim is missed")
    parser.add_argument("--worker", choices=["ours", "by hand"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work(arguments.worker)
        return
    n_warm, n_cold = (1, 1) if arguments.quick else (20, 7)
    print(f"{len(REQUESTS)} requests, {n_warm} rounds warm, {n_cold} cold, load {os.getloadavg()[0]:.1f}\n")
    times, cold = measure_warm(n_warm), measure_cold(n_cold)
    print_stages(times)
    print("\n| median s of a fresh process | by the clock | of a core |\n| --- | ---: | ---: |")
    for name, (clock, core) in cold.items():
        print(f"| {name} | {clock:.2f} | {core:.2f} |")
    met = judge_aims(times, cold)
    if arguments.gate and not all(met):
        sys.exit(1)


if __name__ == "__main__":
    main()
