"""Milliseconds a claim for a whole answer, verifier included, cold and warm, and pairs a second of the verifier."""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
AIM_MS = 150.0  # a warm answer of 12 claims over 6 sources on two cores: the project's aim
BATCHES = (1, 8, 32)

OPENINGS = ("", "In short, ", "Put simply, ", "As told there, ")
CLAIMS = (
    "FeatSharp [scales up|enlarges|raises the size of] the feature maps of [small vision encoders|vision encoders with "
    "few pixels|low-resolution encoders] [at little cost|without much effort|for little money].",
    "FeatSharp [observes|points out|remarks] that [most|the majority of|many] common ViTs are [tied|bound|limited] to "
    "small inputs.",
    "FeatSharp [takes away|removes|clears up] [motion blur|camera shake|rain streaks] in [night scenes|old films|"
    "photos of crowds].",
    "ImageNet-Hard [reports|finds|notes] that [a suitable crop|the right framing|a good choice of region] lets "
    "[classifiers|networks|models] label nearly every ImageNet image correctly.",
    "ImageNet-Hard [proposes|suggests|offers] an augmentation at test time that [makes|has|forces] a "
    "[classifier|model|network] look closer before it decides.",
    "ImageNet-Hard [shows|argues|claims] that MEMO is [quicker|faster|speedier] and [easier to interpret|more exact|"
    "more precise] than its own technique.",
    "Saliency Suppressed [finds|reports|shows] that ResNets [react to|respond to|depend on] salient regions more "
    "[strongly|clearly|heavily] than ViTs do.",
    "Saliency Suppressed [says|states|holds] that early layers [dampen|hold back|push down] saliency in "
    "[networks|neural networks|such models].",
    "Quality Assured [concludes|finds|argues] that [clearer|better|improved] instructions help annotators more than "
    "[extra|further|additional] internal checks do.",
    "Quality Assured [recommends|advises|asks] that hospitals [train|hire|pay] their own [readers|labellers|experts] "
    "for X-ray images.",
    "Towards flexible perception [lets|makes|helps] a memory [forget|drop|give up] samples [later on|afterwards|when "
    "needed] by pruning it.",
    "SISR-Any-LIIF-EDSR [predicts|computes|works out] the [colour|brightness|tone] of a pixel from its [coordinates|"
    "position|place] in the picture.",
)
"""Claims of an answer in its own words, some true and some not; brackets hold wordings of which one is taken."""


def variants(template: str) -> list[str]:
    """Every wording of one claim, in an order that is the same every time."""
    parts = [part.split("|") for part in re.split(r"[\[\]]", template)]
    worded = ["".join(choice) for choice in itertools.product(OPENINGS, *parts)]
    random.Random(template).shuffle(worded)
    return worded


def answer_texts() -> list[str]:
    """Answers of 12 claims each; no claim of one stands in another."""
    return ["\n\n".join(claims) for claims in zip(*(variants(template) for template in CLAIMS), strict=True)]


def build_request() -> Any:
    """One recommended model and five papers, from the requests in data/requests."""
    from cnaps_rag.request import AnswerRequest

    files = sorted((ROOT / "data" / "requests").glob("*.txt"))
    requests = [AnswerRequest.from_prompt(file.read_bytes().decode("utf-8")) for file in files]
    spoken_of = ("FeatSharp", "ImageNet-Hard", "Saliency Suppressed", "Quality Assured", "Towards flexible perception")
    papers = {
        paper.title: paper for request in requests for paper in request.papers if paper.title.startswith(spoken_of)
    }
    first = requests[0]
    return AnswerRequest(question=first.question, models=first.models, papers=list(papers.values()))


def timed_ms(work: Any, *arguments: Any) -> tuple[float, Any]:
    """Milliseconds by the clock, and what came out."""
    start = time.perf_counter()
    made = work(*arguments)
    return (time.perf_counter() - start) * 1e3, made


