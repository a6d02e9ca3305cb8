"""A generated dataset for the benchmarks: token ids, log-probs, and a given share of trajectories to edit."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from purify.datasets import Dataset, ShardSink, Stage, run_stage
from purify_schemas import (
    RAW_SCHEMA,
    Call,
    Message,
    Observation,
    Segment,
    Source,
    Step,
    ToolState,
    Trajectory,
    to_table,
)

_LINES = (
    "values = [int(part) for part in text.split(',')]",
    "total = sum(value ** 2 for value in values if value % {a} == 0)",
    "for index in range({a}, {b}):\n    table[index] = table.get(index - 1, 0) + index * {a}",
    "result = round(total / max(len(values), 1), {c})",
    "assert result >= 0, 'the mean of squares is never negative'",
    "print(result, total, len(values))",
    "matrix = [[row * column + {a} for column in range({c})] for row in range({c})]",
    "best = max(values, key=lambda value: (value % {b}, value))",
)
_WORDS = ["so", "the", "next", "value", "to", "check", "is", "whether", "this", "bound", "can", "ever", "grow", "then"]


@dataclass(frozen=True)
class _Generate:
    """Rows `start` to `stop` of the dataset, in batches. Every trajectory is a function of its own number."""

    def __call__(self, unit: tuple[int, int], sink: ShardSink) -> None:
        for at in range(unit[0], unit[1], 500):
            rows = [trajectory(number) for number in range(at, min(at + 500, unit[1]))]
            sink.append(to_table(rows), records=len(rows))


def generate(path: Path, trajectories: int, *, rows_per_shard: int = 20_000) -> Dataset:
    """Write (once) a raw dataset: five steps a trajectory, 60 % of them with one failed call that is corrected."""
    if (path / "manifest.json").exists():
        return Dataset.open(path)
    units = [(at, min(at + rows_per_shard, trajectories)) for at in range(0, trajectories, rows_per_shard)]
    stage = Stage(
        name="import",
        kind="raw",
        schema=RAW_SCHEMA,
        config={},
        config_digest="synthetic",
        inputs=[str(unit) for unit in units],
    )
    run_stage(stage, units, _Generate(), path, mode="overwrite", workers=2)
    return Dataset.open(path)


def trajectory(number: int) -> Trajectory:
    draw = random.Random(number)
    broken = draw.randrange(4) if draw.random() < 0.6 else None
    code = _code(draw)
    steps = []
    for index in range(5):
        failed = index == broken
        if broken is not None and index == broken + 1:
            code = (
                code.replace("values", f"items{number % 7}", draw.randint(1, 3)) if draw.random() < 0.7 else _code(draw)
            )
        elif index:
            code = _code(draw)
        steps.append(_step(draw, code, failed))
    return Trajectory(
        trajectory_id=f"{number:024x}",
        task_id=str(number // 16),
        group_id=f"{number // 16:024x}",
        sample_index=number % 16,
        messages=[Message(role="user", content=_prose(draw, 60))],
        tool_state=[ToolState(name="python", state="stateless")],
        prompt_token_ids=_ids(draw, 160),
        steps=steps,
        reward=float(draw.choice((-1, 1))),
        source=Source(framework="synthetic", file="synthetic", row=number, temperature=1.0),
    )


def _step(draw: random.Random, code: str, failed: bool) -> Step:
    result = "NameError: name 'table' is not defined" if failed else str(draw.random())
    return Step(
        reasoning=_segment(draw, _prose(draw, 50), 70),
        action=_segment(draw, None, 130),
        calls=[
            Call(
                id=f"call_{draw.getrandbits(48):012x}",
                name="python",
                arguments=orjson.dumps({"code": code}).decode(),
                status="error" if failed else "ok",
                error_type="NameError" if failed else None,
                status_source="rule:python/last-line" if failed else "no_rule",
            )
        ],
        observation=Observation(token_ids=_ids(draw, 40), messages=[Message(role="tool", content=result)]),
    )


def _code(draw: random.Random) -> str:
    lines: Sequence[str] = draw.sample(_LINES, 5)
    return "\n".join(lines).format(a=draw.randint(2, 99), b=draw.randint(2, 99), c=draw.randint(2, 9))


def _prose(draw: random.Random, words: int) -> str:
    return " ".join(draw.choices(_WORDS, k=words))


def _ids(draw: random.Random, mean: int) -> list[int]:
    count = draw.randint(mean // 2, mean * 3 // 2)
    return [min(int(draw.paretovariate(0.6)), 151_000) for _ in range(count)]


def _segment(draw: random.Random, text: str | None, mean: int) -> Segment:
    ids = _ids(draw, mean)
    return Segment(text=text, token_ids=ids, logprobs=[-draw.expovariate(2.0) for _ in ids])
