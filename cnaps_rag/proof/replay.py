"""What comes out when it is all done again with what is here: the replies given again, the answer, each verdict."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from cnaps_rag.errors import BadDraftError, CnapsRagError, ServiceError
from cnaps_rag.llm import Completes, Exchange, RecordedLLM, RecordingLLM, Reply
from cnaps_rag.llm.asking import Asking
from cnaps_rag.llm.recorded import hash_asked
from cnaps_rag.pipeline import Answerer
from cnaps_rag.prompt import prompts_sha256
from cnaps_rag.proof.bundle import ModelFiles, ProofBundle, request_of, settings_of
from cnaps_rag.proof.installed import files_of
from cnaps_rag.proof.parts import Check, checked
from cnaps_rag.render.json import ReportJson, render_report_json
from cnaps_rag.settings import Settings
from cnaps_rag.validation import judge_text, load_index, load_judge
from cnaps_rag.verifier import ClaimVerifier

TOLERANCE: Final = 1e-3
"""Most by which a score may differ: CPUs differ in a float's last digits, and scores are given to four."""

REPLAYED: Final = ("replies", "answer", "verdicts", "report")
"""Checks that need the encoder, the verifier and the prompts that made the answer."""

_UNLIMITED: Final = 1_000_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Here:
    """Encoder and verifier that stand for those of the bundle: names or folders on this disk, None the shipped ones."""

    encoder: str | None = None
    verifier: str | None = None


def check_installed(bundle: ProofBundle, here: Here) -> tuple[Check, ...]:
    """Prompts, encoder and verifier are those that the bundle names, file by file."""
    same = bundle.prompts_sha256 == prompts_sha256()
    prompts = Check(
        name="prompts",
        holds=True if same else None,
        told="the prompt files are those of this installation"
        if same
        else f"made with the prompt files {bundle.prompts_sha256[:12]!r} of cnaps_rag {bundle.library[:20]!r}; here "
        f"are {prompts_sha256()[:12]!r}",
    )
    encoder = _check_files("encoder", bundle.encoder, here.encoder)
    verifier = _check_files("verifier", bundle.verifier, here.verifier)
    return prompts, encoder, _with_threshold(verifier, bundle, here)


def _check_files(kind: Literal["encoder", "verifier"], named: ModelFiles, name_here: str | None) -> Check:
    """Files are opened that are shipped or that the caller names; a bundle's own word never decides which."""
    give = f"name it with --{kind} where it is on this disk"
    if not named.sha256:
        return Check(
            name=kind, holds=None, told=f"{named.name[:80]!r} was an object in a program, not known by its files"
        )
    try:
        found = files_of(kind, name_here)
    except ServiceError as error:
        return Check(name=kind, holds=None, told=str(error))
    # Where the caller names a folder, that may be called otherwise here: its files decide.
    if found.sha256 == named.sha256 and (name_here is not None or found.name == named.name):
        return Check(name=kind, holds=True, told=f"{found.name} has the same {len(found.sha256)} files here")
    told = f"made with {named.name[:80]!r}, whose files are not those of {found.name!r} here"
    return Check(name=kind, holds=None, told=told if name_here is not None else f"{told}; {give}")


def _with_threshold(verifier: Check, bundle: ProofBundle, here: Here) -> Check:
    if not verifier.holds:
        return verifier
    settings = _settings_here(bundle, here)
    try:
        threshold = ClaimVerifier(
            settings.verifier, threshold=settings.verifier_threshold, support_label=settings.verifier_support_label
        ).threshold
    except ServiceError as error:
        return Check(name="verifier", holds=None, told=str(error))
    if threshold == bundle.verifier_threshold:
        return Check(name="verifier", holds=True, told=f"{verifier.told}, and the threshold {threshold:g}")
    told = f"the threshold is {threshold:g} here, and {bundle.verifier_threshold:g} in the bundle"
    return Check(name="verifier", holds=False, told=told)


def check_replayed(bundle: ProofBundle, here: Here, installed: Sequence[Check]) -> tuple[Check, ...]:
    """All replies are there and used, the answer is the same, and so are verdicts and report of its Markdown."""
    missing = [check.name for check in installed if not check.holds and (check.name != "prompts" or bundle.exchanges)]
    if missing:
        told = f"could not be checked: {' and '.join(missing)} of the bundle not here"
        return tuple(Check(name=name, holds=None, told=told) for name in REPLAYED)
    settings = _settings_here(bundle, here)
    return (*_check_answer(bundle, settings), *_check_report(bundle, settings))


def _settings_here(bundle: ProofBundle, here: Here) -> Settings:
    return settings_of(bundle).model_copy(update={"encoder": here.encoder, "verifier": here.verifier})


def _check_answer(bundle: ProofBundle, settings: Settings) -> tuple[Check, Check]:
    """The replies are given again to the whole pipeline."""
    recorded = RecordedLLM(bundle.exchanges, settings)
    recording = RecordingLLM(recorded, settings)
    faults: list[str] = []
    try:
        answer = Answerer(settings, llm=recording).answer(request_of(bundle))
        faults += [f"not the same: {place}" for place in differences(bundle.answer, answer.to_json())]
    except CnapsRagError as error:
        faults.append(f"no answer comes out: {str(error)[:300]}")
    told = f"the answer comes out the same from {len(bundle.exchanges)} recorded replies"
    return _check_replies(bundle, recording.exchanges, recorded.left), checked("answer", faults, holds=told)


