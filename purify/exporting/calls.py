"""The calls of a turn as chat messages have them, and as text where they cannot.

A call can be written if it has a name and its arguments are a JSON object, or nothing at all.
"""

from __future__ import annotations

import json
from typing import Any

from purify_schemas import Call, Message, Step


def demonstrated_calls(message: Message) -> list[Any]:
    """The calls of a turn in the prompt, in the one form that templates read."""
    calls = json.loads(message.tool_calls or "[]")
    return [_standard(call) for call in (calls if isinstance(calls, list) else [calls]) if isinstance(call, dict)]


def _standard(call: dict[str, Any]) -> dict[str, Any]:
    """A call with its arguments as an object. Its name may also be beside them, as `name` or `function`."""
    function = call.get("function", call.get("name"))
    if not isinstance(function, dict):
        function = {"name": function, "arguments": call.get("arguments")}
    text = function.get("arguments")
    arguments = _object(text) if text is None or isinstance(text, str) else text
    rest = {key: value for key, value in call.items() if key not in ("name", "arguments")}
    return {"type": "function", **rest, "function": {**function, "arguments": text if arguments is None else arguments}}


def chat_calls(step: Step) -> list[dict[str, Any]] | None:
    """The step's calls as a chat message has them; None if one of them cannot be written so."""
    written = [_call(call) for call in step.calls]
    return None if None in written else [call for call in written if call is not None]


def _call(call: Call) -> dict[str, Any] | None:
    arguments = _object(call.arguments)
    if call.name is None or arguments is None:
        return None
    identity = {} if call.id is None else {"id": call.id}
    return {**identity, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def _object(text: str | None) -> dict[str, Any] | None:
    """Arguments as an object; a tool without parameters is often called with nothing."""
    if text is None or not text.strip():
        return {}
    try:
        value = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def written_calls(step: Step) -> list[str] | None:
    """Each call as the JSON text `{"name": …, "arguments": …}`, the arguments as they were sampled.

    None if one of them cannot be written so.
    """
    if chat_calls(step) is None:
        return None
    texts = [(json.dumps(call.name, ensure_ascii=False), (call.arguments or "").strip() or "{}") for call in step.calls]
    return [f'{{"name": {name}, "arguments": {arguments}}}' for name, arguments in texts]


def raw_calls(step: Step) -> str:
    """The text of a turn's calls as sampled, or what is known of it."""
    if step.action.text is not None:
        return step.action.text
    return "\n".join(call.arguments or "" for call in step.calls)
