"""Exporter `verl`: Parquet for verl's multi-turn supervised fine-tuning.

Columns: verl/utils/dataset/multiturn_sft_dataset.py (`messages`, `tools`, `enable_thinking`), verl 0.9. That reader
decodes no JSON, so messages and calls are structs of strings, and the arguments of a call are JSON text, as OpenAI
writes them and Qwen's templates read them. It renders each message alone, so that a template which looks at others
(Qwen3's, for thinking) may be refused by its own check: see `ignore_input_ids_mismatch`.

`tools` is the JSON text of the list. As structs every parameter schema would get the properties of all others as
nulls, in the prompt too; verl's own reader refuses text with an error, where there are tools. `data.custom_cls` names
one that decodes it:

    class JsonTools(MultiTurnSFTDataset):
        def _read_files_and_process(self):
            super()._read_files_and_process()
            self.tools = [json.loads(text) if text else None for text in self.tools]

    purify export purified/ -o sft/ --to verl
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from purify.exporting.base import JSON, Layout, RowData, Tally, json_leaf
from purify.exporting.chat import LOSSES, chat, count_losses, tool_definitions
from purify.exporting.config import ExportConfig
from purify.exporting.formats.messages import NO_TURN, ROW_FIELDS, row_fields
from purify.json_text import dump_json
from purify_schemas import Trajectory
from purify_schemas.carried import CARRIED, Carried

CALL = pa.struct(
    [
        ("id", pa.string()),
        ("type", pa.string()),
        ("function", pa.struct([("name", pa.string()), ("arguments", pa.string())])),
    ]
)
MESSAGE = pa.struct(
    [
        ("role", pa.string()),
        ("content", pa.string()),
        ("reasoning_content", pa.string()),
        ("name", pa.string()),
        ("tool_calls", pa.list_(CALL)),
        ("tool_call_id", pa.string()),
    ]
)


class Verl:
    """See the module's docstring."""

    name = "verl"
    reader = "verl's multi-turn supervised fine-tuning"
    losses: Mapping[str, str] = LOSSES
    layout: Layout = "parquet"
    schema: pa.Schema | None = pa.schema(
        [("messages", pa.list_(MESSAGE)), ("tools", pa.string()), *ROW_FIELDS, (CARRIED, JSON)]
    )

    def records(self, trajectory: Trajectory, config: ExportConfig, tally: Tally) -> Iterator[RowData]:
        if not trajectory.steps:
            tally.skip(NO_TURN)
            return
        count_losses(trajectory, tally)
        yield {
            "messages": [_message(message) for message in chat(trajectory)],
            "tools": dump_json(tool_definitions(trajectory)) or "",  # pandas' null is one that verl cannot take
            **row_fields(trajectory),
            CARRIED: Carried.of(trajectory).json_text(),
        }


def _message(message: dict[str, Any]) -> RowData:
    calls = message.get("tool_calls")
    return message if not calls else {**message, "tool_calls": [_call(call) for call in calls]}


def _call(call: Any) -> RowData:
    """A call of a chat message as a `CALL`."""
    arguments = call["function"]["arguments"]
    text = arguments if isinstance(arguments, str) else json_leaf(arguments)
    function = {"name": call["function"]["name"], "arguments": text}
    return {"id": call.get("id"), "type": call["type"], "function": function}