def _check_replies(bundle: ProofBundle, given: Sequence[Exchange], left: Sequence[Exchange]) -> Check:
    kept = {exchange.asked.sha256 for exchange in bundle.exchanges}
    n_missing = sum(exchange.asked.sha256 not in kept for exchange in given)
    faults = [f"{n_missing} replies are missing"] if n_missing else []
    faults += [f"{len(left)} replies are never asked for"] if left else []
    if not faults and tuple(given) != bundle.exchanges:
        faults = ["the replies are not in the order, or not under the hashes, under which they are asked for"]
    return checked("replies", faults, holds=f"all {len(given)} replies of an LLM are there, and each is used")


class _Remembered:
    """Recorded replies of an LLM judge, as often as asked; what was not asked or failed then is left open again.

    The report is judged alone here: what of the judge's budget the draft had used up is not known any more, and need
    not be, since a pair that was over the budget has no recording.
    """

    def __init__(self, exchanges: Sequence[Exchange], settings: Settings) -> None:
        self._settings = settings
        self._replied = {kept.asked.sha256: kept for kept in exchanges if kept.failure is None}

    def complete(self, prompt: Asking, *, deadline_s: float | None = None) -> Reply:
        """As `LLM.complete`."""
        del deadline_s
        kept = self._replied.get(hash_asked(prompt, self._settings).sha256)
        if kept is None:
            raise BadDraftError("Nothing usable was recorded for this pair.")
        return Reply(text=kept.text or "", usage=kept.usage, llm=kept.llm, reply_format=kept.reply_format)

    async def acomplete(self, prompt: Asking, *, deadline_s: float | None = None) -> Reply:
        """`complete` for asyncio."""
        return self.complete(prompt, deadline_s=deadline_s)


def _check_report(bundle: ProofBundle, settings: Settings) -> tuple[Check, Check]:
    """The bundle's own Markdown is validated afresh, whatever the replay gave."""
    try:
        report = _validate(bundle, settings, _Remembered(bundle.exchanges, settings))
    except CnapsRagError as error:
        told = f"the Markdown cannot be validated: {str(error)[:300]}"
        return Check(name="verdicts", holds=False, told=told), Check(name="report", holds=False, told=told)
    told = f"{len(report['claims'])} claims have their verdicts and layers, and their scores within {TOLERANCE:g}"
    verdicts = checked("verdicts", _verdict_faults(bundle.answer["report"], report), holds=told)
    faults = [f"not the same: {place}" for place in differences(bundle.answer["report"], report)]
    return verdicts, checked("report", faults, holds="validated afresh, the Markdown has the same report")


def _validate(bundle: ProofBundle, settings: Settings, llm: Completes) -> ReportJson:
    open_handed = settings.model_copy(
        update={
            "llm_judge_limit_pairs": _UNLIMITED,
            "llm_judge_limit_s": float(_UNLIMITED),
            "on_llm_judge_failure": "undecided",
        }
    )
    request, markdown = request_of(bundle), bundle.answer["markdown"]
    judge = load_judge(load_index(request, open_handed), settings=open_handed, llm=llm)
    return render_report_json(judge_text(markdown, judge), markdown, request)


def _verdict_faults(kept: ReportJson, found: ReportJson) -> Iterator[str]:
    if len(kept["claims"]) != len(found["claims"]):
        yield f"the Markdown makes {len(found['claims'])} claims, and the bundle judges {len(kept['claims'])}"
    for before, after in zip(kept["claims"], found["claims"], strict=False):
        told = f"{before['text'][:60]!r}: {before['verdict']} ({before['layer']}, {before['score']:.4f}) in the bundle"
        now = f"{after['verdict']} ({after['layer']}, {after['score']:.4f}) now"
        same = all(before[key] == after[key] for key in ("text", "verdict", "layer"))
        if not same or abs(before["score"] - after["score"]) > TOLERANCE:
            yield f"{told}, {now}"


def differences(kept: object, found: object, place: str = "") -> Iterator[str]:
    """Where two plain values differ, as dotted places; floats may differ by `TOLERANCE`."""
    if isinstance(kept, dict) and isinstance(found, dict):
        ours, theirs = cast("dict[str, Any]", kept), cast("dict[str, Any]", found)
        for key in sorted(ours.keys() | theirs.keys()):
            where = f"{place}.{key}" if place else key
            if key in ours and key in theirs:
                yield from differences(ours[key], theirs[key], where)
            else:
                yield f"{where[:100]!r} (only {'in the bundle' if key in ours else 'now'})"
    elif isinstance(kept, list | tuple) and isinstance(found, list | tuple):
        one, other = cast("Sequence[Any]", kept), cast("Sequence[Any]", found)
        if len(one) != len(other):
            yield f"{place} ({len(one)} in the bundle, {len(other)} now)"
            return
        for number, pair in enumerate(zip(one, other, strict=True)):
            yield from differences(*pair, f"{place}[{number}]")
    elif not _is_equal(kept, found):
        yield f"{place} ({kept!r:.60} in the bundle, {found!r:.60} now)"


def _is_equal(kept: Any, found: Any) -> bool:
    if isinstance(kept, float) and isinstance(found, float):
        return abs(kept - found) <= TOLERANCE
    return kept == found and isinstance(kept, bool) == isinstance(found, bool)
