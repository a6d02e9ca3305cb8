"""Small hand-made trajectories and datasets for tests."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from purify.datasets import Dataset, ShardSink, Stage, run_stage
from purify_schemas import (
    RAW_SCHEMA,
    Call,
    Message,
    Observation,
    Segment,
    Step,
    ToolState,
    Trajectory,
    to_table,
)
from purify_schemas.names import Boundary, Status, ToolStateName

DUMPS = Path(__file__).parents[1].parent / "shared" / "dumps"


def dump(name: str) -> Path:
    """A real dump, or skip: they are not part of the project."""
    path = DUMPS / name
    if not path.exists():
        pytest.skip(f"needs the real dump {name} beside the project ({path})")
    return path


def call(code: str, status: Status = "ok", *, name: str | None = "python", error_type: str | None = None) -> Call:
    return Call(name=name, arguments=json.dumps({"code": code}), status=status, error_type=error_type)


def step(
    *calls: Call,
    think: str = "thinking",
    result: str = "",
    human: str | None = None,
    raw: str | None = None,
    reasoning_ids: Sequence[int] | None = None,
    action_ids: Sequence[int] | None = None,
    observation_ids: Sequence[int] | None = None,
    boundary: Boundary = "exact",
) -> Step:
    """A step; log-probs, where there are ids, are minus a hundredth of the id."""
    messages = [Message(role="tool", content=result)] if calls else []
    if human is not None:
        messages.append(Message(role="user", content=human))
    return Step(
        reasoning=_segment(think, reasoning_ids),
        action=_segment(raw, action_ids),
        calls=list(calls),
        observation=Observation(
            token_ids=None if observation_ids is None else list(observation_ids), messages=messages
        ),
        boundary=boundary,
    )


def _segment(text: str | None, ids: Sequence[int] | None) -> Segment:
    if ids is None:
        return Segment(text=text)
    return Segment(text=text, token_ids=list(ids), logprobs=[-token / 100 for token in ids])


def trajectory(
    *steps: Step,
    id: str = "t0",
    group: str = "g0",
    reward: float | None = None,
    states: dict[str, ToolStateName] | None = None,
    prompt_ids: Sequence[int] | None = None,
) -> Trajectory:
    states = {"python": "stateless"} if states is None else states
    return Trajectory(
        trajectory_id=id,
        task_id=group,
        group_id=group,
        messages=[Message(role="user", content="What is 6 times 7?")],
        tool_state=[ToolState(name=name, state=state) for name, state in states.items()],
        prompt_token_ids=None if prompt_ids is None else list(prompt_ids),
        steps=list(steps),
        reward=reward,
    )


@dataclass(frozen=True)
class _Write:
    def __call__(self, rows: list[Trajectory], sink: ShardSink) -> None:
        sink.append(to_table(rows), records=len(rows))


def write_dataset(path: Path, rows: Sequence[Trajectory], shards: int = 1) -> Dataset:
    """A raw dataset with the given rows, cut into shards of about equal size."""
    size = max(1, -(-len(rows) // shards))
    units = [list(rows[at : at + size]) for at in range(0, len(rows), size)]
    stage = Stage(
        name="import",
        kind="raw",
        schema=RAW_SCHEMA,
        config={},
        config_digest="hand-made",
        inputs=[str(index) for index in range(len(units))],
    )
    run_stage(stage, units, _Write(), path)
    return Dataset.open(path)
