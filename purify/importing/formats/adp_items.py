"""One action or observation of agent-data-protocol, as a turn or a reply.

{"class_": "code_action", "language": "bash", "content": "ls /etc", "description": "I list the files."}
{"class_": "text_observation", "content": "cron.hourly fuse.conf", "source": "environment"}
"""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from typing import Any

from purify.importing.checks import identifier, json_text, leftover, optional_string, string, wrong
from purify.importing.turns import Reply, Result, Turn
from purify_schemas import Call, Message

ACTIONS = frozenset({"api_action", "code_action", "message_action"})
ITEMS = ACTIONS | {"text_observation", "web_observation", "image_observation", "json_observation"}

# The schema's sources, of all its versions.
_ROLES = {"user": "user", "environment": "tool", "agent": "assistant", "assistant": "assistant", "system": "system"}


def read_action(item: Mapping[str, Any], kind: str, path: str) -> Turn:
    """A turn with one call, or with none for a message."""
    used = {"class_", "description", "reasoning_content", "tool_call_id"}
    thinking = optional_string(item, "reasoning_content", path) or ""
    text = optional_string(item, "description", path)
    extra: dict[str, Any] = {}
    calls: list[Call] = []
    match kind:
        case "api_action":
            used |= {"function", "kwargs"}
            arguments, exact = _arguments(item.get("kwargs"), f"{path}.kwargs")
            if not exact:
                extra["kwargs"] = item["kwargs"]
            name = string(item, "function", path)
            calls = [Call(id=identifier(item, "tool_call_id", path), name=name, arguments=arguments)]
        case "code_action":
            used |= {"language", "content"}
            code = json.dumps({"code": string(item, "content", path)}, ensure_ascii=False)
            name = string(item, "language", path)
            calls = [Call(id=identifier(item, "tool_call_id", path), name=name, arguments=code)]
        case _:
            used.add("content")
            said = string(item, "content", path)
            if text:
                extra["description"] = text  # the text no longer tells where it ends
            text = f"{text}\n\n{said}" if text else said
    return Turn(
        reasoning=thinking + (text or "") if thinking else text,
        thinking_chars=len(thinking),
        calls=calls,
        extra=json_text({**extra, **_rest(item, used)}, path),
    )


def read_observation(item: Mapping[str, Any], kind: str, path: str, *, answers: bool) -> Reply:
    """A message; the result of a call if `answers`, or if it names one."""
    source = optional_string(item, "source", path) or "environment"
    call_id = identifier(item, "tool_call_id", path)
    result = answers or call_id is not None
    role = "tool" if result else _ROLES.get(source, source)
    used = {"class_", "content", "name", "source", "tool_call_id"}
    parts = None
    match kind:
        case "text_observation":
            text: str | None = string(item, "content", path)
        case "json_observation":
            text = json_text(item.get("content"), f"{path}.content")
        case "image_observation":
            text = None
            parts = json_text([{"type": "image", "image": string(item, "content", path)}], path)
        case _:  # a web page: models are shown its accessibility tree
            shown = "axtree" if item.get("axtree") is not None else "html"
            text = optional_string(item, shown, path)
            used.add(shown)
    rest = _rest(item, used)
    if _ROLES.get(source, source) != role:
        rest["source"] = source
    if kind != "text_observation":
        rest["class_"] = kind
    message = Message(
        role=role,
        name=optional_string(item, "name", path),
        content=text,
        parts=parts,
        call_id=call_id,
        extra=json_text(rest, path),
    )
    return Reply(message, [Result(text, call_id, message.name)] if result else [])


def _rest(item: Mapping[str, Any], used: set[str]) -> dict[str, Any]:
    """The schema's classes write out every optional field, so a null says nothing."""
    return {key: value for key, value in leftover(item, used).items() if value is not None}


def _arguments(value: object, path: str) -> tuple[str, bool]:
    """Arguments as JSON text, and whether they tell all that `value` says."""
    if isinstance(value, dict):
        return json_text(value, path) or "{}", True
    if not isinstance(value, str):
        raise wrong(path, value, "an object or its text")
    try:
        found = ast.literal_eval(value)
        if isinstance(found, dict) and all(isinstance(key, str) for key in found):
            return json.dumps(found, ensure_ascii=False), repr(found) == value
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        pass
    return json.dumps({"kwargs": value}, ensure_ascii=False), True
