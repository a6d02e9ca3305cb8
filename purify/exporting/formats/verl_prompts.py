"""Exporter `verl-prompts`: the tasks of a dataset as prompts for reinforcement learning with verl.

Columns: verl/utils/dataset/rl_dataset.py and examples/data_preprocess/gsm8k_multiturn_w_tool.py (`data_source`,
`prompt`, `ability`, `reward_model`, `extra_info`). One record for each task, wherever its samples lie: from its first
trajectory with a reference answer. `data_source` is the framework that the rows come from; verl chooses the reward
function by it, so give your own with `custom_reward_function`. Tools come from verl's tool configuration; those that
were sampled with are JSON text in `extra_info`.

    purify export rollouts/ -o prompts/ --to verl-prompts
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pyarrow as pa

from purify.datasets import Dataset
from purify.exporting.base import Layout, RowData, Tally
from purify.exporting.config import ExportConfig
from purify.exporting.survey import Task, first_of_each_task
from purify_schemas import Message, Trajectory

OTHER_SAMPLE = "another sample of a task that has its record"
NO_REFERENCE = "no reference answer, which verl's rewards compare with"
NOT_TEXT = "a prompt that is not text alone (calls, tool results, images)"
NO_PROMPT = "no prompt"

_EXTRA = pa.struct(
    [
        ("split", pa.string()),
        ("index", pa.int64()),
        ("task_id", pa.string()),
        ("samples", pa.int64()),
        ("need_tools_kwargs", pa.bool_()),
        ("tools", pa.string()),
    ]
)


class VerlPrompts:
    """See the module's docstring."""

    name = "verl-prompts"
    reader = "verl's reinforcement learning (RLHFDataset)"
    losses: Mapping[str, str] = {
        "turns": "everything but the prompt, the tools and the reference: these are tasks",
        "message_fields": "names of messages, and members that were not understood when they were imported",
    }
    layout: Layout = "parquet"
    schema: pa.Schema | None = pa.schema(
        [
            ("data_source", pa.string()),
            ("prompt", pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))),
            ("ability", pa.string()),
            ("reward_model", pa.struct([("style", pa.string()), ("ground_truth", pa.string())])),
            ("extra_info", _EXTRA),
        ]
    )

    def __init__(self, tasks: Mapping[int, Task] | None = None) -> None:
        self._tasks = tasks or {}

    def surveyed(self, dataset: Dataset) -> Iterator[VerlPrompts]:
        return map(VerlPrompts, first_of_each_task(dataset))

    def records(self, trajectory: Trajectory, config: ExportConfig, tally: Tally) -> Iterator[RowData]:
        task = self._tasks.get(tally.row)
        messages = trajectory.messages
        if task is None:
            tally.skip(OTHER_SAMPLE)
        elif trajectory.reference is None:
            tally.skip(NO_REFERENCE)
        elif not messages:
            tally.skip(NO_PROMPT)
        elif not all(map(_is_text, messages)):
            tally.skip(NOT_TEXT)
        else:
            tally.lose("turns", *(["message_fields"] if any(one.name or one.extra for one in messages) else []))
            yield {
                "data_source": trajectory.source.framework or "unknown",
                "prompt": [{"role": message.role, "content": message.content} for message in messages],
                "ability": "tools",
                "reward_model": {"style": "rule", "ground_truth": trajectory.reference},
                "extra_info": {
                    "split": "train",
                    "index": task.number,
                    "task_id": trajectory.task_id,
                    "samples": task.samples,
                    "need_tools_kwargs": False,
                    "tools": trajectory.tools,
                },
            }


def _is_text(message: Message) -> bool:
    return message.content is not None and not (message.parts or message.tool_calls) and message.role != "tool"
