"""What a row takes along in a foreign format that has no place for it: the column (or member) `purify`.

A chat format holds texts and calls. Who sampled them, how each call ended and what state a tool has go here, so that
an exported row which is imported again is the row it was. Token ids, log-probs and edits are not carried.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from purify_schemas.names import FinishReason
from purify_schemas.rows import Call, Reward, Row, Source, Step, ToolState, Trajectory

CARRIED = "purify"
"""Name of the member of a record (or of its `extra`) that holds it."""


class Carried(Row):
    trajectory_id: str
    task_id: str
    group_id: str
    sample_index: int | None = None
    tool_state: list[ToolState] = []
    rewards: list[Reward] = []
    finish_reason: FinishReason = "unknown"
    source: Source = Source()
    extra: str | None = None
    calls: list[list[Call]] = []
    """Of each step: its calls, as they were sampled and as they ended."""

    @classmethod
    def of(cls, trajectory: Trajectory) -> Carried:
        fields = {name: getattr(trajectory, name) for name in cls.model_fields if name != "calls"}
        return cls(**fields, calls=[step.calls for step in trajectory.steps])

    def json_text(self) -> str:
        """Compact JSON, without what is null or empty."""
        return self.model_dump_json(exclude_defaults=True)

    def onto(self, trajectory: Trajectory) -> Trajectory:
        """The row as it was, given what its texts say.

        Raises `ValueError` if the row has other steps than it had.
        """
        if len(self.calls) != len(trajectory.steps):
            raise ValueError(f"purify tells of {len(self.calls)} steps, the messages have {len(trajectory.steps)}")
        steps = [_with_calls(step, calls) for step, calls in zip(trajectory.steps, self.calls, strict=True)]
        fields = {name: getattr(self, name) for name in type(self).model_fields if name != "calls"}
        return trajectory.model_copy(update={**fields, "steps": steps})


def _with_calls(step: Step, calls: list[Call]) -> Step:
    return Step.model_validate({**dict(step), "calls": calls})


def carried_by(record: Mapping[str, Any]) -> Carried | None:
    """What a foreign record carries; None if it was not written by `purify export`.

    Raises `pydantic.ValidationError` if it was changed.
    """
    extra = record.get("extra")
    found = record.get(CARRIED, extra.get(CARRIED) if isinstance(extra, Mapping) else None)
    return None if not isinstance(found, Mapping) else Carried.model_validate(found)
