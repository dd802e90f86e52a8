"""The command line: answers and checks on standard output, progress and notes on standard error."""

from __future__ import annotations

from importlib.metadata import version

import click

from cnaps_rag.cli.answers import answer, validate
from cnaps_rag.cli.console import EPILOG
from cnaps_rag.cli.evaluation import evaluate, runs
from cnaps_rag.cli.mutations import mutations
from cnaps_rag.cli.proof import diff, verify
from cnaps_rag.cli.serve import keys, serve


@click.group(epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(version("cnaps_rag"), package_name="cnaps_rag")
def main() -> None:
    """Answers from supplied AI models and papers, and from nothing else.

    Every link and every claim of an answer is tied to an exact place in the supplied sources. Without settings no LLM
    and no network is used; CNAPS_RAG_LLM (with OPENAI_BASE_URL and OPENAI_API_KEY) names an LLM that drafts.

    \b
    cnaps-rag answer data/requests/001.txt
    cnaps-rag answer data/requests/001.txt --html answer.html
    cnaps-rag validate answer.md --request data/requests/001.txt
    cnaps-rag answer data/requests/001.txt --proof proof.json
    cnaps-rag verify proof.json
    cnaps-rag serve
    """  # noqa: D301 - click knows the paragraph it must not wrap by the character, not by the backslash


for command in (answer, validate, verify, diff, evaluate, runs, mutations, serve, keys):
    main.add_command(command)
