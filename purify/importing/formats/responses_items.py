"""Items of the OpenAI Responses API, to prompt messages and turns.

Field names: `openai.types.responses`, and nemo_gym/openai_utils.py of NVIDIA-NeMo/Gym, whose training variants add
token ids to one item of a turn: the last (nemo_gym/responses_converter.py), or the message before the calls
(responses_api_agents/hermes_agent/app.py).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from purify.errors import RejectedRecordError
from purify.failures.rules import Outcome
from purify.importing.checks import as_list, as_object, json_text, leftover, optional_string, string, wrong
from purify.importing.formats.responses_ids import KEYS, Generation, read_generation
from purify.importing.turns import Reply, Result, Turn
from purify.json_text import dump_json
from purify_schemas import Call, Message

END_OF_THINKING = "</think>"


@dataclass(slots=True)
class _Open:
    """A turn being read."""

    turn: Turn
    generation: Generation | None = None
    rest: list[dict[str, Any]] = field(default_factory=list)

    def ends_before(self, kind: str, generation: Generation | None) -> bool:
        """Whether an item starts the next turn. After the ids of a turn only calls of the same turn can follow."""
        done = self.generation is not None and (generation is not None or not kind.endswith("_call"))
        return done or bool(self.turn.replies)


def read_prompt(value: object, path: str) -> list[Message]:
    """`responses_create_params.input`: a text, or items. Earlier model turns among them are demonstrations."""
    if isinstance(value, str):
        return [Message(role="user", content=value)]
    return [_prompt_item(item, f"{path}[{i}]") for i, item in enumerate(as_list(value, path))]


def read_output(items: Sequence[object], path: str) -> tuple[list[Turn], list[Generation | None]]:
    """`response.output`: one turn for each run of model items, up to what comes back."""
    turns: list[_Open] = []
    for i, value in enumerate(items):
        where = f"{path}[{i}]"
        item = as_object(value, where)
        kind = _kind(item, where)
        if kind.endswith("_output") or (kind == "message" and item.get("role", "assistant") != "assistant"):
            if not turns:
                raise RejectedRecordError(f"{where} is a {kind} before any turn of the model")
            turns[-1].turn.replies.append(_reply(item, kind, where))
            continue
        generation = read_generation(item, where)
        if not turns or turns[-1].ends_before(kind, generation):
            turns.append(_Open(Turn(reasoning=None)))
        current = turns[-1]
        current.generation = current.generation or generation
        match kind:
            case "reasoning":
                _think(current.turn, item, where)
                used = {"type", "summary", "content"}
            case "message":
                _say(current, item, where)
                used = {"type", "role", "content"}
            case _ if kind.endswith("_call"):
                used = _act(current.turn, item, kind, where)
            case _:
                raise RejectedRecordError(f"{where}.type {kind!r} is no message, reasoning, call or call output")
        if rest := _rest(item, used | KEYS):
            current.rest.append({"item": i, **rest})
    for opened in turns:
        opened.turn.extra = json_text({"items": opened.rest} if opened.rest else None, path)
    return [opened.turn for opened in turns], [opened.generation for opened in turns]


def _kind(item: Mapping[str, Any], path: str) -> str:
    return "message" if item.get("type") is None and "role" in item else string(item, "type", path)


def _think(turn: Turn, item: Mapping[str, Any], path: str) -> None:
    """Open models put their whole thinking into `summary` (NeMo-Gym) or `content`; only a leading part is marked."""
    key = "summary" if item.get("summary") else "content"
    text = "\n".join(string(as_object(part, path), "text", f"{path}.{key}") for part in _parts(item, key, path))
    leading = turn.thinking_chars == len(turn.reasoning or "")
    turn.reasoning = (turn.reasoning or "") + text
    turn.thinking_chars = len(turn.reasoning) if leading else turn.thinking_chars


def _say(current: _Open, item: Mapping[str, Any], path: str) -> None:
    """Text of the model. Without a reasoning parser, a closing tag inside it ends the thinking part."""
    turn = current.turn
    text, parts = text_of(item.get("content"), f"{path}.content")
    before = turn.reasoning or ""
    if text is not None:
        turn.reasoning = before + text
        if END_OF_THINKING in text:
            turn.thinking_chars = len(before) + text.index(END_OF_THINKING) + len(END_OF_THINKING)
    if parts is not None:
        current.rest.append({"content": orjson.loads(parts)})


def _act(turn: Turn, item: Mapping[str, Any], kind: str, path: str) -> set[str]:
    """A call; a hosted one brings its own result. Returns the keys it has read."""
    used = {"type", "name", "call_id"}
    if "arguments" in item or kind == "function_call":
        arguments: str | None = string(item, "arguments", path)
        used.add("arguments")
    elif "input" in item:
        arguments = json_text({"input": item["input"]}, f"{path}.input")
        used.add("input")
    else:
        described = leftover(item, {*used, "id", "status", "output", "error", *KEYS})
        arguments = json_text(described, path)
        used |= set(described)
    name = string(item, "name", path) if kind == "function_call" else optional_string(item, "name", path) or kind
    turn.calls.append(Call(id=optional_string(item, "call_id", path), name=name, arguments=arguments))
    if item.get("output") is not None or item.get("error") is not None:
        text, _ = text_of(item.get("output"), f"{path}.output")
        shown = text if text is not None else json_text(item.get("error"), f"{path}.error")
        flag = Outcome("error", None, "item.error") if item.get("error") is not None else None
        result = Result(shown, optional_string(item, "call_id", path), name, flag)
        turn.replies.append(Reply(Message(role="tool", name=name, content=shown), [result]))
        used |= {"output", "error"}
    return used


def _reply(item: Mapping[str, Any], kind: str, path: str) -> Reply:
    key = "output" if kind.endswith("_output") else "content"
    text, parts = text_of(item.get(key), f"{path}.{key}")
    extra = json_text(_rest(item, {"type", "role", "call_id", key}), path)
    if key == "content":
        return Reply(Message(role=string(item, "role", path), content=text, parts=parts, extra=extra))
    call_id = optional_string(item, "call_id", path)
    status = optional_string(item, "status", path)
    flag = Outcome("error", status, "item.status") if status in ("failed", "incomplete") else None
    message = Message(role="tool", content=text, parts=parts, call_id=call_id, extra=extra)
    return Reply(message, [Result(text, call_id, flag=flag)])


def _prompt_item(value: object, path: str) -> Message:
    item = as_object(value, path)
    kind = _kind(item, path)
    if kind == "message":
        text, parts = text_of(item.get("content"), f"{path}.content")
        extra = json_text(_rest(item, {"type", "role", "content"}), path)
        return Message(role=string(item, "role", path), content=text, parts=parts, extra=extra)
    if kind.endswith("_output"):
        return _reply(item, kind, path).message
    if kind == "function_call":
        function = {"name": string(item, "name", path), "arguments": string(item, "arguments", path)}
        call = {"id": optional_string(item, "call_id", path), "type": "function", "function": function}
        return Message(role="assistant", tool_calls=dump_json([call]))
    return Message(role="assistant", extra=json_text(item, path))


def text_of(content: object, path: str) -> tuple[str | None, str | None]:
    """(text, JSON of the parts if they hold anything but plain text) of a content or output field."""
    if content is None or isinstance(content, str):
        return content, None
    if isinstance(content, Mapping):
        return json_text(content, path), None
    if not isinstance(content, list):
        raise wrong(path, content, "a text, an object or a list of parts")
    texts: list[str] = []
    plain = True
    for i, value in enumerate(content):
        part = as_object(value, f"{path}[{i}]")
        text = part.get("text", part.get("refusal"))
        plain = plain and isinstance(text, str) and not any(v for k, v in part.items() if k not in {"type", "text"})
        if isinstance(text, str):
            texts.append(text)
    return ("".join(texts) if texts else None), (None if plain else json_text(content, path))


def _rest(item: Mapping[str, Any], used: Collection[str]) -> dict[str, Any]:
    """What is left of an item, without what it spells out although it says nothing."""
    silent = {"status": "completed", "id": item.get("call_id")}
    return {k: v for k, v in leftover(item, used).items() if v is not None and silent.get(k) != v}


def _parts(item: Mapping[str, Any], key: str, path: str) -> list[Any]:
    return as_list(item.get(key) or [], f"{path}.{key}")
