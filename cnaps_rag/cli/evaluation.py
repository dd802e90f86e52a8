"""`eval` and `runs`: suites answered and scored, runs told, compared and merged."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cnaps_rag.cli.console import (
    EPILOG,
    EXIT_BAD_INPUT,
    EXIT_CHECK_FAILED,
    errors_told,
    fail,
    json_text,
    note,
    print_result,
    progress_lines,
    read_settings,
    write_file,
)
from cnaps_rag.errors import RequestError

if TYPE_CHECKING:
    from cnaps_rag.evaluation.gate import Gate
    from cnaps_rag.evaluation.report.summary import Comparison
    from cnaps_rag.evaluation.runs import CaseRecord, Plan, Run, Shard
    from cnaps_rag.evaluation.suite import Suite

_Command = Callable[..., Any]


def _report_options(command: _Command) -> _Command:
    """Options that write a run in other forms."""
    for option in reversed(
        (
            click.option("--baseline", metavar="RUN", help="Folder of a run to compare with, case by case."),
            click.option("--html", "html_file", metavar="OUT", help="Write the report as one self-contained page."),
            click.option("--markdown", "markdown_file", metavar="OUT", help="Write a pull request comment."),
            click.option("--csv", "csv_file", metavar="OUT", help="Write a row for each answer."),
            click.option("--parquet", "parquet_file", metavar="OUT", help="The same as Parquet."),
            click.option("--junit", "junit_file", metavar="OUT", help="Write gate and cases as JUnit XML."),
            click.option("--all-metrics", is_flag=True, help="Also print the minor metrics."),
            click.option("--json", "as_json", is_flag=True, help="Print every figure as JSON instead of the table."),
        )
    ):
        command = option(command)
    return command


@click.command(name="eval", epilog=EPILOG)
@click.argument("suite_file", metavar="SUITE")
@click.option("--out", metavar="DIR", help="Folder of the run; the default is a new one under runs/.")
@click.option("--resume", is_flag=True, help="Go on with the run in --out: what it holds is not done again.")
@click.option("--repeat", type=click.IntRange(min=1), default=1, show_default=True, help="Answers to each case.")
@click.option("--shard", metavar="N/OF", help="Only part N of OF, to be merged with the others by `runs merge`.")
@click.option("--concurrency", type=click.IntRange(min=1), help="Most cases in work at once: 4 with an LLM, else 1.")
@click.option("--replay", metavar="RUN|FILE", help="Take the LLM's replies from a run or a recorded session.")
@click.option("--record", metavar="FILE", help="Write the LLM's replies to FILE, for --replay.")
@click.option("--answers", metavar="FILE", help='Score these texts instead: {"case": ID, "text": ...} a line.')
@click.option("--llm", metavar="NAME", help="LLM that drafts; the default is CNAPS_RAG_LLM, else none.")
@click.option("--drafter", type=click.Choice(["llm", "extractive"]), help="Override who drafts.")
@click.option("--on-untraceable", type=click.Choice(["drop", "raise", "mark"]), help="As for `answer`.")
@click.option("--on-llm-failure", type=click.Choice(["raise", "extractive"]), help="As for `answer`.")
@click.option("--verifier", metavar="NAME", help="Another claim verifier for the answers; metrics keep their own.")
@click.option("--llm-judge", is_flag=True, default=None, help="Ask the LLM about claims that the verifier leaves open.")
@_report_options
def evaluate(suite_file: str, **options: Any) -> None:
    """Answer every case of SUITE, score the answers against their gold, and check the gate that SUITE sets.

    SUITE is YAML or JSON Lines; `cnaps-rag runs schema` prints its form, evals/seeds.yaml is one. Each answer is kept
    as it is scored: after a crash or Ctrl-C, --resume goes on.

    \b
    cnaps-rag eval evals/seeds.yaml --out runs/first
    cnaps-rag eval evals/seeds.yaml --out runs/second --llm gpt-4o-mini --baseline runs/first --html report.html
    cnaps-rag eval evals/seeds.yaml --replay runs/second        # the same again, without an LLM
    """  # noqa: D301
    with errors_told():
        from cnaps_rag.evaluation.runs import run_suite, save_session
        from cnaps_rag.evaluation.suite import load_suite

        suite = load_suite(suite_file)
        plan = _plan(options)
        if options["resume"] and options["out"] is None:
            raise RequestError("--resume does not say which run.", remedy="Give its folder as --out DIR.")
        folder = Path(options["out"] or _default_folder(suite, plan))
        with _progress(folder) as progress:
            run = run_suite(suite, folder, plan, resume=options["resume"], progress=progress)
        note(f"the run is in {folder}")
        if options["record"]:
            save_session(run, options["record"])
            note(f"wrote {options['record']}")
    _tell(run, suite.folder, options)


@click.group(epilog=EPILOG)
def runs() -> None:
    """Runs of suites: tell, compare and merge them; metrics and the form of suites."""


@runs.command(epilog=EPILOG)
@click.argument("folder", metavar="RUN")
@_report_options
def report(folder: str, **options: Any) -> None:
    """Tell a run again, in any form, and check its gate; nothing is answered."""
    with errors_told():
        from cnaps_rag.evaluation.runs import load_run

        run = load_run(folder)
    _tell(run, Path(folder).parent, options)


@runs.command(epilog=EPILOG)
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@click.option("--html", "html_file", metavar="OUT", help="Write the report on B, with what changed from A.")
@click.option("--all-metrics", is_flag=True, help="Also print the minor metrics.")
@click.option("--json", "as_json", is_flag=True, help="Print every figure as JSON instead of the table.")
def compare(first: str, second: str, *, html_file: str | None, all_metrics: bool, as_json: bool) -> None:
    """What changed from run A to run B, paired case by case, and which differences can be told from chance."""
    with errors_told():
        from cnaps_rag.evaluation.report.summary import compare_runs
        from cnaps_rag.evaluation.report.text import render_comparison_table
        from cnaps_rag.evaluation.runs import load_run

        a, b = load_run(first), load_run(second)
        found = compare_runs(a, b)
        table = render_comparison_table(found, all_metrics=all_metrics)
        page = _page(b, a, None) if html_file is not None else ""
    print_result(json_text(_comparison_values(found)) if as_json else table)
    if html_file is not None:
        write_file(html_file, page)


@runs.command(epilog=EPILOG)
@click.argument("folders", metavar="RUN...", nargs=-1, required=True)
@click.option("--out", required=True, metavar="DIR", help="New folder for the whole run.")
def merge(folders: tuple[str, ...], out: str) -> None:
    """Put the shards of one run together."""
    with errors_told():
        from cnaps_rag.evaluation.runs import load_run, merge_runs

        run = merge_runs([load_run(folder) for folder in folders], Path(out))
    note(f"{len(run.records)} answers are in {out}; {len(run.missing)} are missing or failed")


@runs.command(epilog=EPILOG)
@click.argument("folder", metavar="RUN")
@click.option("--llm", metavar="NAME", help="LLM that judges; the default is CNAPS_RAG_LLM.")
@click.option("--repeat", type=click.IntRange(min=1), default=3, show_default=True, help="Judgings of each answer.")
def judge(folder: str, *, repeat: int, llm: str | None) -> None:
    """Have an LLM say which gold points the answers of RUN tell: apart from all metrics, and never part of a gate.

    Each judging has its own seed; CNAPS_RAG_LLM_TEMPERATURE above 0 shows how far it swings. What is judged is kept in
    RUN, and goes on there after a crash.
    """
    with errors_told():
        from cnaps_rag.evaluation.llm_judge import judge_run, render_judged
        from cnaps_rag.evaluation.runs import load_run
        from cnaps_rag.evaluation.statistics import estimate

        run = load_run(folder)
        judged = judge_run(run, read_settings({"llm": llm}), n_judgings=repeat, progress=progress_lines())
        told = render_judged(judged, by_verifier=estimate(run.values("point_recall")))
    print_result(told)


@runs.command(epilog=EPILOG)
def metrics() -> None:
    """All metrics: name, which way is better, definition."""
    from cnaps_rag.evaluation.metrics import METRICS

    for metric in METRICS:
        print_result(f"{metric.name} ({metric.unit.replace('_', ' or ')}, better: {metric.better})")
        print_result(f"    {metric.definition}")


@runs.command(epilog=EPILOG)
def schema() -> None:
    """JSON schema of a suite's YAML file, for editors."""
    from cnaps_rag.evaluation.suite import suite_schema

    print_result(json_text(suite_schema()))


