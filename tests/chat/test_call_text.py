from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purify.chat.call_text import read_call_turn, read_generated
from purify.chat.turn import GeneratedTurn as Turn
from purify_schemas import Call

SEARCH = '{"name": "search", "arguments": {"q": "rice"}}'
CALL = Call(name="search", arguments='{"q": "rice"}')
XML = "<function=bash>\n<parameter=command>\nls\n</parameter>\n</function>"


def malformed(text: str, name: str | None = None, error_type: str = "invalid_json") -> Call:
    return Call(name=name, arguments=text, status="malformed", error_type=error_type, status_source="call_text")


@pytest.mark.parametrize(
    ("text", "turn"),
    [
        ("", Turn("")),
        ("Just text.", Turn("Just text.")),
        (
            f"Let me see.\n<tool_call>\n{SEARCH}\n</tool_call>",
            Turn("Let me see.\n", 0, f"<tool_call>\n{SEARCH}\n</tool_call>", [CALL]),
        ),
        (
            f"<tool_call>{SEARCH}</tool_call>\n<tool_call>{SEARCH}</tool_call> done",
            Turn("", 0, f"<tool_call>{SEARCH}</tool_call>\n<tool_call>{SEARCH}</tool_call> done", [CALL, CALL]),
        ),
        (f"<tool_call>{SEARCH}", Turn("", 0, f"<tool_call>{SEARCH}", [CALL])),
        # Thinking counts through its closing tag, and a call in it is none.
        ("<think>hm</think>\n\nSo.", Turn("<think>hm</think>\n\nSo.", 17)),
        (
            f"<think>a <tool_call> b</think>\n<tool_call>{SEARCH}</tool_call>",
            Turn("<think>a <tool_call> b</think>\n", 30, f"<tool_call>{SEARCH}</tool_call>", [CALL]),
        ),
        ("hm</think>So.", Turn("hm</think>So.", 10)),
        ("<think>cut off", Turn("<think>cut off", 14)),
        (f"<think>a<tool_call>{SEARCH}", Turn("<think>a", 8, f"<tool_call>{SEARCH}", [CALL])),
        # An end tag inside an argument does not end the call, nor the thinking.
        (
            '<tool_call>{"name": "py", "arguments": {"code": "\'</tool_call></think>\'"}}</tool_call>',
            Turn(
                "",
                0,
                '<tool_call>{"name": "py", "arguments": {"code": "\'</tool_call></think>\'"}}</tool_call>',
                [Call(name="py", arguments='{"code": "\'</tool_call></think>\'"}')],
            ),
        ),
        (
            f"<tool_call>\n{XML}\n</tool_call>",
            Turn("", 0, f"<tool_call>\n{XML}\n</tool_call>", [Call(name="bash", arguments='{"command": "ls"}')]),
        ),
        # What cannot be parsed is a call of the name that can be seen; those after it are still read.
        (
            f'<tool_call>{{"name": "py", "arguments": {{"x": }}</tool_call><tool_call>{SEARCH}</tool_call>',
            Turn(
                "",
                0,
                f'<tool_call>{{"name": "py", "arguments": {{"x": }}</tool_call><tool_call>{SEARCH}</tool_call>',
                [malformed('{"name": "py", "arguments": {"x": }', "py"), CALL],
            ),
        ),
        ("<tool_call> ls </tool_call>", Turn("", 0, "<tool_call> ls </tool_call>", [malformed("ls")])),
        ("<tool_call>{}</tool_call>", Turn("", 0, "<tool_call>{}</tool_call>", [malformed("{}")])),
        (
            f"<tool_call>{SEARCH}}}</tool_call>",
            Turn("", 0, f"<tool_call>{SEARCH}}}</tool_call>", [malformed(SEARCH + "}", "search")]),
        ),
        ("<tool_call>", Turn("", 0, "<tool_call>", [malformed("")])),
    ],
)
def test_generated_text(text: str, turn: Turn) -> None:
    assert read_generated(text) == turn


