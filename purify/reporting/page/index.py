"""The page's index: what its list, filters and sorting need of every trajectory, as columns.

Names that repeat stand once in a table, and columns hold their numbers.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from purify.reporting.columns import NO_ERROR_TYPE, NO_TOOL
from purify_schemas import Trajectory

TITLE = 160
"""Characters of the last prompt message that the list shows."""


class Table:
    """Distinct values, numbered in order of their first use."""

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}

    def number(self, value: Hashable) -> int:
        return self._numbers.setdefault(value, len(self._numbers))

    def values(self) -> list[Hashable]:
        return list(self._numbers)


class Index:
    """Add trajectories in the order of the list; `columns` is the JSON value."""

    def __init__(self) -> None:
        self._columns: dict[str, list[Any]] = {
            name: []
            for name in (
                *("row", "id", "task", "sample", "title", "reward", "raw", "stored", "left", "calls", "edits"),
                "shortened",
            )
        }
        self._tasks, self._calls, self._edits = Table(), Table(), Table()

    def add(self, row: int, trajectory: Trajectory, *, raw: int, shortened: int) -> None:
        """`raw`: how many steps it had as sampled; `shortened`: how many of its texts the page has in part only."""
        prompt = trajectory.messages[-1].content if trajectory.messages else None
        values = {
            "row": row,
            "id": trajectory.trajectory_id,
            "task": self._tasks.number(trajectory.task_id),
            "sample": trajectory.sample_index,
            "title": " ".join((prompt or "").split())[:TITLE],
            "reward": trajectory.reward,
            "raw": raw,
            "stored": len(trajectory.steps),
            "left": sum(call.failed for step in trajectory.steps for call in step.calls),
            "calls": self._calls_of(trajectory),
            "edits": self._edits_of(trajectory),
            "shortened": shortened,
        }
        for name, value in values.items():
            self._columns[name].append(value)

    def columns(self) -> dict[str, Any]:
        """`calls` and `edits` are lists of numbers into `tables`: [tool, error type or null, whether it is still there]
        of every call as sampled, [accepted, granularity or null, reason or null] of every edit."""
        tables = {"tasks": self._tasks.values(), "calls": self._calls.values(), "edits": self._edits.values()}
        return {**self._columns, "tables": tables}

    def _calls_of(self, trajectory: Trajectory) -> list[int]:
        calls = [(call, True) for step in trajectory.steps for call in step.calls]
        for edit in trajectory.provenance.edits if trajectory.provenance else ():
            calls += [(call, False) for part in edit.removed for call in part.calls or ()]
        found = {
            (call.name or NO_TOOL, (call.error_type or NO_ERROR_TYPE) if call.failed else None, there)
            for call, there in calls
        }
        return sorted(map(self._calls.number, sorted(found, key=str)))

    def _edits_of(self, trajectory: Trajectory) -> list[int]:
        edits = trajectory.provenance.edits if trajectory.provenance else []
        return [self._edits.number((edit.accepted, edit.granularity, edit.reason)) for edit in edits]