def print_cold_times() -> None:
    """What a fresh process spends, as one JSON object: this is run in a process of its own."""

    def load_package() -> None:
        import cnaps_rag.validation  # noqa: F401

    times: dict[str, float] = {}
    times["import"], _ = timed_ms(load_package)
    from cnaps_rag.encoder import load_encoder
    from cnaps_rag.settings import Settings
    from cnaps_rag.validation import validate
    from cnaps_rag.verifier import load_verifier

    request, texts = build_request(), answer_texts()
    settings = Settings()
    times["encoder"], _ = timed_ms(lambda: load_encoder(settings).encode(["The lamp is red."]))
    times["verifier"], _ = timed_ms(lambda: load_verifier(settings).score([("The lamp is red.", "It is blue.")]))
    times["first"], _ = timed_ms(validate, texts[0], request)
    times["second"], _ = timed_ms(validate, texts[1], request)
    print(json.dumps(times))


def measure_cold(n_rounds: int) -> list[dict[str, float]]:
    """Times of fresh processes, one after another."""
    command = [sys.executable, str(Path(__file__))]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    texts = [subprocess.check_output(command, text=True, env=environment) for _ in range(n_rounds)]
    return [json.loads(text) for text in texts]


class RecordingVerifier:
    """The shipped verifier, keeping the pairs that it is asked for."""

    def __init__(self) -> None:
        from cnaps_rag.verifier import ClaimVerifier

        self._verifier = ClaimVerifier()
        self.pairs: list[tuple[str, str]] = []

    @property
    def threshold(self) -> float:
        """As shipped."""
        return self._verifier.threshold

    def score(self, pairs: Sequence[tuple[str, str]]) -> Any:
        """As `Verifier.score`."""
        self.pairs += pairs
        return self._verifier.score(pairs)


def measure_warm(n_rounds: int) -> tuple[dict[str, list[float]], RecordingVerifier, Any]:
    """Milliseconds of each round by kind: claims new and known, one sentence encoded; the pairs asked for; a report."""
    from cnaps_rag.encoder import load_encoder
    from cnaps_rag.settings import Settings
    from cnaps_rag.validation import validate

    request, texts, encoder, verifier = build_request(), answer_texts(), load_encoder(Settings()), RecordingVerifier()
    validate(texts[-1], request, verifier=verifier)  # loads all, and encodes the sources
    verifier.pairs.clear()
    n_rounds = min(n_rounds, len(texts) - 1)
    times: dict[str, list[float]] = {"new": [], "new, of a core": [], "known": [], "sentence": []}
    for row in range(n_rounds):
        start = time.process_time()
        took, report = timed_ms(lambda row=row: validate(texts[row], request, verifier=verifier))
        times["new, of a core"].append((time.process_time() - start) * 1e3)
        times["new"].append(took)
        sentence = f"Image {row} shows a sharp and well lit street in front of a house with {row + 2} windows."
        times["sentence"].append(timed_ms(encoder.encode, [sentence])[0])
    n_pairs = len(verifier.pairs)
    for row in range(n_rounds):
        times["known"].append(timed_ms(lambda row=row: validate(texts[row], request, verifier=verifier))[0])
    del verifier.pairs[n_pairs:]
    return times, verifier, report


def middle(values: Sequence[float]) -> str:
    """Median with the middle half, or with all where they are few."""
    if len(values) < 4:
        return f"{statistics.median(values):.1f} [{min(values):.1f}, {max(values):.1f}]"
    low, median, high = statistics.quantiles(values, n=4)
    return f"{median:.1f} [{low:.1f}, {high:.1f}]"


def print_cold(n_rounds: int) -> None:
    """What a fresh process spends, stage by stage."""
    runs = measure_cold(n_rounds)
    told = {
        "import": "import of the package",
        "encoder": "encoder loaded, one sentence encoded",
        "verifier": "verifier loaded, one pair scored",
        "first": "first answer validated, its six sources encoded",
        "second": "second answer, other claims, same sources",
    }
    print(f"cold, median ms of {n_rounds} fresh processes [middle half]")
    for stage, label in told.items():
        a_claim = f"  ({statistics.median(run[stage] for run in runs) / len(CLAIMS):.1f} a claim)"
        print(
            f"  {label:52}{middle([run[stage] for run in runs]):>26}{a_claim if stage in ('first', 'second') else ''}"
        )


