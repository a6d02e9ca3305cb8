"""One ShareGPT or LLaMA-Factory message as a turn or a reply.

from: function_call   value: {"name": "search", "arguments": {"query": "rice"}}
from: observation     value: {"recipes": []}
role: assistant       content: [{"type": "reasoning", "value": "..."}, {"type": "tool_call", "value": "{...}"}]
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from purify.chat.call_json import json_calls
from purify.chat.call_text import read_call_turn, read_generated
from purify.importing.checks import as_list, as_object, json_text, leftover, optional_string, string, wrong
from purify.importing.content import read_content
from purify.importing.turns import Reply, Result, Turn
from purify_schemas import Call, Message

CALL_TAGS = frozenset({"function_call", "tool_call"})
ASSISTANT_TAGS = frozenset({"gpt", "assistant", "chatgpt", "bing", "bard", "model"}) | CALL_TAGS
_ROLES = {
    "human": "user",
    "observation": "tool",
    "function_response": "tool",
    "tool_response": "tool",
    "function": "tool",
}
# LLaMA-Factory's own tags and the roles they become. Any other tag is kept beside its role.
_USUAL = frozenset({("human", "user"), ("gpt", "assistant"), ("function_call", "assistant"), ("observation", "tool")})

_RESPONSE_TAG = re.compile(r"</?tool_response>")
_ENVELOPE = frozenset({"content", "name", "tool_call_id"})


def read_turn(message: Mapping[str, Any], path: str, keys: tuple[str, str]) -> Turn:
    """An assistant message whose text is under `keys[1]`, its tag under `keys[0]`."""
    tag = message[keys[0]]
    extra = _extra(message, keys, "assistant")
    if tag in CALL_TAGS:
        text = _data(message, path, keys[1])
        if text is None:
            raise wrong(f"{path}.{keys[1]}", None, "the call")
        called, unread = read_call_turn(text)
        turn = Turn.of(called)
        if unread:
            extra[keys[1]] = message[keys[1]]
    else:
        generated = optional_string(message, keys[1], path)
        turn = Turn(None) if generated is None else Turn.of(read_generated(generated))
    turn.extra = json_text(extra, path)
    return turn


def read_reply(message: Mapping[str, Any], path: str, keys: tuple[str, str], calls: int) -> Reply:
    """Any other message. `calls` is how many calls were made just before, which one message may answer together."""
    tag = message[keys[0]]
    role = _ROLES.get(tag, tag)
    text = _data(message, path, keys[1]) if role == "tool" else optional_string(message, keys[1], path)
    if role == "user" and text is not None and text.lstrip().startswith("<tool_response>"):
        role = "tool"  # Qwen's template gives tool results the user's role
    read = Message(role=role, content=text, extra=json_text(_extra(message, keys, role), path))
    return Reply(read, split_results(text, calls) if role == "tool" else [])


def read_parts_turn(message: Mapping[str, Any], path: str) -> Turn:
    """An assistant message in LLaMA-Factory's parts. A list that a turn cannot express is kept in `extra`."""
    extra = leftover(message, ("role", "content"))
    thinking: list[str] = []
    texts: list[str] = []
    calls: list[Call] = []
    items = as_list(message.get("content"), f"{path}.content")
    plain = bool(items)
    for index, item in enumerate(items):
        here = f"{path}.content[{index}]"
        part = as_object(item, here)
        kind = string(part, "type", here)
        plain = plain and len(part) == 2
        if kind in ("tool_call", "tool_calls"):
            read, unread = json_calls(string(part, "value", here))
            calls += read
            plain = plain and not unread and len(read) == 1
        elif kind == "reasoning" and not texts and not calls:
            thinking.append(string(part, "value", here))
        elif kind == "text" and not calls:
            texts.append(string(part, "value", here))
        else:
            plain = False
    if not plain or len(thinking) > 1 or len(texts) > 1:
        extra["content"] = items
    thought = "".join(thinking)
    return Turn(
        reasoning=thought + "".join(texts) if thinking or texts else None,
        thinking_chars=len(thought),
        calls=calls,
        extra=json_text(extra, path),
    )


def read_parts_reply(message: Mapping[str, Any], path: str, calls: int) -> Reply:
    """Any other message in LLaMA-Factory's parts."""
    content = read_content(message, path, text_key="value")
    extra = leftover(message, ("role", "content"))
    if content.order is not None:
        extra["content"] = content.order
    role = string(message, "role", path)
    read = Message(role=role, content=content.text, parts=json_text(content.parts, path), extra=json_text(extra, path))
    return Reply(read, split_results(content.text, calls) if role == "tool" else [])


def split_results(text: str | None, calls: int) -> list[Result]:
    """What is judged of a result: without the wrapping of its template, and one for each of several parallel calls."""
    if text is None:
        return [Result(None)]
    if "<tool_response>" in text:
        return [_result(piece) for piece in map(str.strip, _RESPONSE_TAG.split(text)) if piece] or [Result("")]
    if text.lstrip().startswith("[") and (calls > 1 or '"content"' in text):
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            return [Result(text)]
        if found and (len(found) == calls > 1 or all(map(_is_envelope, found))):
            return [_unwrap(one) for one in found]
    return [_result(text)]


def _result(text: str) -> Result:
    if text.startswith("{") and '"content"' in text:
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            return Result(text)
        if _is_envelope(found):
            return _unwrap(found)
    return Result(text)


def _is_envelope(value: object) -> bool:
    """`{"name": ..., "content": ...}`: a result with the name or id of its call, as Hermes models are shown them."""
    return isinstance(value, dict) and "content" in value and len(value) > 1 and value.keys() <= _ENVELOPE


def _unwrap(value: Any) -> Result:
    name = None
    if _is_envelope(value):
        value, name = value["content"], value.get("name")
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return Result(text, name=name if isinstance(name, str) else None)


def _data(message: Mapping[str, Any], path: str, key: str) -> str | None:
    """The text of a call or a result, which some writers leave as the JSON value it stands for."""
    value = message.get(key)
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return optional_string(message, key, path)


def _extra(message: Mapping[str, Any], keys: tuple[str, str], role: str) -> dict[str, Any]:
    tag = message[keys[0]]
    extra = leftover(message, keys)
    return extra if tag == role or (tag, role) in _USUAL else {keys[0]: tag, **extra}
