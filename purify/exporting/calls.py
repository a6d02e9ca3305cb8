"""The calls of a turn as chat messages have them, and as text where they cannot.

A call can be written if it has a name and its arguments are a JSON object, or nothing at all.
"""

from __future__ import annotations

import json
from typing import Any

from purify.json_text import arguments_object
from purify_schemas import Call, Message, Step

ChatCall = dict[str, Any]


def demonstrated_calls(message: Message) -> list[ChatCall] | None:
    """The calls of a message that the model did not write, in the one form that templates read.

    None if one of them cannot be written so.
    """
    calls = json_list(message.tool_calls)
    written = None if calls is None else [_standard(call) for call in calls]
    return None if written is None or None in written else [call for call in written if call is not None]


def json_list(text: str | None) -> list[Any] | None:
    """The members of a JSON list, or the one value that is no list; null is an empty list, and None no JSON."""
    try:
        found = json.loads(text or "[]")
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, list) else [] if found is None else [found]


def _standard(call: Any) -> ChatCall | None:
    """A call with its arguments as an object. Its name may also be beside them, as `name` or `function`."""
    if not isinstance(call, dict):
        return None
    function = call.get("function", call.get("name"))
    if not isinstance(function, dict):
        function = {"name": function, "arguments": call.get("arguments")}
    name, given = function.get("name"), function.get("arguments")
    arguments = arguments_object(given) if given is None or isinstance(given, str) else given
    if not isinstance(name, str) or not name or not isinstance(arguments, dict):
        return None
    rest = {key: value for key, value in call.items() if key not in ("type", "name", "arguments")}
    if rest.get("id") is not None:
        rest["id"] = str(rest["id"])
    return {"type": "function", **rest, "function": {**function, "arguments": arguments}}


def has_half_pair(text: str | None) -> bool:
    """Whether JSON text holds half a surrogate pair, as an escape."""
    if text is None or "\\ud" not in text.lower():
        return False
    try:
        json.dumps(json.loads(text), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    except (ValueError, RecursionError):  # it is written as the text that it is
        pass
    return False


def chat_calls(step: Step) -> list[ChatCall] | None:
    """The step's calls as a chat message has them; None if one of them cannot be written so."""
    written = [_call(call) for call in step.calls]
    return None if None in written else [call for call in written if call is not None]


def _call(call: Call) -> ChatCall | None:
    arguments = arguments_object(call.arguments)
    if call.name is None or arguments is None:
        return None
    identity = {} if call.id is None else {"id": call.id}
    return {**identity, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def written_calls(step: Step) -> list[str] | None:
    """Each call as the JSON text `{"name": …, "arguments": …}`, the arguments as they were sampled.

    None if one of them cannot be written so.
    """
    if chat_calls(step) is None:
        return None
    return [_written(call, (call.arguments or "").strip() or "{}") for call in step.calls]


def raw_calls(step: Step) -> str:
    """The text of a turn's calls as sampled. Where it is not known, each as JSON, with arguments that are none as text.

    A call without a name is nothing but text that could not be read.
    """
    if step.action.text is not None:
        return step.action.text
    return "\n".join(_raw(call) for call in step.calls)


def _raw(call: Call) -> str:
    if call.name is None:
        return call.arguments or ""
    whole = arguments_object(call.arguments) is not None
    given = (call.arguments or "").strip() or "{}"
    return _written(call, given if whole else json.dumps(call.arguments, ensure_ascii=False))


def _written(call: Call, arguments: str) -> str:
    return f'{{"name": {json.dumps(call.name, ensure_ascii=False)}, "arguments": {arguments}}}'