@pytest.mark.parametrize(
    ("text", "turn", "unread"),
    [
        (SEARCH, Turn(None, calls=[CALL]), False),
        (f"[{SEARCH}, {SEARCH}]", Turn(None, calls=[CALL, CALL]), False),
        ('{"name": "f", "parameters": {}}', Turn(None, calls=[Call(name="f", arguments="{}")]), False),
        ('{"name": "f", "arguments": {}, "parameters": {}}', Turn(None, calls=[Call(name="f", arguments="{}")]), True),
        ('{"name": "f", "why": 1}', Turn(None, calls=[Call(name="f")]), True),
        ('{"name": "f", "arguments": null, "id": 3}', Turn(None, calls=[Call(id="3", name="f")]), False),
        # As they were sampled: a large number, spaces, the order, an escape.
        (
            '{"arguments": {"b":  1e2, "a": 123456789012345678901234, "c": "\\u00e9"}, "name": "f"}',
            Turn(None, calls=[Call(name="f", arguments='{"b":  1e2, "a": 123456789012345678901234, "c": "\\u00e9"}')]),
            False,
        ),
        # Encoded twice.
        (r'{"name": "f", "arguments": "{\"a\": 1}"}', Turn(None, calls=[Call(name="f", arguments='{"a": 1}')]), False),
        (f"<think>a</think>\n{SEARCH}", Turn("<think>a</think>\n", 16, calls=[CALL]), False),
        (
            f"First, ls.\n\n{XML}",
            Turn("First, ls.\n\n", 0, XML, [Call(name="bash", arguments='{"command": "ls"}')]),
            False,
        ),
        (f"So: <tool_call>{SEARCH}</tool_call>", Turn("So: ", 0, f"<tool_call>{SEARCH}</tool_call>", [CALL]), False),
        ("ls -l", Turn(None, 0, "ls -l", [malformed("ls -l")]), False),
        ('{"name": "f"', Turn(None, 0, '{"name": "f"', [malformed('{"name": "f"', "f")]), False),
        ("[]", Turn(None, 0, "[]", [malformed("[]")]), False),
        (f"{SEARCH} x", Turn(None, 0, f"{SEARCH} x", [malformed(f"{SEARCH} x", "search")]), False),
        # Half a surrogate pair cannot be stored.
        (
            r'{"name": "\ud83d", "arguments": {}}',
            Turn(None, 0, r'{"name": "\ud83d", "arguments": {}}', [malformed(r'{"name": "\ud83d", "arguments": {}}')]),
            False,
        ),
    ],
)
def test_a_turn_that_is_a_call(text: str, turn: Turn, unread: bool) -> None:
    assert read_call_turn(text) == (turn, unread)


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ("<function=finish></function>", [Call(name="finish", arguments="{}")]),
        (
            "<function=edit><parameter=path>a.py</parameter><parameter=text>\n  x = 1\n\n</parameter></function>",
            [Call(name="edit", arguments='{"path": "a.py", "text": "  x = 1\\n"}')],
        ),
        # An end tag in a value, a missing end tag, two calls.
        (
            "<function=py>\n<parameter=code>\nprint('</parameter>')\n</parameter>\n",
            [Call(name="py", arguments='{"code": "print(\'</parameter>\')"}')],
        ),
        (XML + XML, [Call(name="bash", arguments='{"command": "ls"}')] * 2),
        ("<function=py>\n<parameter=code>\nx", [malformed("<function=py>\n<parameter=code>\nx", "py", "invalid_call")]),
        (
            "<function=py>x</function>" + XML,
            [malformed("<function=py>x", "py", "invalid_call"), Call(name="bash", arguments='{"command": "ls"}')],
        ),
        # A value that talks of calls.
        (
            "<function=say><parameter=text><tool_call>{}</tool_call></parameter></function>",
            [Call(name="say", arguments='{"text": "<tool_call>{}</tool_call>"}')],
        ),
    ],
)
def test_function_tags(text: str, calls: list[Call]) -> None:
    assert read_call_turn(text) == (Turn("", 0, text, calls), False)


PIECES = [
    "<tool_call>",
    "</tool_call>",
    "<think>",
    "</think>",
    "<function=f>",
    "</function>",
    "<parameter=a>",
    " ",
    "{",
]
PIECES += ["</parameter>", '"name"', ":", '"f"', "}", "[", "]", ",", '"arguments"', "text", "\\", '"', "\n", SEARCH]


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_any_text_is_read_and_none_is_lost(text: str) -> None:
    turn = read_generated(text)
    assert (turn.reasoning or "") + (turn.action or "") == text
    read, _ = read_call_turn(text)
    assert read.calls
    if read.action is not None:
        assert (read.reasoning or "") + read.action == text


def test_deep_nesting_is_malformed_not_a_crash() -> None:
    deep: Any = '{"name": "f", "arguments": ' + "[" * 100_000
    (call,) = read_call_turn(deep)[0].calls
    assert (call.name, call.status) == ("f", "malformed")
