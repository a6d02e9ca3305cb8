"""Exporter `verl`: Parquet for verl's multi-turn supervised fine-tuning.

Columns: verl/utils/dataset/multiturn_sft_dataset.py (`messages`, `tools`, `enable_thinking`), verl 0.9. That reader
decodes no JSON, so messages and calls are structs of strings. It renders each message alone, so that a template which
looks at others (Qwen3's, for thinking) may be refused by its own check: see `ignore_input_ids_mismatch`. It trains on
every message of an assistant: no member says that one was not sampled.

`tools` is the JSON text of the list, and so are the arguments of a call. As structs every parameter schema, and every
call, would get the members of all others as nulls, in the prompt too. Most templates write arguments given as text as
they are, but those of Qwen3.5 and GLM-4 want objects; and verl's own reader refuses tools that are text with an error.
`data.custom_cls` names one that decodes both:

    class JsonTools(MultiTurnSFTDataset):
        def _read_files_and_process(self):
            super()._read_files_and_process()
            self.tools = [json.loads(text) if text else None for text in self.tools]

        def _build_messages(self, example):
            messages = super()._build_messages(example)
            for function in (call["function"] for message in messages for call in message["tool_calls"] or ()):
                function["arguments"] = json.loads(function["arguments"])
            return messages

    purify export purified/ -o sft/ --to verl
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from purify.exporting.base import JSON, Layout, RowData, Tally, json_leaf
from purify.exporting.calls import ChatCall
from purify.exporting.chat import LOSSES, chat, losses_of, messages_of_others
from purify.exporting.config import ExportConfig
from purify.exporting.formats.messages import FAILED_CALLS, NO_TURN, ROW_FIELDS, count_failed, row_fields, tools_text
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
        [("messages", pa.list_(MESSAGE)), ("tools", pa.string()), *ROW_FIELDS, FAILED_CALLS, (CARRIED, JSON)]
    )

    def records(self, trajectory: Trajectory, config: ExportConfig, tally: Tally) -> Iterator[RowData]:
        if not trajectory.steps:
            tally.skip(NO_TURN)
            return
        others = any(message.tool_calls is not None for message in messages_of_others(trajectory))
        tally.lose(*losses_of(trajectory), *(["spacing"] if others else []))  # their arguments are text here
        messages = [_message(message) for message in chat(trajectory)]
        yield {
            "messages": messages,
            "tools": tools_text(trajectory),
            **row_fields(trajectory),
            "failed_calls": count_failed(trajectory, tally),
            CARRIED: Carried.of(trajectory, self.name, {"messages": messages}).json_text(),
        }


def _message(message: dict[str, Any]) -> RowData:
    calls = message.get("tool_calls")
    return message if not calls else {**message, "tool_calls": [_call(call) for call in calls]}


def _call(call: ChatCall) -> RowData:
    """A call of a chat message as a `CALL`."""
    function = {"name": call["function"]["name"], "arguments": json_leaf(call["function"]["arguments"])}
    return {"id": call.get("id"), "type": call["type"], "function": function}
