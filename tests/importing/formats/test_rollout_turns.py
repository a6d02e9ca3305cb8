from __future__ import annotations

import json
from typing import Any

import pytest

from purify.errors import RejectedRecordError
from purify.importing.formats.rollout_turns import read_chat, read_reply, read_turn, with_extra
from purify.importing.turns import Result, Turn
from purify_schemas import Call, Message

TEXT = '<tool_call>\n{"name": "python", "arguments": {"code": "1"}}\n</tool_call>'
ARGUMENTS = '{"code": "1"}'


def turn(**message: Any) -> Turn:
    return read_turn({"role": "assistant", **message}, "messages[0]")


def test_a_call_in_the_text_is_the_call() -> None:
    got = turn(content=f"<think>hm</think>I see. {TEXT} done")
    assert (got.reasoning, got.thinking_chars, got.action) == ("<think>hm</think>I see. ", 17, f"{TEXT} done")
    assert got.calls == [Call(name="python", arguments='{"code": "1"}')]


def test_a_call_in_the_fields_is_the_call_and_the_text_is_cut_where_it_has_the_same() -> None:
    fields = [{"id": "c", "type": "function", "function": {"name": "python", "arguments": ARGUMENTS}}]
    called = [Call(id="c", name="python", arguments=ARGUMENTS)]
    assert turn(content=f"I see. {TEXT}", tool_calls=fields) == Turn("I see. ", 0, TEXT, called)
    assert turn(content="I see.", tool_calls=fields) == Turn("I see.", 0, None, called)
    fields[0]["function"] = {"name": "search", "arguments": ARGUMENTS}
    other = [Call(id="c", name="search", arguments=ARGUMENTS)]
    assert turn(content=f"I see. {TEXT}", tool_calls=fields) == Turn(f"I see. {TEXT}", 0, None, other)


def test_thinking_of_a_field_comes_before_the_text() -> None:
    got = turn(content=f"I see. {TEXT}", reasoning="hm")
    assert (got.reasoning, got.thinking_chars, got.action) == ("hmI see. ", 2, TEXT)


def test_a_malformed_call_in_the_text() -> None:
    (call,) = turn(content="<tool_call>{oops</tool_call>").calls
    assert (call.name, call.status) == (None, "malformed")


def test_nulls_that_pad_are_no_fields_but_a_null_content_is() -> None:
    assert turn(content="a", name=None, tool_calls=None, extra=None) == Turn("a")
    assert turn(content=None) == Turn(None)


def test_one_tool_message_can_answer_several_calls() -> None:
    both = "<tool_response>1</tool_response><tool_response>2</tool_response>"
    got = read_reply({"role": "tool", "content": both}, "m", 2)
    assert (got.message, got.results) == (Message(role="tool", content=both), [Result("1"), Result("2")])
    got = read_reply({"role": "user", "content": "<tool_response>1</tool_response>"}, "m", 1)
    assert (got.message.role, got.results) == ("tool", [Result("1")])
    got = read_reply({"role": "tool", "content": both, "tool_call_id": "c"}, "m", 2)
    assert got.results == [Result(both, "c")]
    assert read_reply({"role": "user", "content": "go on"}, "m", 1).results == []


def test_a_chat_is_a_prompt_and_turns() -> None:
    prompt, turns = read_chat(
        [{"role": "user", "content": "q"}, {"role": "agent", "content": "a"}, {"role": "user", "content": "more"}], "m"
    )
    assert prompt == [Message(role="user", content="q")]
    assert [(one.reasoning, one.extra) for one in turns] == [("a", '{"role":"agent"}')]
    assert turns[0].replies[0].message == Message(role="user", content="more")
    with pytest.raises(RejectedRecordError, match=r"m\[0\].role is missing"):
        read_chat([{}], "m")


def test_extra_gains_only_what_tells_something() -> None:
    assert with_extra(None, {"a": None, "b": [], "c": {}}, "m") is None
    assert json.loads(with_extra('{"a":1}', {"b": 0, "c": False}, "m") or "") == {"a": 1, "b": 0, "c": False}
