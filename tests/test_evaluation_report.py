"""Reports on runs: figures and what changed, then each form; hostile texts stay texts in all of them."""

from __future__ import annotations

import csv
import re
import sys
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token
from reports import HOSTILE_ID, extractive_run, hostile_run, llm_run, suite_to_report, with_scores

import cnaps_rag as cr
from cnaps_rag.evaluation.metrics import METRIC_BY_NAME, METRICS
from cnaps_rag.evaluation.report.html import render_report
from cnaps_rag.evaluation.report.markdown import code, render_run_markdown
from cnaps_rag.evaluation.report.plots import plot_differences, plot_distribution, runs_of
from cnaps_rag.evaluation.report.rows import column_names, write_csv, write_parquet
from cnaps_rag.evaluation.report.summary import Comparison, MetricChange, compare_runs, summarise, worst_cases
from cnaps_rag.evaluation.report.text import WIDTH_CHARACTERS, render_comparison_table, render_run_table
from cnaps_rag.evaluation.report.wording import mean_text, signed
from cnaps_rag.evaluation.runs import Run
from cnaps_rag.evaluation.suite import Suite, suite_of


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return extractive_run(tmp_path_factory.mktemp("runs") / "first")


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return llm_run(tmp_path_factory.mktemp("runs") / "second")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return hostile_run(tmp_path_factory.mktemp("runs"))


def change(comparison: Comparison, metric: str) -> MetricChange:
    return next(row for row in comparison.rows if row.metric.name == metric)


# Figures


def test_a_summary_counts_what_is_unscored_and_says_why(second: Run) -> None:
    rows = {row.metric.name: row for row in summarise(second)}
    assert list(rows) == [metric.name for metric in METRICS]
    recall = rows["point_recall"]
    assert recall.estimate is not None
    assert (recall.estimate.n, recall.estimate.n_cases, recall.n_unscored) == (5, 3, 7)
    assert [n for _, n in recall.reasons] == [6, 1]
    assert recall.reasons[1][0] == "there is no answer: it failed"


def test_the_worst_case_comes_first(second: Run) -> None:
    assert worst_cases(second)[0].error is not None
    assert [record.key for record in worst_cases(second)[:1]] == [("c00", 0)]


@pytest.mark.parametrize(
    ("metric", "values", "outcome"),
    [
        ("point_recall", [0.5] * 6, "better"),
        ("forbidden_said", [0.5] * 6, "worse"),
        ("n_claims", [1.0] * 6, "changed"),
        ("n_claims", [0.0] * 6, "not distinguishable"),
        ("point_recall", [0.5, -0.5, 0.5, -0.5, 0.0, 0.0], "not distinguishable"),
        ("point_recall", [1.0, None, None, None, None, None], "too few cases"),
        ("point_recall", [None] * 6, "nothing to compare"),
    ],
)
def test_outcomes_of_a_comparison(first: Run, metric: str, values: list[float | None], outcome: str) -> None:
    other = with_scores(first, metric, values)
    assert change(compare_runs(with_scores(first, metric, [0.0] * 6), other), metric).outcome == outcome


def test_cases_that_changed_most_come_with_their_values(first: Run) -> None:
    a = with_scores(first, "point_recall", [0.5, 0.5, 0.5, 0.5, 0.5, None])
    b = with_scores(first, "point_recall", [0.5, 0.6, 0.0, 1.0, None, 1.0])
    cases = change(compare_runs(a, b), "point_recall").cases
    assert [(case.case, case.first, case.second) for case in cases] == [
        ("c02", 0.5, 0.0),
        ("c03", 0.5, 1.0),
        ("c01", 0.5, 0.6),
    ]