def print_warm(n_rounds: int) -> list[tuple[str, str]]:
    """Whole answers in a warm process; the pairs that were scored."""
    times, verifier, report = measure_warm(n_rounds)
    n_claims = len(report.claims)
    if n_claims != len(CLAIMS):
        sys.exit(
            f"The answer reads as {n_claims} claims instead of {len(CLAIMS)}: see CLAIMS in {Path(__file__).name}."
        )
    print(f"warm, median ms of {len(times['new'])} answers [middle half]; the sources' vectors are cached")
    for kind, label in (("new", "claims never seen"), ("known", "the same claims again")):
        a_claim = statistics.median(times[kind]) / n_claims
        ratio = statistics.median(times[kind]) / statistics.median(times["sentence"])
        print(f"  {label:52}{middle(times[kind]):>26}  ({a_claim:.1f} a claim; {ratio:.0f} times one sentence encoded)")
    print(f"  {'claims never seen: time of a core, all threads':52}{middle(times['new, of a core']):>26}")
    print(f"  {'one new sentence encoded, to compare machines':52}{middle(times['sentence']):>26}")
    n_pairs = len(verifier.pairs) / len(times["new"]) / n_claims
    verdicts = [claim.verdict for claim in report.claims]
    counted = ", ".join(f"{verdict} {verdicts.count(verdict)}" for verdict in dict.fromkeys(verdicts))
    print(f"  {n_pairs:.1f} pairs scored per claim; verdicts of the last answer: {counted}")
    reached = statistics.median(times["new"])
    print(
        f"Aim: a warm answer in {AIM_MS:.0f} ms or less: {reached:.0f} ms, {'met' if reached <= AIM_MS else 'NOT met'}."
    )
    return verifier.pairs


def print_throughput(pairs: Sequence[tuple[str, str]], n_rounds: int) -> None:
    """Pairs a second, of pairs as answers bring them."""
    import tokenizers

    from cnaps_rag.model_files import shipped_folder
    from cnaps_rag.verifier.shipped import N_AT_ONCE, NAME, ShippedReader

    reader = ShippedReader()
    pairs = random.Random(0).sample(list(pairs), min(len(pairs), max(BATCHES)))
    tokenizer: Any = tokenizers.Tokenizer.from_str(
        (shipped_folder(NAME) / "tokenizer.json").read_text(encoding="utf-8")
    )
    tokenizer.no_truncation()
    tokenizer.no_padding()
    lengths = [len(tokenizer.encode(evidence, claim).ids) for evidence, claim in pairs]
    print(
        f"verifier alone, {len(pairs)} pairs of these answers, {statistics.mean(lengths):.0f} tokens on average "
        f"({min(lengths)} to {max(lengths)}); median pairs a second of {n_rounds} rounds [middle half]"
    )
    for size in BATCHES:
        batches = [pairs[at : at + size] for at in range(0, len(pairs), size)]
        took = [timed_ms(lambda b=batches: [reader.read(batch) for batch in b])[0] for _ in range(n_rounds)]
        print(f"  {f'{size} a call':52}{middle([1e3 * len(pairs) / each for each in took]):>26}")
    print(f"  (each pair is read by itself, {N_AT_ONCE} at a time, so that its score depends on nothing else)\n")


def print_speed(*, quick: bool) -> None:
    """Everything on speed; needs data/requests alone."""
    request = build_request()
    n_cold, n_warm, n_throughput = (1, 3, 2) if quick else (7, 40, 15)
    print(
        f"SPEED: an answer of {len(CLAIMS)} claims in free wording over {len(request.sources)} sources; "
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} (what else runs here slows all of it)"
    )
    print_cold(n_cold)
    print_throughput(print_warm(n_warm), n_throughput)


if __name__ == "__main__":
    print_cold_times()
