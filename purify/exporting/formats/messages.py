"""Exporter `messages`: conversations with `messages` and `tools`, as TRL and most fine-tuning libraries take them.

Columns: huggingface.co/docs/trl/dataset_formats (conversational language modeling, tool calling). What the messages
cannot say of a row is beside them, and in the column `purify` for `purify import`.

    purify export purified/ -o chat/ --to messages
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from purify.exporting.base import JSON, Layout, RowData, Tally
from purify.exporting.chat import LOSSES, chat, count_losses, tool_definitions
from purify.exporting.config import ExportConfig
from purify.json_text import dump_json
from purify_schemas import Trajectory
from purify_schemas.carried import CARRIED, Carried

MESSAGE = pa.struct(
    [
        ("role", pa.string()),
        ("content", pa.string()),
        ("reasoning_content", pa.string()),
        ("name", pa.string()),
        ("tool_calls", pa.list_(JSON)),
        ("tool_call_id", pa.string()),
    ]
)
ROW_FIELDS = [
    ("trajectory_id", pa.string()),
    ("group_id", pa.string()),
    ("task_id", pa.string()),
    ("reward", pa.float32()),
    ("answer", pa.string()),
    ("reference", pa.string()),
]
"""What formats with room for columns of their own keep of a row."""


class Messages:
    """See the module's docstring."""

    name = "messages"
    reader = "TRL's SFTTrainer, and whatever takes OpenAI-like conversations"
    losses = LOSSES
    layout: Layout = "parquet"
    schema: pa.Schema | None = pa.schema(
        [("messages", pa.list_(MESSAGE)), ("tools", pa.list_(JSON)), *ROW_FIELDS, (CARRIED, JSON)]
    )

    def records(self, trajectory: Trajectory, config: ExportConfig, tally: Tally) -> Iterator[RowData]:
        count_losses(trajectory, tally)
        yield {
            "messages": [message_row(message) for message in chat(trajectory)],
            "tools": tool_rows(trajectory),
            **row_fields(trajectory),
            CARRIED: Carried.of(trajectory).json_text(),
        }


def message_row(message: dict[str, Any]) -> RowData:
    """A chat message as a `MESSAGE`."""
    calls = message.get("tool_calls")
    return message if not calls else {**message, "tool_calls": [dump_json(call) for call in calls]}


def tool_rows(trajectory: Trajectory) -> list[str | None] | None:
    """The tools as JSON texts; null where there are none, so that templates show no tool section."""
    return [dump_json(tool) for tool in tool_definitions(trajectory)] or None


def row_fields(trajectory: Trajectory) -> RowData:
    return {name: getattr(trajectory, name) for name, _ in ROW_FIELDS}