def test_a_comparison_tells_what_the_runs_were_made_with(first: Run, second: Run) -> None:
    comparison = compare_runs(first, second)
    made_with = {one.name: (one.first, one.second) for one in comparison.made_with}
    assert made_with["drafter"] == ("extractive", "scripted")
    assert made_with["settings.llm"] == ("none", "scripted")
    assert "started_at" not in made_with
    assert (len(comparison.first_failed), len(comparison.second_failed), comparison.left_out) == (0, 1, ())
    assert compare_runs(first, first).made_with == ()


def of_suite(run: Run, suite: Suite) -> Run:
    info = run.info.model_copy(update={"suite_sha256": suite.sha256})
    return Run(folder=run.folder, info=info, suite=suite, records=run.records)


def test_other_suites_are_compared_on_the_cases_that_are_the_same(first: Run) -> None:
    value = suite_to_report().to_json()
    value["cases"][0]["request"]["question"] = "Another?"
    value["cases"][1]["gold"]["abstain"] = True
    value["cases"][2]["id"] = "new"
    value["cases"][3]["tags"] = ["only tags differ"]
    comparison = compare_runs(first, of_suite(first, suite_of(value)))
    assert comparison.shared == ("c03", "c04", "c05")
    assert comparison.left_out == ("c00", "c01", "c02", "new")
    assert change(comparison, "traceable").difference is not None
    assert change(comparison, "traceable").difference.n_cases == 3  # type: ignore[union-attr]
    assert (
        "the 3 cases whose request and gold are the same in both suites; 4 cases left out"
        in render_comparison_table(comparison)
    )


def test_suites_without_a_common_case_are_not_compared(first: Run) -> None:
    value = suite_to_report().to_json()
    for case in value["cases"]:
        case["request"]["question"] += " Again?"
    with pytest.raises(cr.RequestError, match="share no case"):
        compare_runs(first, of_suite(first, suite_of(value)))


@pytest.mark.parametrize(
    ("metric", "value", "told"),
    [
        ("point_recall", 0.9996, "0.999"),
        ("point_recall", 0.0001, "0.001"),
        ("point_recall", 1.0, "1.000"),
        ("llm_tokens", 12345.6, "12,346"),
        ("n_claims", 3.25, "3.2"),
        ("seconds", 0.254, "0.25 s"),
        ("cost", 0.00012345, "0.000123"),
    ],
)
def test_means_in_words(metric: str, value: float, told: str) -> None:
    assert mean_text(METRIC_BY_NAME[metric], value) == told


@pytest.mark.parametrize(
    ("metric", "value", "told"),
    [("point_recall", -0.25, "−0.250"), ("point_recall", 0.0002, "+0.0002"), ("n_claims", 1e-12, "±0")],
)
def test_steps_in_words(metric: str, value: float, told: str) -> None:
    assert signed(METRIC_BY_NAME[metric], value) == told


# Text


def test_the_table_tells_failures_first_and_minor_metrics_when_asked(second: Run) -> None:
    table = render_run_table(second)
    assert table.startswith("1 answer failed:\n  c00: ServiceUnavailableError:")
    assert "1 answer failed" in table.splitlines()[4 if table.splitlines()[3] == "" else 3]
    assert "abstention_recall_input" not in table
    assert "abstention_recall_input" in render_run_table(second, all_metrics=True)
    row = next(line for line in table.splitlines() if line.startswith("point_recall "))
    assert row.split()[-4:] == ["5", "/", "3", "7"]
    assert "under 5 cases" in row
    assert "there is no answer: it failed (1)" in table


def test_the_comparison_tells_change_and_outcome(first: Run, second: Run) -> None:
    table = render_comparison_table(compare_runs(first, second))
    assert table.startswith("1 answer failed in second:")
    assert "from first to second:" in table
    assert "settings.llm: none → scripted" in table
    row = next(line for line in table.splitlines() if line.startswith("llm_calls "))
    assert row.rstrip().endswith("worse")
    assert "llm_calls: c" in table


