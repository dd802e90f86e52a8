"""The page on putting the server behind a chatbot says what the code does, and its examples run."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from processes import run_python
from prometheus_client.parser import text_string_to_metric_families
from server_processes import ServerProcess, serving
from test_server_metrics import counted

import cnaps_rag as cr
from cnaps_rag.pipeline.events import Stage
from cnaps_rag.pipeline.events_json import EventJson
from cnaps_rag.render import phrases
from cnaps_rag.server.answers import answers_routes
from cnaps_rag.server.app import DEFAULTS_HERE
from cnaps_rag.server.keys import sha256_of_key
from cnaps_rag.server.limits import Busy
from cnaps_rag.server.logs import Told
from cnaps_rag.server.settings import ServerSettings
from cnaps_rag.server.wire import ProofJson, RequestJson

ROOT = Path(__file__).parents[1]
SERVER = ROOT / "cnaps_rag" / "server"
PAGE = (SERVER / "README.md").read_text(encoding="utf-8")
CONTAINERFILE = (SERVER / "Containerfile").read_text(encoding="utf-8")
CODE = "\n".join(file.read_text(encoding="utf-8") for file in sorted(SERVER.glob("*.py")))
ADDRESS = "http://127.0.0.1:8000"
EXAMPLE_LIMIT_S = 120


def rows(heading: str) -> list[list[str]]:
    """Cells of the table that follows `heading`, a line of its own, without its first two lines."""
    table = re.search(rf"^{re.escape(heading)}$\s+((?:^\|.*\n)+)", PAGE, flags=re.MULTILINE)
    assert table is not None, heading
    lines = table[1].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def shown(default: Any) -> str:
    """A default as the tables show it."""
    if default is None or default == ():
        return "none"
    if isinstance(default, str):
        return f"`{default}`"
    return f"{default:,g}" if isinstance(default, float) else f"{default:,}"


# Tables


def test_every_setting_of_the_server_stands_there_as_it_is() -> None:
    expected = [
        [f"`{name}`", shown(field.default) if name != "port" else str(field.default), field.description]
        for name, field in ServerSettings.model_fields.items()
    ]
    assert rows("<!-- settings -->") == expected


def test_settings_of_answers_have_the_defaults_that_stand_there() -> None:
    fields = {variable_of(name): field for name, field in cr.Settings.model_fields.items()}
    here = {variable_of(name): default for name, default in DEFAULTS_HERE.items()}
    told = {
        variable: default
        for cell, defaults, _ in rows("<!-- answer settings -->")
        for variable, default in zip(names(cell), defaults.split(", "), strict=True)
    }
    assert told == {name: shown(here.get(name, fields[name].default)).strip("`") for name in told}
    assert set(here) <= set(told)


def variable_of(name: str) -> str:
    return name.upper() if name.startswith("openai_") else f"CNAPS_RAG_{name.upper()}"


def test_every_variable_that_is_named_is_one() -> None:
    known = {variable_of(name) for name in cr.Settings.model_fields}
    known |= {f"CNAPS_RAG_SERVER_{name.upper()}" for name in ServerSettings.model_fields}
    for text in (PAGE, CONTAINERFILE):
        assert set(re.findall(r"\b(?:CNAPS_RAG|OPENAI)_[A-Z_]*[A-Z]\b", text)) - known <= {"CNAPS_RAG_SERVER"}


def test_every_event_stands_there_in_its_order() -> None:
    kinds = (RequestJson, *get_args(EventJson), ProofJson)
    told = [name for kind in kinds for name in get_args(get_type_hints(kind)["event"])]
    assert [names(cells[0])[0] for cells in rows("<!-- events -->")] == [*told, "error"]
    assert 'event="error"' in Path(sys.modules[answers_routes.__module__].__file__ or "").read_text()
    stages = next(cells for cells in rows("<!-- events -->") if cells[0] == "`progress`")[1]
    assert stages.endswith(", ".join(get_args(Stage)))


def test_every_metric_stands_there_with_its_kind_and_labels() -> None:
    exposed: dict[str, tuple[str, list[str]]] = {}
    body, _ = counted().exposition()
    for family in text_string_to_metric_families(body.decode()):
        if family.name.startswith("cnaps_rag_") and not family.name.endswith("_created"):
            labels = {label for sample in family.samples for label in sample.labels} - {"le"}
            suffix = "_total" if family.type == "counter" else ""
            exposed[family.name + suffix] = (family.type, sorted(labels))
    told = {names(cells[0])[0]: (cells[1], sorted(names(cells[2]))) for cells in rows("<!-- metrics -->")}
    assert told == exposed
    whats = {names(cells[0])[0]: cells[3] for cells in rows("<!-- metrics -->")}
    assert whats["cnaps_rag_refused_total"].endswith(", ".join(get_args(Busy)))
    assert whats["cnaps_rag_stage_seconds"].endswith(", ".join(get_args(Stage)))


def test_every_field_and_line_of_the_log_stands_there() -> None:
    fields = [name for cells in rows("<!-- log fields -->") for name in names(cells[0])]
    assert sorted(fields) == sorted(Told.__annotations__)
    lines = {name for cells in rows("<!-- log lines -->") for name in names(cells[0])}
    assert lines == set(re.findall(r"logger\.(?:info|warning|error)\(\s*\"(\w+)\"", CODE))


def test_every_code_of_a_failure_is_one() -> None:
    told = {name for cells in rows("<!-- failures -->") for name in names(cells[1])}
    assert told <= set(re.findall(r'"([a-z_]+)"', CODE))
    for name in ("host_not_allowed", "server_busy", "time_limit"):
        assert name in told


def test_what_an_answer_says_of_its_making_is_what_it_says() -> None:
    for note in phrases.NOTES:
        assert f'"{phrases.shown_note(note)}"' in PAGE.replace("\n", " ")
    before, _, after = "No statement about the task passed the checks.".partition("the task")
    assert phrases.none_passed("task", "") == f"{before}the task{after}"
    assert f'"{before}…{after}"' in re.sub(r"\s+", " ", PAGE)


# Examples


def examples(language: str) -> list[str]:
    """Code of every block in `language`, but for those under a line that says why it is not run."""
    found = re.findall(
        rf"^(<!-- not run: [^\n]+ -->\n)?```{language}\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL
    )
    return [code for is_left_out, code in found if not is_left_out]


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with serving() as running:
        yield running


def test_examples_in_python_run(server: ServerProcess) -> None:
    [code] = examples("python")
    assert ADDRESS in code
    told = subprocess.run(
        [sys.executable, "-c", code.replace(ADDRESS, server.base_url)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=EXAMPLE_LIMIT_S,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    first, _, second = told.stdout.partition("\n## 1. Task")[2].partition("\n## 1. Task")
    assert "http://arxiv.org/pdf/2304.05538v4.pdf is cited for: " in first
    assert 'The user asks: "What does ImageNet-Hard measure?"' in second


def test_examples_for_the_shell_run(server: ServerProcess, tmp_path: Path) -> None:
    if shutil.which("curl") is None or shutil.which("bash") is None:
        pytest.skip("the examples for the shell need bash and curl, which are not here")
    (tmp_path / ".curlrc").write_text("fail-with-body\n")  # so that an error's status is an error here
    bin_path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    told: list[str] = []
    for code in examples("sh"):
        ended = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", code.replace(ADDRESS, server.base_url)],
            cwd=tmp_path,
            env={**os.environ, "HOME": str(tmp_path), "CURL_HOME": str(tmp_path), "PATH": bin_path},
            capture_output=True,
            text=True,
            timeout=EXAMPLE_LIMIT_S,
            check=False,
        )
        assert ended.returncode == 0, f"{code}\n{ended.stdout}\n{ended.stderr}"
        told.append(ended.stdout)
    chat, native, made, rotated = told
    assert "low-res vision encoders" in json.loads(chat)["choices"][0]["message"]["content"]
    assert native.startswith("event: request\n")
    assert "event: answer_done\n" in native
    assert native.rstrip().endswith("}")
    assert '"ready":true' in native
    assert made.startswith("cnr_")
    assert rotated.startswith("cnr_")
    [kept] = [line for line in (tmp_path / "keys.txt").read_text().splitlines() if not line.startswith("#")]
    assert kept.split()[1] == sha256_of_key(rotated.strip())


def test_what_is_not_run_says_why() -> None:
    assert PAGE.count("```sh\n") == len(examples("sh")) + PAGE.count("<!-- not run: ")


# The container file


def instructions(name: str) -> list[str]:
    """Arguments of every instruction of this name, lines that go on joined."""
    joined = CONTAINERFILE.replace("\\\n", " ")
    return re.findall(rf"^{name} +(.+)$", joined, flags=re.MULTILINE)


def test_what_is_copied_into_the_image_is_there() -> None:
    copied = [words.split()[:-1] for words in instructions("COPY") if not words.startswith("--from=")]
    assert copied
    for source in (source for sources in copied for source in sources):
        assert (ROOT / source).exists(), source
    assert "-f cnaps_rag/server/Containerfile" in CONTAINERFILE
    assert "-f cnaps_rag/server/Containerfile" in PAGE


def test_the_wheel_holds_every_package_and_all_that_it_needs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = {".".join(file.relative_to(ROOT).parts[:-1]) for file in (ROOT / "cnaps_rag").rglob("__init__.py")}
    assert packages <= set(project["tool"]["setuptools"]["packages"])
    needed = project["project"]["dependencies"] + project["project"]["optional-dependencies"]["server"]
    [line] = [words for words in instructions("RUN") if "requirements.txt" in words and words.startswith("python -c")]
    command = re.fullmatch(r'python -c "(.+)" > /wheels/requirements\.txt', line)
    assert command is not None
    told = subprocess.run([sys.executable, "-c", command[1]], cwd=ROOT, capture_output=True, text=True, check=True)
    left_out = set(needed) - set(told.stdout.split("\n"))
    assert [re.split(r"[<>=]", name)[0] for name in left_out] == ["sentence-transformers"]


def test_the_image_serves_without_what_is_left_out_of_it() -> None:
    code = """
        import sys
        for name in ("sentence_transformers", "transformers", "torch"):
            sys.modules[name] = None
        from fastapi.testclient import TestClient
        from cnaps_rag.server.app import make_app
        from cnaps_rag.server.wire import EXAMPLE_TEXT
        with TestClient(make_app(), base_url="http://127.0.0.1") as client:
            answered = client.post("/v1/answers", json={"text": EXAMPLE_TEXT, "proof": True})
        print(answered.status_code, bool(answered.json()["proof"]))
    """
    assert run_python(code).split() == ["200", "True"]


def test_the_image_is_safe_by_default() -> None:
    assert instructions("FROM") == ["${PYTHON} AS build", "${PYTHON}"]
    assert instructions("ARG")[0] == "PYTHON=python:3.11-slim"
    [user] = instructions("USER")
    assert user.isdecimal()
    assert int(user) > 0
    assert f"--uid {user} " in CONTAINERFILE
    variables = dict(word.split("=", 1) for word in instructions("ENV")[0].split())
    assert variables["CNAPS_RAG_SERVER_KEYS_FILE"], "it listens beyond loopback"
    assert variables["ORT_DISABLE_TELEMETRY"] == "1"
    fields = ServerSettings.model_fields
    stop_s = int(re.findall(r"--stop-timeout (\d+)", PAGE)[0])
    assert stop_s == int(re.findall(r"^TimeoutStopSec=(\d+)$", PAGE, flags=re.MULTILINE)[0])
    assert stop_s > fields["shutdown_s"].default


def test_the_health_check_asks_the_server(server: ServerProcess) -> None:
    [words] = instructions("HEALTHCHECK")
    _, *arguments = json.loads(words.partition(" CMD ")[2])
    port = server.base_url.rpartition(":")[2]
    for asked, is_healthy in ((port, True), ("1", False)):
        ended = subprocess.run(
            [sys.executable, *arguments],
            env={**os.environ, "CNAPS_RAG_SERVER_PORT": asked},
            capture_output=True,
            timeout=EXAMPLE_LIMIT_S,
            check=False,
        )
        assert (ended.returncode == 0) is is_healthy
