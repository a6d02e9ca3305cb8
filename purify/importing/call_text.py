"""Tool calls written as text, the way templates render them and datasets keep them.

Three notations are read. Hermes and Qwen: `<tool_call>{"name": ..., "arguments": {...}}</tool_call>`, several for
parallel calls. OpenHands and Qwen-Coder: `<function=name><parameter=key>value</parameter></function>`. LLaMA-Factory's
`function_call`: the bare JSON object, or a list of them.

Thinking is the text up to and including `</think>`, tags too. A `<tool_call>` in it is no call. What cannot be parsed
is a call all the same: malformed, named where a name can be seen, with its raw text as arguments.

Notations: Hermes-Function-Calling's README, OpenHands' fn_call_converter.py, LLaMA-Factory's data/README.md.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from purify.importing.turns import Turn
from purify_schemas import Call

OPEN, CLOSE = "<tool_call>", "</tool_call>"
_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"\s*")
_NAME = re.compile(r'"name"\s*:\s*"([^"\\]+)"')
_FUNCTION = re.compile(r"<function=([^>\n]+)>")
# Code in a value may hold "</parameter>" itself: the one that counts is followed by what may follow a parameter.
_PARAMETER = re.compile(
    r"\s*<parameter=([^>\n]+)>\n?(.*?)\n?</parameter>(?=\s*(?:<parameter=|</function>|</tool_call>|\Z))", re.DOTALL
)


def read_generated(text: str) -> Turn:
    """A turn as the model wrote it. Without a `<tool_call>` outside its thinking it has no call."""
    thinking, at = _thinking_and_call(text)
    if at < 0:
        return Turn(reasoning=text, thinking_chars=thinking)
    return Turn(reasoning=text[:at], thinking_chars=min(thinking, at), action=text[at:], calls=_hermes_calls(text, at))


def read_call_turn(text: str) -> tuple[Turn, bool]:
    """A turn that its source says is a call, and whether JSON calls had members that are not kept in the turn.

    JSON is a dataset's way to write a call, not what the model wrote: then there is no raw action text.
    """
    thinking, at = _thinking_and_call(text)
    start = _skip(text, thinking)
    if text[start : start + 1] in ("{", "["):
        calls, unread = json_calls(text[start:])
        if all(call.status == "unknown" for call in calls):
            return Turn(text[:start] if start else None, thinking, calls=calls), unread
    if at < 0 and (found := _FUNCTION.search(text, thinking)):
        at = found.start()
        return Turn(text[:at], thinking, action=text[at:], calls=_function_calls(text, at)), False
    if at >= 0:
        return read_generated(text), False
    return Turn(text[:start] if start else None, thinking, text[start:], calls=[_malformed(text[start:])]), False


def json_calls(text: str) -> tuple[list[Call], bool]:
    """Calls from a JSON object or a list of them, and whether any had further members.

    Arguments keep their own text, so that numbers and spaces stay as they were sampled.
    """
    calls: list[Call] = []
    unread = False
    try:
        many = text[_skip(text, 0) :].startswith("[")
        at = _skip(text, 0) + many
        while True:
            members, at = _members(text, _skip(text, at))
            calls.append(_call(members))
            unread = unread or not members.keys() <= {"name", "id", _arguments_key(members)}
            at = _skip(text, at)
            if not (many and text.startswith(",", at)):
                break
            at += 1
        if many:
            at = _expect(text, at, "]")
        if _skip(text, at) != len(text):
            raise ValueError("text after the call")
    except (ValueError, RecursionError):
        return [_malformed(text)], False
    return calls, unread


def _thinking_and_call(text: str) -> tuple[int, int]:
    """How many characters are thinking, and where the first `<tool_call>` after them is (-1 for none).

    Templates of some models write `<think>` into the prompt, so the opening tag may be missing.
    """
    call, close = text.find(OPEN), text.find("</think>")
    opened = text.lstrip().startswith("<think>")
    if close >= 0 and (opened or call < 0 or close < call):
        end = close + len("</think>")
        return end, text.find(OPEN, end)
    if opened:  # never closed: all of it, or all before a call, was thought
        return len(text) if call < 0 else call, call
    return 0, call


def _hermes_calls(text: str, at: int) -> list[Call]:
    calls: list[Call] = []
    while at >= 0:
        start = _skip(text, at + len(OPEN))
        call, end = _function_call(text, start) if _FUNCTION.match(text, start) else _hermes_call(text, start)
        calls.append(call)
        at = text.find(OPEN, end)
    return calls


def _hermes_call(text: str, start: int) -> tuple[Call, int]:
    """The call at `start`, and where it ends. Text that breaks off before the closing tag is accepted, as in vLLM."""
    try:
        members, end = _members(text, start)
        end = _skip(text, end)
        if end == len(text) or text.startswith(CLOSE, end):
            return _call(members), end
    except (ValueError, RecursionError):
        pass
    close = text.find(CLOSE, start)
    end = len(text) if close < 0 else close
    return _malformed(text[start:end].strip()), end


def _function_calls(text: str, at: int) -> list[Call]:
    calls: list[Call] = []
    while found := _FUNCTION.search(text, at):
        call, at = _function_call(text, found.start())
        calls.append(call)
    return calls


def _function_call(text: str, start: int) -> tuple[Call, int]:
    opening = _FUNCTION.match(text, start)
    assert opening is not None
    arguments: dict[str, str] = {}
    at = opening.end()
    while parameter := _PARAMETER.match(text, at):
        arguments[parameter[1]] = parameter[2]
        at = parameter.end()
    end = _skip(text, at)
    if end == len(text) or text.startswith(("</function>", CLOSE), end):  # the tag is often the stop sequence
        return Call(name=opening[1], arguments=json.dumps(arguments, ensure_ascii=False)), end
    close = text.find("</function>", end)
    end = len(text) if close < 0 else close
    return _malformed(text[start:end], name=opening[1], error_type="invalid_call"), end


def _members(text: str, at: int) -> tuple[dict[str, str], int]:
    """The members of the JSON object at `at`, each value as its raw text, and where the object ends."""
    members: dict[str, str] = {}
    at = _skip(text, _expect(text, at, "{"))
    if text.startswith("}", at):
        return members, at + 1
    while True:
        key, at = _DECODER.raw_decode(text, at)
        if not isinstance(key, str):
            raise ValueError("a key is not a string")
        start = _skip(text, _expect(text, _skip(text, at), ":"))
        _, at = _DECODER.raw_decode(text, start)
        members[key] = text[start:at]
        at = _skip(text, at)
        if not text.startswith(",", at):
            return members, _expect(text, at, "}")
        at = _skip(text, at + 1)


def _call(members: Mapping[str, str]) -> Call:
    """Raises `ValueError` for an object that is no call."""
    name = json.loads(members.get("name", "null"))
    if not isinstance(name, str):
        raise ValueError("no name")
    identity = json.loads(members.get("id", "null"))
    arguments = members.get(_arguments_key(members), "null")
    if arguments == "null" or arguments.startswith('"'):  # a string: encoded twice, as in OpenAI's own messages
        arguments = json.loads(arguments)
    return Call(id=None if identity is None else str(identity), name=name, arguments=arguments)


def _arguments_key(members: Mapping[str, str]) -> str:
    return "arguments" if "arguments" in members else "parameters"


def _malformed(text: str, *, name: str | None = None, error_type: str = "invalid_json") -> Call:
    if name is None and (seen := _NAME.search(text)):
        name = seen[1]
    return Call(name=name, arguments=text, status="malformed", error_type=error_type, status_source="call_text")


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _expect(text: str, at: int, mark: str) -> int:
    if not text.startswith(mark, at):
        raise ValueError(f"expected {mark} at {at}")
    return at + 1
