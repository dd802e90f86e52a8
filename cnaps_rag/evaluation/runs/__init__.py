"""Runs: a suite answered and scored, kept in a folder. Read `records`, `lines`, `store`, `runner`."""

from __future__ import annotations

from cnaps_rag.evaluation.runs.records import CaseRecord, PointRecord, RunInfo, Shard
from cnaps_rag.evaluation.runs.runner import Plan, load_answers, load_session, run_suite, save_session
from cnaps_rag.evaluation.runs.store import Run, load_run, merge_runs

__all__ = [
    "CaseRecord",
    "Plan",
    "PointRecord",
    "Run",
    "RunInfo",
    "Shard",
    "load_answers",
    "load_run",
    "load_session",
    "merge_runs",
    "run_suite",
    "save_session",
]
