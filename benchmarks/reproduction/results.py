"""The results file: a row for each thing measured. Every table and plot is made from it alone."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypedDict

import orjson
import polars as pl

from benchmarks.reproduction.arms import Run
from purify.iterating import RoundReport
from purify.reporting.figures import Stats

FIGURES = ("tool_error_rate", "correct_without_failed_call", "accuracy", "recovery_rate", "first_call_failures")
_FIELDS = {"tool_error_rate": "tool_error_rate_as_sampled"}
"""Of `purify evaluate`; with SAAR while sampling, calls that it took out are calls, too."""


class Result(TypedDict):
    """One policy of one run, on one set of tasks."""

    design: str
    algorithm: str
    arm: str
    seed: int
    learning_rate: float
    updates: int
    """Made so far."""
    tasks: str
    """held_out: the first and the last policy. train: the policy that a round samples from. With SAAR while sampling,
    `tool_error_rate` counts the calls that it took out, and the other figures of a round are those after rollback."""
    trajectories: int
    tool_error_rate: float | None
    correct_without_failed_call: float | None
    accuracy: float | None
    recovery_rate: float | None
    first_call_failures: float | None
    edits: int | None
    """Of the round; null where nothing is purified, and on held-out tasks."""
    advantage_recovered: float | None
    """E[A | recovered] of the round's rollouts as sampled."""
    advantage_recovered_se: float | None
    recovered: int | None
    advantage_first_failed: float | None
    """E[A | first call failed]."""


SCHEMA = pl.Schema(
    {
        **dict.fromkeys(("design", "algorithm", "arm"), pl.String),
        "seed": pl.Int64,
        "learning_rate": pl.Float64,
        "updates": pl.Int64,
        "tasks": pl.String,
        "trajectories": pl.Int64,
        **dict.fromkeys(FIGURES, pl.Float64),
        "edits": pl.Int64,
        "advantage_recovered": pl.Float64,
        "advantage_recovered_se": pl.Float64,
        "recovered": pl.Int64,
        "advantage_first_failed": pl.Float64,
    }
)


def of_policy(run: Run, updates: int, metrics: dict[str, Any]) -> Result:
    """A policy on the held-out tasks."""
    nothing = dict.fromkeys(
        ("edits", "advantage_recovered", "advantage_recovered_se", "recovered", "advantage_first_failed")
    )
    return _row(run, updates, "held_out", metrics, nothing)


def of_round(run: Run, updates: int, one: RoundReport, found: Stats) -> Result:
    """The policy that a round samples from, on the tasks of that round."""
    means = {mean.subset: mean for mean in found.advantage.means}
    recovered, first_failed = means.get("recovered"), means.get("first_failed")
    seen = {
        "edits": one.edits,
        "advantage_recovered": recovered.mean if recovered else None,
        "advantage_recovered_se": recovered.standard_error if recovered else None,
        "recovered": recovered.trajectories if recovered else None,
        "advantage_first_failed": first_failed.mean if first_failed else None,
    }
    return _row(run, updates, "train", one.rollouts.model_dump(mode="json"), seen)


def _row(run: Run, updates: int, tasks: str, metrics: dict[str, Any], rest: dict[str, Any]) -> Result:
    row: Any = {
        **run._asdict(),
        "updates": updates,
        "tasks": tasks,
        "trajectories": metrics["trajectories"],
        **{name: metrics[_FIELDS.get(name, name)]["value"] for name in FIGURES if name != "accuracy"},
        "accuracy": metrics["pass_at"]["1"]["value"],
        **rest,
    }
    found: Result = row
    return found


def gather(files: Iterable[Path]) -> pl.DataFrame:
    """All results, in an order that does not depend on when they were made."""
    rows = [row for file in sorted(files) for row in orjson.loads(file.read_bytes())["rows"]]
    keys = ["design", "algorithm", "arm", "learning_rate", "seed", "tasks", "updates"]
    return pl.DataFrame(rows, schema=SCHEMA).sort(keys)
