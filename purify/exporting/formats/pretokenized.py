"""Exporter `pretokenized`: the engine's own token ids with a loss mask and log-probs, never tokenised again.

    input_ids   5 6 | 7 8 | 9 | 10          labels    -100 -100 7 8 -100 10
    loss_mask   0 0 | 1 1 | 0 | 1           logprobs  null null -0.5 -0.1 null -1.0

All lists are as long as `input_ids` and not shifted. TRL's SFTTrainer takes `input_ids` with `labels` as they are
(trl/trainer/sft_trainer.py, "pre-tokenized datasets"), as do other trainers that shift labels in the model. `loss_mask`
is the name of the same mask in verl (verl/utils/dataset/multiturn_sft_dataset.py) and prime-rl
(src/prime_rl/trainer/sft/data.py), whose own SFT datasets are chats, however. An unknown log-prob is null, since 0.0 is
a log-prob like any other. `segments` cuts the sequence into its steps (step -1 is the prompt), and `trajectory` holds
the rest of the row, texts included, for `purify import`.

    purify export purified/ -o tokens/ --to pretokenized
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from purify.chat.labels import IGNORED
from purify.exporting.base import JSON, Layout, RowData, Tally
from purify.exporting.config import ExportConfig
from purify.exporting.ids import Stretch, ids_problem, stretches
from purify.json_text import dump_json
from purify_schemas import Trajectory

_SEGMENT = pa.struct([("part", pa.string()), ("step", pa.int32()), ("length", pa.int32())])


class Pretokenized:
    """See the module's docstring."""

    name = "pretokenized"
    reader = "TRL's SFTTrainer, and trainers of your own that start from token ids"
    losses: Mapping[str, str] = {
        "stale_logprobs": "sampled log-probs from the first edit on: they belong to another context, and are null",
        "provenance": "the record of edits (purify restore needs the dataset itself)",
        "scores": "of a scoring pass, all but the log-probs under the stored context (column scored_logprobs)",
    }
    layout: Layout = "parquet"
    schema: pa.Schema | None = pa.schema(
        [
            ("input_ids", pa.list_(pa.int32())),
            ("labels", pa.list_(pa.int32())),
            ("loss_mask", pa.list_(pa.int8())),
            ("logprobs", pa.list_(pa.float32())),
            ("scored_logprobs", pa.list_(pa.float32())),
            ("segments", pa.list_(_SEGMENT)),
            ("reward", pa.float32()),
            ("temperature", pa.float64()),
            ("trajectory_id", pa.string()),
            ("task_id", pa.string()),
            ("group_id", pa.string()),
            ("trajectory", JSON),
        ]
    )

    def records(self, trajectory: Trajectory, config: ExportConfig, tally: Tally) -> Iterator[RowData]:
        if (problem := ids_problem(trajectory)) is not None:
            tally.skip(problem)
            return
        parts = list(stretches(trajectory))
        lost = {
            "stale_logprobs": any(part.stale for part in parts),
            "provenance": trajectory.provenance is not None and bool(trajectory.provenance.edits),
            "scores": trajectory.scores is not None,
        }
        tally.lose(*(name for name, happened in lost.items() if happened))
        scored = trajectory.scores is not None and trajectory.scores.logprobs is not None
        yield {
            "input_ids": [token for part in parts for token in part.ids],
            "labels": [token if part.own else IGNORED for part in parts for token in part.ids],
            "loss_mask": [int(part.own) for part in parts for _ in part.ids],
            "logprobs": [value for part in parts for value in _aligned(part, part.logprobs)],
            "scored_logprobs": [value for part in parts for value in _aligned(part, part.scored)] if scored else None,
            "segments": [{"part": part.part, "step": part.step, "length": len(part.ids)} for part in parts if part.ids],
            "reward": trajectory.reward,
            "temperature": trajectory.source.temperature,
            "trajectory_id": trajectory.trajectory_id,
            "task_id": trajectory.task_id,
            "group_id": trajectory.group_id,
            "trajectory": dump_json(_rest(trajectory)),
        }


def _aligned(part: Stretch, values: list[float] | None) -> list[float] | list[None]:
    return [None] * len(part.ids) if values is None else values


def _rest(trajectory: Trajectory) -> dict[str, Any]:
    """The row without the tokens that are in other columns. Where there are none, null and empty stay apart."""
    row = trajectory.model_dump(mode="json", exclude={"provenance", "scores"}, exclude_defaults=True)
    for step in row.get("steps", []):
        for part in ("reasoning", "action", "observation"):
            _strip(step.get(part, {}), "token_ids", "logprobs")
    _strip(row, "prompt_token_ids")
    return row


def _strip(owner: dict[str, Any], *names: str) -> None:
    for name in names:
        if owner.get(name):
            del owner[name]