def test_how_far_answers_to_one_case_lie_apart_is_told_in_every_form(first: Run, second: Run) -> None:
    values = [None if record.error else float(record.repeat) for record in second.records]
    apart = with_scores(second, "point_recall", values)
    told = "Standard deviation between answers to one case: point_recall 0.707"
    for shown in (render_run_table(apart), render_run_markdown(apart), render_report(apart)):
        assert told in shown
    assert "Standard deviation" not in render_run_table(first)


def test_tables_keep_their_width_and_hold_no_control_characters(first: Run, second: Run, hostile: Run) -> None:
    tables = [render_run_table(second, all_metrics=True), render_comparison_table(compare_runs(first, second))]
    for table in tables:
        rows = [line for line in table.splitlines() if line.startswith(tuple(METRIC_BY_NAME))]
        assert max(len(line) for line in rows) <= WIDTH_CHARACTERS
    told = render_run_table(hostile)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e]", told)
    assert told.splitlines()[1].startswith("  [31mc: ServiceError: <script>")


# Markdown


def tokens_of(markdown: str) -> list[Token]:
    reader = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    return [inner for token in reader.parse(markdown) for inner in (token, *(token.children or ()))]


def test_the_comment_has_a_verdict_the_metrics_and_the_worst_cases(second: Run) -> None:
    comment = render_run_markdown(second)
    assert comment.startswith("**11 answers, 1 answer failed; traceable 1.000; gold points told ")
    assert "| Gold points told | 1.000 | under 5 cases |  | 5 / 3 | 7 |" in comment
    assert comment.index("`c00` | – | – |") > comment.index("<summary>Worst cases</summary>")
    assert "failed: `ServiceUnavailableError" in comment


def test_the_comment_tells_what_changed(first: Run, second: Run) -> None:
    comment = render_run_markdown(second, first)
    assert "Against `first`: " in comment.splitlines()[0]
    assert "`settings.llm` `none` → `scripted`" in comment
    assert re.search(r"\| LLM calls \|.*\| ❌ worse \|", comment)
    assert "<summary>Cases that changed most</summary>" in comment


def test_in_a_comment_hostile_texts_are_code_and_break_no_table(hostile: Run) -> None:
    comment = render_run_markdown(hostile, hostile)
    tokens = tokens_of(comment)
    assert {token.type for token in tokens} & {"link_open", "image", "html_inline"} == set()
    assert {token.content.strip() for token in tokens if token.type == "html_block"} <= {
        "<details>\n<summary>Worst cases</summary>",
        "<details>\n<summary>Cases that changed most</summary>",
        "</details>",
    }
    assert any("someone" in token.content for token in tokens if token.type == "code_inline")
    for token in tokens:
        if token.type == "text":
            assert not re.search("[@#]|evil|pwned|cmd", token.content), token.content
    widths = [row.count("|") for row in comment.splitlines() if row.startswith("|")]
    assert set(widths) == {10, 7}


@given(st.text(max_size=40))
@example("`")
@example("\\|")
@example("``a`")
@example("a\n\n- b")
@example(HOSTILE_ID)
def test_any_text_is_one_code_span_in_one_cell(text: str) -> None:
    cell = code(text)
    tokens = tokens_of(f"| a | b |\n|--|--|\n| {cell} | c |\n")
    cells = [tokens[place + 1] for place, token in enumerate(tokens) if token.type == "td_open"]
    assert [len(one.children or ()) for one in cells] == [1, 1]
    assert (cells[0].children or ())[0].type == "code_inline"


# Rows


