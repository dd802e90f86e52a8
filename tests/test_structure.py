"""The shape of the package: one reading order, light imports, and only `validation` making answers."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import cnaps_rag

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "cnaps_rag"
HEAVY = {"torch", "sentence_transformers", "faiss", "onnxruntime", "openai", "tiktoken", "transformers", "tokenizers"}


def layers() -> list[str]:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    return list(reversed(next(contract["layers"] for contract in contracts if contract["type"] == "layers")))


def test_docstring_of_the_package_lists_the_modules_in_the_linter_s_order() -> None:
    docstring = ast.get_docstring(ast.parse((PACKAGE / "__init__.py").read_text())) or ""
    assert re.findall(r"^- `(\w+)`", docstring, flags=re.MULTILINE) == layers()


def test_every_module_is_a_layer() -> None:
    modules = {path.stem for path in PACKAGE.glob("*.py")} | {
        path.parent.name for path in PACKAGE.glob("*/__init__.py")
    }
    assert modules - {"__init__"} == set(layers())


def test_the_wheel_holds_every_package() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    folders = {".".join(path.parent.relative_to(ROOT).parts) for path in PACKAGE.rglob("__init__.py")}
    assert set(listed) - {"cnaps_rag.models", "cnaps_rag.prompts"} == folders


@pytest.mark.parametrize("statement", ["import cnaps_rag", "import cnaps_rag.cli"])
def test_import_loads_no_heavy_library(statement: str) -> None:
    code = f"import sys; {statement}; print(*sorted({{m.split('.')[0] for m in sys.modules}}))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY & set(run.stdout.split())


def test_public_names_of_the_type_checkers_are_those_of_the_running_package() -> None:
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    checked = next(node for node in tree.body if isinstance(node, ast.If))
    declared = {
        alias.asname: node.module for node in checked.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert {f"cnaps_rag.{module}" for module in cnaps_rag._NAMES_BY_MODULE} == set(declared.values())
    for name, module in declared.items():
        assert getattr(cnaps_rag, str(name)) is getattr(importlib.import_module(str(module)), str(name))


def test_only_validation_makes_an_answer() -> None:
    makers = set[str]()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and "Answer" in (
                getattr(node.func, "id", ""),
                getattr(node.func, "attr", ""),
            ):
                makers.add(path.relative_to(PACKAGE).parts[0])
    assert makers == {"validation"}


def test_no_prompt_text_stands_in_the_code() -> None:
    prompts = {path.name for path in (ROOT / "prompts").glob("*.md")}
    assert prompts, "prompts/ holds one Markdown file a prompt"
    for path in PACKAGE.rglob("*.py"):
        assert "You are" not in path.read_text(), f"{path.name} holds prompt text"
