"""ShareGPT conversations with tools, as LLaMA-Factory, Hermes models and agent-data-protocol write them.

Read are `conversations` of `from` and `value`; chat `messages` whose text holds `<tool_call>` blocks; and
LLaMA-Factory's newer `messages`, whose content is a list of parts with a `value`. Tools come as a JSON string, the
system prompt as a message or as the field `system`.

A call that the source gives as JSON has no raw text: `action.text` is null. A call within generated text keeps all of
it, from the start of the call to the end of the turn. One message may hold the results of several parallel calls; it
stays one message, and each call is judged by its own part. Thinking includes its `<think>` tags.

The rollouts of many frameworks are written in this shape, so the failure rules are agent-data-protocol's: a trajectory
fails the same calls here as in its `*_std.json`, though its tools have other names and its results a line before them.

Field names: LLaMA-Factory's data/README.md and src/llamafactory/v1/plugins/data_plugins/converter.py;
agent-data-protocol's `*_sft.json`.

    purify import glaive_toolcall_en_demo.json -o raw/ --format sharegpt
"""

from __future__ import annotations

from typing import Any, Literal

from purify.chat.call_text import OPEN
from purify.errors import RejectedRecordError
from purify.importing.base import Record, RecordContext
from purify.importing.checks import as_list, as_object, string
from purify.importing.formats.pretokenized import told_by_tokens
from purify.importing.formats.sharegpt_turns import (
    ASSISTANT_TAGS,
    read_parts_reply,
    read_parts_turn,
    read_reply,
    read_turn,
)
from purify.importing.record_fields import record_fields, system_prompt
from purify.importing.turns import Turn, build_steps, plain_steps, tool_states
from purify_schemas import Message, Trajectory
from purify_schemas.carried import OWN_COLUMNS, exported_as

CONVERSATION = ("conversations", "conversation", "messages")

Shape = Literal["from/value", "role/content", "parts"]
_KEYS = {"from/value": ("from", "value"), "role/content": ("role", "content")}


class ShareGPT:
    """See the module's docstring."""

    name = "sharegpt"
    default_rules = "adp"

    def recognise(self, record: Record) -> str | None:
        key = _key(record) if told_by_tokens(record) is None else None
        items = record.get(key) if key is not None else None
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            return None
        match _shape(items):
            case "from/value" if any(item.get("from") == tag for item in items for tag in ASSISTANT_TAGS):
                return f"{key} with from and value"
            case "parts":
                return f"{key} with LLaMA-Factory parts"
            case "role/content" if not any(item.get("tool_calls") for item in items) and any(map(_is_text_call, items)):
                return f"{key} with <tool_call> in the text"
        return None

    def read(self, record: Record, context: RecordContext) -> list[Trajectory]:
        key = _key(record)
        if key is None:
            raise RejectedRecordError(f"no conversation: none of {', '.join(CONVERSATION)}")
        items = [as_object(item, f"{key}[{index}]") for index, item in enumerate(as_list(record[key], key))]
        ours = exported_as(record) is not None
        used = {key, *OWN_COLUMNS} if ours else {key}
        prompt = system_prompt(record, items, used)
        turns = _turns(items, key, prompt)
        fields = record_fields(record, used=used, format_name=self.name)
        steps = plain_steps(turns) if ours else build_steps(turns, context)
        return [
            context.trajectory(record=record, messages=prompt, steps=steps, tool_states=tool_states(steps), **fields)
        ]


def _turns(items: list[dict[str, Any]], key: str, prompt: list[Message]) -> list[Turn]:
    """The turns; what comes before the first of them is added to `prompt`."""
    shape = _shape(items)
    keys = _KEYS.get(shape, ("role", "content"))
    turns: list[Turn] = []
    for index, item in enumerate(items):
        path = f"{key}[{index}]"
        calls = len(turns[-1].calls) if turns else 0
        if string(item, keys[0], path) in ASSISTANT_TAGS:
            turns.append(read_parts_turn(item, path) if shape == "parts" else read_turn(item, path, keys))
            continue
        reply = read_parts_reply(item, path, calls) if shape == "parts" else read_reply(item, path, keys, calls)
        if turns:
            turns[-1].replies.append(reply)
        else:
            prompt.append(reply.message)
    if not turns:
        tags = ", ".join(sorted({item[keys[0]] for item in items})) or "none"
        raise RejectedRecordError(f"{key} has no assistant turn; its roles: {tags}")
    return turns


def _key(record: Record) -> str | None:
    return next((key for key in CONVERSATION if record.get(key) is not None), None)


def _shape(items: list[dict[str, Any]]) -> Shape:
    first: dict[str, Any] = items[0] if items else {}
    if "from" in first and "role" not in first:
        return "from/value"
    parts = first.get("content")
    if isinstance(parts, list) and parts and isinstance(parts[0], dict) and "value" in parts[0]:
        return "parts"
    return "role/content"


def _is_text_call(message: dict[str, Any]) -> bool:
    content = message.get("content")
    return message.get("role") == "assistant" and isinstance(content, str) and OPEN in content
