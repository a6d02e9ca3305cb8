"""Exporter `messages`: conversations with `messages` and `tools`, as TRL and most fine-tuning libraries take them.

Columns: huggingface.co/docs/trl/dataset_formats (conversational language modeling, tool calling). Each message is JSON
of its own, so that it has the members it has: in a struct column every message would have a null `tool_calls`, at which
some templates raise. `datasets` 4.7 and later gives objects. What the messages cannot say of a row is beside them, and
in the column `purify` for `purify import`.

    purify export purified/ -o chat/ --to messages
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from purify.exporting.base import JSON, Layout, RowData, Tally, json_leaf
from purify.exporting.chat import LOSSES, chat, count_losses, tool_definitions
from purify.exporting.config import ExportConfig
from purify_schemas import Trajectory
from purify_schemas.carried import CARRIED, Carried

MESSAGES = pa.list_(JSON)
ROW_FIELDS = [
    ("trajectory_id", pa.string()),
    ("group_id", pa.string()),
    ("task_id", pa.string()),
    ("reward", pa.float32()),
    ("final_answer", pa.string()),
    ("reference", pa.string()),
]
"""What formats with room for columns of their own keep of a row. Elsewhere `answer` alone may be the expected one."""

FAILED_CALLS = ("failed_calls", pa.int32())
"""How many calls of the row failed: a trainer counts those turns like any other, and such rows can be left out."""

NO_TURN = "no turn of the model"


class Messages:
    """See the module's docstring."""

    name = "messages"
    reader = "TRL's SFTTrainer, and whatever takes OpenAI-like conversations"
    losses: Mapping[str, str] = LOSSES
    layout: Layout = "parquet"
    schema: pa.Schema | None = pa.schema(
        [("messages", MESSAGES), ("tools", pa.list_(JSON)), *ROW_FIELDS, FAILED_CALLS, (CARRIED, JSON)]
    )

    def records(self, trajectory: Trajectory, config: ExportConfig, tally: Tally) -> Iterator[RowData]:
        if not trajectory.steps:
            tally.skip(NO_TURN)
            return
        count_losses(trajectory, tally)
        messages = chat(trajectory)
        yield {
            "messages": message_rows(messages),
            "tools": tool_rows(trajectory),
            **row_fields(trajectory),
            "failed_calls": count_failed(trajectory, tally),
            CARRIED: Carried.of(trajectory, self.name, {"messages": messages}).json_text(),
        }


def message_rows(messages: Sequence[dict[str, Any]]) -> list[str]:
    """Chat messages for a column of type `MESSAGES`."""
    return [json_leaf(message) for message in messages]


def tool_rows(trajectory: Trajectory) -> list[str] | None:
    """The tools as JSON texts; null where there are none, so that templates show no tool section."""
    return [json_leaf(tool) for tool in tool_definitions(trajectory)] or None


def tools_text(trajectory: Trajectory) -> str:
    """The tools as one JSON text; empty where there are none, as readers cannot take pandas' null."""
    tools = tool_definitions(trajectory)
    return json_leaf(tools) if tools else ""


def row_fields(trajectory: Trajectory) -> RowData:
    own = {name: getattr(trajectory, name) for name, _ in ROW_FIELDS if name != "final_answer"}
    return {**own, "final_answer": trajectory.answer}


def count_failed(trajectory: Trajectory, tally: Tally) -> int:
    """The failed calls that are left in a row. `tally` learns of them."""
    failed = sum(call.failed for step in trajectory.steps for call in step.calls)
    tally.failed_calls += failed
    return failed
