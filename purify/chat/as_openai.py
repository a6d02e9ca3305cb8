"""Messages and calls of ours in the form that chat templates take: OpenAI's, with arguments as objects."""

from __future__ import annotations

import json
from typing import Any

from purify.errors import PurifyError
from purify_schemas import Call, Message


def as_openai(message: Message, *, arguments_as_text: bool = False) -> dict[str, Any]:
    """A message of ours as chat templates take it: most write a call's arguments themselves, from an object."""
    known: dict[str, Any] = {"role": message.role, "content": text_of(message)}
    if message.name is not None:
        known["name"] = message.name
    if message.tool_calls is not None:
        known["tool_calls"] = [_call(call, as_text=arguments_as_text) for call in json.loads(message.tool_calls)]
    if message.call_id is not None:
        known["tool_call_id"] = message.call_id
    return known


def text_of(message: Message) -> str:
    """The text of a message. Raises `PurifyError` if it holds an image or the like, for which there are no ids."""
    for part in json.loads(message.parts or "[]"):
        known = part if isinstance(part, dict) else {}
        if not isinstance(known.get("text", known.get("refusal")), str):
            raise PurifyError(f"a {message.role} message holds a part of type {known.get('type')}; only text has ids")
    return message.content or ""


def as_call(call: Call, id: str, *, as_text: bool = False) -> dict[str, Any]:
    """A call of ours as chat templates take it. Raises `PurifyError` for one that has no name."""
    if call.name is None:
        raise PurifyError("a call could not be parsed and its raw text is not known")
    raw = call.arguments or "{}"
    written = {"id": id, "type": "function", "function": {"name": call.name, "arguments": raw}}
    return _call(written, as_text=as_text)


def _call(call: dict[str, Any], *, as_text: bool) -> dict[str, Any]:
    """OpenAI's own form has the arguments as JSON text, which a template would quote once more."""
    function = call.get("function")
    arguments = function.get("arguments") if isinstance(function, dict) else None
    if as_text or not isinstance(arguments, str):
        return call
    try:
        parsed = json.loads(arguments)
    except ValueError:
        return call
    return {**call, "function": {**call["function"], "arguments": parsed}} if isinstance(parsed, dict) else call
