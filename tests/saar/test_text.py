"""What Sim() sees of a call: its code argument, its only string, or its arguments with sorted keys."""

from __future__ import annotations

import pytest

from purify.saar import SaarConfig
from purify.saar.rule import CallView, Turn
from purify.saar.text import code_of, compared_text


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ('{"code": "print(1)", "language": "python"}', "print(1)"),
        ('{"command": "ls", "timeout": 5}', "ls"),
        ('{"b": "x", "a": "y"}', '{"a":"y","b":"x"}'),
        ('{"b": 1, "a": [2]}', '{"a":[2],"b":1}'),
        ('{"code": 5, "query": "q"}', "q"),
        ("{}", "{}"),
        ("[1]", "[1]"),
        ("not json", "not json"),
        ('{"a":' * 300 + "1" + "}" * 300, '{"a":' * 300 + "1" + "}" * 300),
        (None, ""),
    ],
)
def test_the_text_of_a_call(arguments: str | None, text: str) -> None:
    assert code_of(CallView("t", arguments, "ok"), ["code"]) == text


def test_a_declared_code_argument_comes_first() -> None:
    call = CallView("t", '{"sql": "SELECT 1", "database": "main"}', "ok")
    assert code_of(call, ["sql"]) == "SELECT 1"
    assert code_of(call, ["code", "database"]) == "main"


def test_parallel_calls_are_compared_together() -> None:
    turn = Turn([CallView("t", '{"code": "a"}', "ok"), CallView("t", '{"code": "b"}', "error")])
    assert compared_text(turn, SaarConfig()) == "a\nb"
    assert compared_text(Turn([CallView(None, "{", "malformed")]), SaarConfig()) is None


def test_whole_calls_are_the_raw_text_where_there_is_one() -> None:
    call = CallView("t", '{"code": "a"}', "ok")
    config = SaarConfig(compare="call")
    raw = '<tool_call>\n{"arguments": {"code": "a"}, "name": "t"}\n</tool_call>'
    assert compared_text(Turn([call], raw=raw), config) == raw
    rendered = '<tool_call>\n{"name": "t", "arguments": {"code": "a"}}\n</tool_call>'
    assert compared_text(Turn([call], raw="```a```"), config) == rendered
    assert compared_text(Turn([call]), config) == rendered