_SETTINGS = ("llm", "drafter", "on_untraceable", "on_llm_failure", "verifier", "llm_judge")


def _plan(options: dict[str, Any]) -> Plan:
    from cnaps_rag.evaluation.runs import Plan, load_answers, load_session

    if options["answers"] and (options["replay"] or options["record"]):
        raise RequestError("--answers come from outside.", remedy="Leave out --replay and --record.")
    given = {name: options[name] for name in _SETTINGS if options[name] is not None}
    session = load_session(options["replay"]) if options["replay"] else None
    return Plan(
        # What is replayed was asked for with the settings of its recording: they rule, not the environment's.
        settings=read_settings(given) if session is None else session.settings.model_copy(update=given),
        repeat=options["repeat"],
        shard=_shard(options["shard"]),
        session=session,
        answers=load_answers(options["answers"]) if options["answers"] else None,
        concurrency=options["concurrency"],
    )


def _shard(told: str | None) -> Shard | None:
    from cnaps_rag.evaluation.runs import Shard

    if told is None:
        return None
    found = re.fullmatch(r"([1-9]\d*)/([1-9]\d*)", told)
    if found is None or int(found[1]) > int(found[2]):
        raise RequestError(f"--shard {told} is no part of a whole.", remedy="Write it as 1/4, up to 4/4.")
    return Shard(number=int(found[1]), of=int(found[2]))


