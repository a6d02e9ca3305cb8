"""One OpenAI chat message as a turn, a reply or a prompt message.

    {"role": "assistant", "content": null, "tool_calls": [{"id": "c1", "type": "function",
     "function": {"name": "python", "arguments": "{\"code\": \"1/0\"}"}}]}

The flags that name a failed call are read here too. They also stay in the message's `extra`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from purify.errors import RejectedRecordError
from purify.failures.rules import Outcome
from purify.importing.checks import (
    as_list,
    as_object,
    identifier,
    json_text,
    leftover,
    optional_string,
    string,
    wrong,
)
from purify.importing.content import read_content
from purify.importing.turns import Reply, Result, Turn
from purify_schemas import Call, Message
from purify_schemas.names import Status

THINKING = ("reasoning_content", "reasoning", "thinking")
"""DeepSeek and vLLM until 0.11, vLLM and OpenRouter, Ollama."""

_MESSAGE = ("role", "name", "content", "tool_calls", "tool_call_id")
_TURN = ("role", "content", "tool_calls", "function_call")
_CALL = ("id", "type", "function")
_FUNCTION = ("name", "arguments")

# inspect_ai's ToolCallError.type; its other types are plain errors.
_ERROR_TYPES: Mapping[object, Status] = {
    "parsing": "malformed",
    "timeout": "timeout",
    "approval": "rejected",
    "cancelled": "unknown",  # by an operator
    "sandbox_unavailable": "infra",
}
_STATUS: Mapping[object, Status] = {
    **dict.fromkeys(("error", "failed", "failure"), "error"),
    **dict.fromkeys(("timeout", "timed_out"), "timeout"),
    **dict.fromkeys(("rejected", "denied"), "rejected"),
}


def read_turn(message: Mapping[str, Any], path: str) -> Turn:
    """An assistant message. Thinking, from its own field or from content parts, comes first in the reasoning."""
    content = read_content(message, path)
    extra = leftover(message, _TURN)
    thinking = content.thinking
    for key in THINKING:
        value = extra.get(key)
        # Servers in transition write the same thinking under two names; another text is not dropped.
        if value is None or (isinstance(value, str) and (not thinking or value == thinking)):
            thinking = extra.pop(key, None) or thinking
    if content.order is not None:
        extra["content"] = message["content"]
    elif thinking and content.text is None:
        extra["content"] = None  # the reasoning text no longer tells null from empty
    calls, unread = _read_calls(message, path)
    if any(unread):
        extra["tool_calls"] = unread
    if message.get("tool_calls") and message.get("function_call") is not None:
        extra["function_call"] = message["function_call"]
    return Turn(
        reasoning=thinking + (content.text or "") if thinking else content.text,
        thinking_chars=len(thinking),
        calls=calls,
        extra=json_text(extra, path),
    )


def read_reply(message: Mapping[str, Any], path: str) -> Reply:
    """Any message after a turn; a tool's (role `tool`, earlier `function`) is the result of one call."""
    read = read_message(message, path)
    if read.role not in ("tool", "function"):
        return Reply(read)
    return Reply(read, [Result(read.content, read.call_id, read.name, _source_flag(message))])


def read_message(message: Mapping[str, Any], path: str) -> Message:
    """A message that this policy did not sample."""
    content = read_content(message, path)
    extra = leftover(message, _MESSAGE)
    if content.order is not None:
        extra["content"] = content.order
    name = optional_string(message, "name", path)
    if name is None and message["role"] == "tool" and isinstance(extra.get("function"), str):
        name = extra.pop("function")  # inspect_ai names the tool so
    return Message(
        role=string(message, "role", path),
        name=name,
        content=content.text,
        parts=json_text(content.parts, f"{path}.content"),
        tool_calls=json_text(message.get("tool_calls"), f"{path}.tool_calls"),
        call_id=identifier(message, "tool_call_id", path),
        extra=json_text(extra, path),
    )


def _read_calls(message: Mapping[str, Any], path: str) -> tuple[list[Call], list[dict[str, Any]]]:
    """The calls of a turn, and for each of them the members not understood."""
    listed = message.get("tool_calls")
    if listed:
        items = [(item, f"{path}.tool_calls[{i}]") for i, item in enumerate(as_list(listed, f"{path}.tool_calls"))]
    elif (old := message.get("function_call")) is not None:
        items = [({"function": old}, path)]
    elif listed is None or listed == []:
        return [], []
    else:
        raise wrong(f"{path}.tool_calls", listed, "a list or null")
    pairs = [_read_call(as_object(item, here), here) for item, here in items]
    return [call for call, _ in pairs], [unread for _, unread in pairs]


def _read_call(item: Mapping[str, Any], path: str) -> tuple[Call, dict[str, Any]]:
    function = item.get("function")
    if isinstance(function, dict):
        inner, where = function, f"{path}.function"
        unread = leftover(item, _CALL)
        if more := leftover(function, _FUNCTION):
            unread["function"] = more
    elif isinstance(function, str):  # inspect_ai: {"id", "function": name, "arguments"}
        inner, where = {**item, "name": function}, path
        unread = leftover(item, (*_CALL, "arguments"))
    elif function is None and "name" in item:  # Hugging Face's short form: {"name", "arguments"}
        inner, where = dict(item), path
        unread = leftover(item, (*_CALL, *_FUNCTION))
    elif function is None:
        raise RejectedRecordError(f"{path}.function is missing")
    else:
        raise wrong(f"{path}.function", function, "an object")
    if item.get("type") not in (None, "function"):
        unread["type"] = item["type"]
    parse_error = item.get("parse_error")
    call = Call(
        id=identifier(item, "id", path),
        name=optional_string(inner, "name", where) or None,  # servers write "" where no name could be parsed
        arguments=_read_arguments(inner.get("arguments"), f"{where}.arguments"),
        status="malformed" if parse_error else "unknown",
        error_type="parse_error" if parse_error else None,
        status_source="source:parse_error" if parse_error else None,
    )
    return call, unread


def _read_arguments(value: object, path: str) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if not isinstance(value, dict):
        raise wrong(path, value, "a JSON string, an object or null")
    return json_text(value, path) or "{}"


def _source_flag(message: Mapping[str, Any]) -> Outcome | None:
    """The failure that the source itself declares on a tool result, if it does. The fields stay in `extra`."""
    error = message.get("error")
    if isinstance(error, dict) and any(value is not None for value in error.values()):  # Parquet pads with nulls
        kind = error.get("type")
        status = _ERROR_TYPES.get(kind, "error") if isinstance(kind, str) else "error"
        return Outcome(status, kind if isinstance(kind, str) else None, "source:error")
    if error is True or (isinstance(error, str) and error):
        return Outcome("error", None, "source:error")
    if message.get("is_error") is True:
        return Outcome("error", None, "source:is_error")
    declared = message.get("status")
    if isinstance(declared, str) and declared in _STATUS:
        return Outcome(_STATUS[declared], None, "source:status")
    return None
