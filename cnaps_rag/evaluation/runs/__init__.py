"""Runs: a suite answered and scored, kept in a folder. Read `records`, `lines`, `store`, `sessions`, `runner`."""

from __future__ import annotations

from cnaps_rag.evaluation.runs.records import CaseRecord, PointRecord, RunInfo, Shard
from cnaps_rag.evaluation.runs.runner import Plan, run_suite
from cnaps_rag.evaluation.runs.sessions import Session, load_answers, load_session, save_session
from cnaps_rag.evaluation.runs.store import Run, load_run, merge_runs

__all__ = [
    "CaseRecord",
    "Plan",
    "PointRecord",
    "Run",
    "RunInfo",
    "Session",
    "Shard",
    "load_answers",
    "load_run",
    "load_session",
    "merge_runs",
    "run_suite",
    "save_session",
]