def _default_folder(suite: Suite, plan: Plan) -> Path:
    drafter = "outside" if plan.answers else plan.settings.llm if plan.settings.drafter != "extractive" else None
    stem = re.sub(r"[^\w.-]+", "-", f"{suite.name}-{drafter or 'extractive'}")
    return Path("runs") / f"{stem}-{datetime.now(UTC):%Y%m%d-%H%M%S}"


@contextmanager
def _progress(folder: Path) -> Generator[Callable[[int, int, CaseRecord | None], None]]:
    """A bar with the time left where standard error is a terminal, else a line a case; Ctrl-C says what is kept."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=console, disable=not console.is_terminal)
    task = bar.add_task("answering", total=None)

    def tell(n_done: int, n_all: int, record: CaseRecord | None) -> None:
        bar.update(task, completed=n_done, total=n_all, description=record.case if record is not None else "answering")
        if record is not None and (record.error is not None or not console.is_terminal):
            told = f"failed: {record.error}" if record.error is not None else f"{record.seconds or 0:.1f} s"
            bar.console.print(f"{n_done}/{n_all} {record.case}: {told}", markup=False, highlight=False, soft_wrap=True)

    try:
        with bar:
            yield tell
    except KeyboardInterrupt:
        fail(f"interrupted; what is done is kept: go on with --resume --out {folder}", 130)


def _tell(run: Run, folder: Path, options: dict[str, Any]) -> None:
    """Prints a run, writes it in the other forms that were asked for, and fails where its gate does."""
    with errors_told():
        from cnaps_rag.evaluation.gate import check_gate
        from cnaps_rag.evaluation.report.summary import compare_runs
        from cnaps_rag.evaluation.report.text import render_comparison_table, render_run_table
        from cnaps_rag.evaluation.runs import load_run

        baseline = load_run(options["baseline"]) if options["baseline"] else None
        gate = check_gate(run, folder=folder)
        comparison = compare_runs(baseline, run) if baseline is not None else None
        if options["as_json"]:
            print_result(json_text(_values(run, gate, comparison)))
        else:
            print_result(render_run_table(run, all_metrics=options["all_metrics"]))
            if comparison is not None:
                print_result("\n" + render_comparison_table(comparison, all_metrics=options["all_metrics"]))
            print_result(f"\ngate\n{gate}")
        _write_forms(run, baseline, gate, options)
    if not gate.ok:
        failed = sum(not condition.holds for condition in gate.conditions)
        fail(f"the gate is not met: {failed} of {len(gate.conditions)} conditions fail", EXIT_CHECK_FAILED)


def _write_forms(run: Run, baseline: Run | None, gate: Gate, options: dict[str, Any]) -> None:
    from cnaps_rag.evaluation.gate import write_junit
    from cnaps_rag.evaluation.report.markdown import render_run_markdown
    from cnaps_rag.evaluation.report.rows import write_csv, write_parquet

    if options["html_file"]:
        write_file(options["html_file"], _page(run, baseline, gate))
    if options["markdown_file"]:
        write_file(options["markdown_file"], render_run_markdown(run, baseline))
    try:
        for name, write in (("csv_file", write_csv), ("parquet_file", write_parquet)):
            if options[name]:
                write(run, options[name])
                note(f"wrote {options[name]}")
        if options["junit_file"]:
            write_junit(gate, run, options["junit_file"])
            note(f"wrote {options['junit_file']}")
    except OSError as error:
        fail(f"{error.filename} cannot be written: {error.strerror}", EXIT_BAD_INPUT)


def _page(run: Run, baseline: Run | None, gate: Gate | None) -> str:
    from cnaps_rag.evaluation.report.html import render_report

    lines = [(condition.holds, str(condition)) for condition in gate.conditions] if gate is not None else []
    return render_report(run, baseline, gate_lines=lines)


def _values(run: Run, gate: Gate, comparison: Comparison | None) -> dict[str, Any]:
    from cnaps_rag.evaluation.report.summary import summarise

    return {
        "run": run.info.model_dump(mode="json"),
        "metrics": [
            {
                "name": row.metric.name,
                "estimate": None if row.estimate is None else asdict(row.estimate),
                "n_unscored": row.n_unscored,
            }
            for row in summarise(run)
        ],
        "gate": {"ok": gate.ok, "conditions": [asdict(condition) for condition in gate.conditions]},
        "comparison": None if comparison is None else _comparison_values(comparison),
    }


def _comparison_values(comparison: Comparison) -> list[dict[str, Any]]:
    return [
        {
            "name": row.metric.name,
            "difference": None if row.difference is None else asdict(row.difference),
            "outcome": row.outcome,
        }
        for row in comparison.rows
    ]