def test_csv_holds_a_row_an_answer_and_the_same_bytes_each_time(second: Run, tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_csv(second, tmp_path / name)
    raw = (tmp_path / "one").read_bytes()
    assert raw == (tmp_path / "two").read_bytes()
    rows = list(csv.DictReader(StringIO(raw.decode())))
    assert tuple(rows[0]) == column_names()
    assert [(row["case"], row["repeat"]) for row in rows[:3]] == [("c00", "0"), ("c00", "1"), ("c01", "0")]
    failed, answered, unscored = rows[:3]
    assert failed["error"].startswith("ServiceUnavailableError")
    assert (failed["point_recall"], failed["point_recall_n"]) == ("", "")
    assert (answered["point_recall"], answered["point_recall_n"], answered["error"]) == ("1.0", "1", "")
    assert (unscored["point_recall"], unscored["point_recall_n"]) == ("", "0")
    assert (answered["run"], answered["drafter"], answered["tags"]) == ("second", "scripted", "noise; even")


def test_no_cell_of_csv_is_a_formula(hostile: Run, tmp_path: Path) -> None:
    write_csv(hostile, tmp_path / "rows.csv")
    rows = list(csv.reader(StringIO((tmp_path / "rows.csv").read_text())))
    assert len(rows) == 4
    assert {len(row) for row in rows} == {len(column_names())}
    texts = [cell for row in rows for cell in row if not re.fullmatch(r"-?[\d.e-]*", cell)]
    assert not [cell for cell in texts if cell.lstrip()[:1] in "=+-@|%"]
    assert rows[1][2] == f"'{HOSTILE_ID}"


def test_parquet_holds_types_and_nulls(second: Run, tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed here")
    write_parquet(second, tmp_path / "rows.parquet")
    table = pq.read_table(tmp_path / "rows.parquet")
    assert tuple(table.column_names) == column_names()
    assert str(table.schema.field("point_recall").type) == "double"
    rows = table.to_pylist()
    assert len(rows) == 12
    assert (rows[0]["point_recall"], rows[0]["point_recall_n"], rows[2]["point_recall_n"]) == (None, None, 0)
    assert rows[1]["tags"] == ["noise", "even"]


def test_without_pyarrow_parquet_says_what_to_install(
    second: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(cr.RequestError, match=r"pip install 'cnaps_rag\[parquet\]'"):
        write_parquet(second, tmp_path / "rows.parquet")
    assert not (tmp_path / "rows.parquet").exists()


# Drawings


def test_drawings_are_the_same_each_time_and_bring_no_style(first: Run) -> None:
    metric, hrefs = METRIC_BY_NAME["n_claims"], {"c00": "#case-c00", "c$_1$": "#<&"}
    runs = runs_of({"c00": [1.0], "c$_1$": [2.0, 4.0]}, first.values("n_claims"))
    drawn = plot_distribution(metric, runs, hrefs)
    assert drawn == plot_distribution(metric, runs, hrefs)
    root = ElementTree.fromstring(drawn)
    assert not [element for element in root.iter() if "style" in element.attrib or element.tag in ("style", "metadata")]
    assert "#0a0b" not in drawn
    assert {"var(--first)", "var(--second)"} <= {element.get("fill") for element in root.iter()}
    links = {element.get("href"): element.findtext("title") for element in root.iter("a")}
    assert links == {"#case-c00": "c00", "#<&": "c$_1$"}
    assert any(element.text == "4" for element in root.iter("text"))


def test_differences_are_drawn_with_their_intervals(first: Run) -> None:
    other = with_scores(first, "claims_supported", [0.1, 0.2, 0.3, 0.1, 0.2, 0.3])
    row = change(compare_runs(first, other), "claims_supported")
    drawn = plot_differences([row], relative=False)
    assert "Drafted claims supported  −0.800" in drawn
    assert "var(--bad)" in drawn


# The page


class Page(HTMLParser):
    """What stands in a page: elements with their attributes, ids, links, and texts by element."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def all(self, tag: str, **attributes: str) -> list[dict[str, str]]:
        found = [attrs for name, attrs in self.elements if name == tag]
        return [
            attrs for attrs in found if all(value in attrs.get(name, "").split() for name, value in attributes.items())
        ]


def ids(page: Page) -> list[str]:
    return [attrs["id"] for _, attrs in page.elements if "id" in attrs]


@pytest.mark.parametrize("with_baseline", [False, True])
@pytest.mark.parametrize("name", ["first", "second", "hostile"])
def test_a_page_is_self_contained_and_its_links_lead_somewhere(
    name: str, with_baseline: bool, request: pytest.FixtureRequest
) -> None:
    run: Run = request.getfixturevalue(name)
    baseline: Run = run if name == "hostile" else request.getfixturevalue("first")
    page = Page(render_report(run, baseline if with_baseline else None))
    assert [tag for tag, _ in page.elements if tag in ("script", "style")] == ["style", "script"]
    assert not [tag for tag, _ in page.elements if tag in ("img", "iframe", "link", "object", "base")]
    assert not [
        name for _, attrs in page.elements for name in attrs if name.startswith("on") or name in ("style", "src")
    ]
    assert len(ids(page)) == len(set(ids(page)))
    for attrs in page.all("a"):
        if attrs["href"].startswith("#"):
            assert attrs["href"][1:] in ids(page)
        else:
            assert attrs["href"] in {link for case in run.suite.cases for s in case.request.sources for link in s.links}


def test_a_page_writes_out_what_would_hide_or_turn_around(hostile: Run) -> None:
    page = render_report(hostile)
    assert not re.search("[\x00-\x08\x0b-\x1f\u202e\u2067]", page)
    assert "Is ⟨U+202E⟩gnp.exe safe?" in Page(page).text


def test_a_page_tells_failures_scores_points_and_evidence(second: Run) -> None:
    page = Page(render_report(second, gate_lines=[(False, "FAIL point_recall at least 2")]))
    assert "1 answer failed" in page.text
    assert "gate not met" in page.text
    assert "FAIL point_recall at least 2" in page.text
    assert len(page.all("details", **{"class": "case"})) == 12
    assert "The paper removes noise from photographs." in page.text
    assert "told by the paper, not of the model" in page.text
    assert "The authors remove all rain from every video." in page.text  # the ledger's
    assert "Reply 1 of scripted, as sent" in page.text
    assert METRIC_BY_NAME["citation_recall"].definition[:60] in page.text
    assert page.all("mark")
    assert page.all("span", **{"class": "verdict"})


def test_a_page_with_a_baseline_shows_both_answers(first: Run, second: Run) -> None:
    page = Page(render_report(second, first))
    assert len(page.all("div", **{"class": "pair"})) == 12
    assert "What changed" in page.text
    assert "settings.llm" in page.text
    assert page.all("span", **{"class": "only"})
    same = Page(render_report(first, first))
    assert not same.all("div", **{"class": "pair"})
    assert "Both were made with the same things." in same.text


def test_an_answer_that_cannot_be_laid_out_is_shown_as_its_markdown(first: Run) -> None:
    answers = [dict(record.answer or {}) for record in first.records]
    answers[0]["markdown"] += "Added."
    answers[1]["sections"] = [{"number": 9}]
    answers[2]["report"] = answers[2]["sections"] = None
    records = [
        record.model_copy(update={"answer": answer}) for record, answer in zip(first.records, answers, strict=True)
    ]
    run = Run(folder=first.folder, info=first.info, suite=first.suite, records=tuple(records))
    page = Page(render_report(run))
    assert len(page.all("p", **{"class": "raw"})) == 3
    assert "Added." in page.text


def test_a_quote_that_does_not_stand_in_its_source_is_told(first: Run) -> None:
    answer = dict(first.records[0].answer or {})
    suite = suite_to_report().to_json()
    suite["cases"][0]["request"]["papers"][0]["summary"] = "Other words."
    suite["cases"][0]["gold"].pop("points")
    record = first.records[0].model_copy(update={"answer": answer})
    run = Run(folder=first.folder, info=first.info, suite=suite_of(suite), records=(record,))
    assert "quote not in its source" in Page(render_report(run)).text


def test_definitions_are_there_for_every_metric(first: Run) -> None:
    page = Page(render_report(first))
    for metric in METRICS:
        assert metric.title in page.text
        assert metric.name in page.text
