"""Tool calls written as text, the way templates render them and datasets keep them.

Three notations are read. Hermes and Qwen: `<tool_call>{"name": ..., "arguments": {...}}</tool_call>`, several for
parallel calls. OpenHands and Qwen-Coder: `<function=name><parameter=key>value</parameter></function>`. LLaMA-Factory's
`function_call`: the bare JSON object, or a list of them.

Thinking is the text up to and including `</think>`, tags too. A `<tool_call>` in it is no call.

Notations: Hermes-Function-Calling's README, OpenHands' fn_call_converter.py, LLaMA-Factory's data/README.md.
"""

from __future__ import annotations

import json
import re

from purify.chat.call_json import json_calls, malformed, object_members, read_members, skip_space
from purify.chat.turn import GeneratedTurn
from purify_schemas import Call

OPEN, CLOSE = "<tool_call>", "</tool_call>"
_THINK = re.compile(r"\s*<think>")
_FUNCTION = re.compile(r"<function=([^>\n]{1,200})>")  # bounded: a text of many `<function=` takes no square of time
# Code in a value may hold "</parameter>" itself: the one that counts is followed by what may follow a parameter.
_PARAMETER = re.compile(
    r"\s*<parameter=([^>\n]+)>\n?(.*?)\n?</parameter>(?=\s*(?:<parameter=|</function>|</tool_call>|\Z))", re.DOTALL
)


def read_generated(text: str) -> GeneratedTurn:
    """A turn as the model wrote it. Without a `<tool_call>` outside its thinking it has no call."""
    thinking, at = _thinking_and_call(text)
    if at < 0:
        return GeneratedTurn(reasoning=text, thinking_chars=thinking)
    return GeneratedTurn(text[:at], min(thinking, at), text[at:], _hermes_calls(text, at))


def thinking_length(text: str) -> int:
    """How many leading characters are thinking, in a text whose calls have no tags. One never closed is all thought."""
    close = text.find("</think>")
    if close >= 0:
        return close + len("</think>")
    return len(text) if _THINK.match(text) else 0


def read_call_turn(text: str) -> tuple[GeneratedTurn, bool]:
    """A turn that its source says is a call, and whether JSON calls had members that are not kept in the turn.

    JSON is a dataset's way to write a call, not what the model wrote: then there is no raw action text.
    """
    if (whole := _json_turn(text, 0)) is not None:
        return whole
    thinking, at = _thinking_and_call(text)
    if thinking and (after := _json_turn(text, thinking)) is not None:
        return after
    found = _FUNCTION.search(text, thinking)
    if found and (at < 0 or found.start() < at):
        at = found.start()
        return GeneratedTurn(text[:at], thinking, text[at:], _function_calls(text, at)), False
    if at >= 0:
        return read_generated(text), False
    start = skip_space(text, thinking)
    return GeneratedTurn(text[:start] or None, thinking, text[start:], [malformed(text[start:])]), False


def _json_turn(text: str, thinking: int) -> tuple[GeneratedTurn, bool] | None:
    """A turn that is JSON after so many characters of thinking; None if it is not, or not a call."""
    start = skip_space(text, thinking)
    if text[start : start + 1] not in ("{", "["):
        return None
    calls, unread = json_calls(text[start:])
    if any(call.status == "malformed" for call in calls):
        return None
    return GeneratedTurn(text[:start] if thinking else None, thinking, calls=calls), unread


def _thinking_and_call(text: str) -> tuple[int, int]:
    """How many characters are thinking, and where the first `<tool_call>` after them is (-1 for none).

    Templates of some models write `<think>` into the prompt, so the opening tag may be missing.
    """
    call, close = text.find(OPEN), text.find("</think>")
    opened = _THINK.match(text) is not None
    if close >= 0 and (opened or call < 0 or close < call):
        end = close + len("</think>")
        return end, text.find(OPEN, end)
    if opened:  # never closed: all of it, or all before a call, was thought
        return len(text) if call < 0 else call, call
    return 0, call


def _hermes_calls(text: str, at: int) -> list[Call]:
    calls: list[Call] = []
    while at >= 0:
        start = skip_space(text, at + len(OPEN))
        call, end = _function_call(text, start) if _FUNCTION.match(text, start) else _hermes_call(text, start)
        calls.append(call)
        at = text.find(OPEN, end)
    return calls


def _hermes_call(text: str, start: int) -> tuple[Call, int]:
    """The call at `start`, and where it ends. Text that breaks off before the closing tag is accepted, as in vLLM."""
    try:
        members, end = object_members(text, start)
        end = skip_space(text, end)
        if end == len(text) or text.startswith(CLOSE, end):
            return read_members(members), end
    except (ValueError, RecursionError):
        pass
    close = text.find(CLOSE, start)
    end = len(text) if close < 0 else close
    return malformed(text[start:end].strip()), end


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
    end = skip_space(text, at)
    if end == len(text) or text.startswith(("</function>", CLOSE), end):  # the tag is often the stop sequence
        return Call(name=opening[1], arguments=json.dumps(arguments, ensure_ascii=False)), end
    close = text.find("</function>", end)
    end = len(text) if close < 0 else close
    return malformed(text[start:end], name=opening[1], error_type="invalid_call"), end
