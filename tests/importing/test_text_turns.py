from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from purify.failures import Rules
from purify.importing.base import RecordContext
from purify.importing.templates import Part
from purify.importing.text_turns import read_texts
from purify.importing.turns import Reply, Result, Turn, build_steps
from purify_schemas import Call, Message
from tests.importing.hostile import survives

CONTEXT = RecordContext("f", 0, Rules.load("tool"))


def turns(*parts: Part | str) -> list[Turn]:
    """The turns of an output; a plain text is the model's."""
    return read_texts([], [part if isinstance(part, Part) else Part("assistant", part) for part in parts])[1]


def marked(text: str, open: str, close: str) -> Reply:
    extra = json.dumps({"marks": [open, close]}, separators=(",", ":"))
    return Reply(Message(role="tool", content=text, extra=extra), [Result(text)])


def python(code: str) -> Call:
    return Call(name="python", arguments=json.dumps({"code": code}, separators=(",", ":")))


def test_retool() -> None:
    output = "So <code>\n```python\n1/0\n```\n</code>\n\n<interpreter>\nno\n</interpreter>\n\nAgain <code>2</code>"
    assert turns(output) == [
        Turn(
            "So ",
            action="<code>\n```python\n1/0\n```\n</code>",
            calls=[python("1/0")],
            replies=[marked("no", "\n\n<interpreter>\n", "\n</interpreter>\n\n")],
        ),
        Turn("Again ", action="<code>2</code>", calls=[python("2")]),
    ]


def test_search_and_sql() -> None:
    (search, answer) = turns(
        "<think>who</think><search> Ada </search>\n<information>A.</information>\n<answer>A</answer>"
    )
    assert (search.reasoning, search.thinking_chars) == ("<think>who</think>", 18)
    assert search.calls == [Call(name="search", arguments='{"query":" Ada "}')]
    assert search.replies == [marked("A.", "\n<information>", "</information>\n")]
    assert answer == Turn("<answer>A</answer>")
    (sql, *_) = turns("<sql>SELECT 1</sql>", Part("user", "\n<observation>1</observation>\n"), "ok")
    assert sql.calls == [Call(name="sql", arguments='{"sql":"SELECT 1"}')]
    assert sql.replies == [marked("1", "\n<observation>", "</observation>\n")]


def test_fenced_python_and_its_output() -> None:
    (first, rest) = turns("Hm.\n```python\nprint(1)\n```\n```output\n1\n```\nIt is\n```python\nx\n```")
    assert first.calls == [Call(name="python", arguments='{"code": "print(1)"}')]
    assert (first.reasoning, first.action) == ("Hm.\n", "```python\nprint(1)\n```")
    assert first.replies == [marked("1", "\n```output\n", "\n```\n")]
    assert rest == Turn("It is\n```python\nx\n```")  # nothing ran it


def test_results_in_messages_of_their_own() -> None:
    call = '<tool_call>\n{"name": "f", "arguments": {}}\n</tool_call>'
    back = "<tool_response>\n1\n</tool_response>\n<tool_response>\n2\n</tool_response>"
    (first, last) = turns(f"a{call}\n{call}", Part("user", back), "b")
    assert [call.name for call in first.calls] == ["f", "f"]
    assert first.replies == [Reply(Message(role="tool", content=n), [Result(n)]) for n in "12"]
    assert last == Turn("b")
    (said, _) = turns(f"a{call}", Part("user", f"{back} and more"), "b")
    assert [reply.message.role for reply in said.replies] == ["tool", "tool", "user"]
    (told, _) = turns(f"a{call}", Part("tool", "3"), "b")
    assert told.replies == [Reply(Message(role="tool", content="3"), [Result("3")])]
    (asked, _) = turns("a", Part("user", "And 2?"), "b")
    assert asked.replies == [Reply(Message(role="user", content="And 2?"))]


def test_other_notations() -> None:
    (function, _) = turns("a<function=f><parameter=x>1</parameter></function>", Part("user", "ok"), "b")
    assert function.calls == [Call(name="f", arguments='{"x": "1"}')]
    (mistral, _) = turns('a[TOOL_CALLS] [{"name": "f", "arguments": {"x": 1}}]', Part("tool", "1"), "b")
    assert (mistral.reasoning, mistral.calls) == ("a", [Call(name="f", arguments='{"x": 1}')])
    (llama, _) = turns('<|python_tag|>{"name": "f", "parameters": {"x": 1}}', Part("ipython", "1"), "b")
    assert llama.action == '<|python_tag|>{"name": "f", "parameters": {"x": 1}}'
    assert llama.calls == [Call(name="f", arguments='{"x": 1}')]
    (unknown, _) = turns("to=functions.f {x", Part("tool", "1"), "b")
    assert unknown.calls == []  # no failure of the model's: we cannot read it


def test_tags_that_answer_no_call_are_the_models_own_words() -> None:
    text = "They write <interpreter>1</interpreter> and <code>x</code> and\n```python\ny\n```\nthere."
    assert turns(text) == [Turn(text)]


def test_a_real_result_behind_a_mention_of_its_tag() -> None:
    (first, last) = turns("I will see <interpreter> soon. <code>'<output>'</code><interpreter>1</interpreter>ok")
    assert first.calls == [python("'<output>'")]
    assert first.reasoning == "I will see <interpreter> soon. "
    assert first.replies == [marked("1", "<interpreter>", "</interpreter>")]
    assert last == Turn("ok")


REFUSED = "\nMy previous action is invalid. "


@pytest.mark.parametrize(
    "piece",
    ["\n", "<output>", "<code>", "<tool_response>\n", "```output\n", "</code>", "user\n", REFUSED, "<function=", "```"],
)
def test_a_model_gone_wrong_takes_no_longer(piece: str) -> None:
    (turn,) = turns(piece * 2000)
    assert (turn.reasoning or "") + (turn.action or "") == piece * 2000
    assert survives(turns, piece)


@pytest.mark.parametrize("piece", [REFUSED, "<output>", "\n", "</output>", "```output\n"])
def test_a_users_message_gone_wrong_takes_no_longer(piece: str) -> None:
    assert survives(lambda text: turns("<code>1</code>", Part("user", text)), piece)


def test_a_model_told_that_it_made_no_call() -> None:
    refusal = "\nMy previous action is invalid. If I want to search, use <search> and </search>. Let me try again.\n"
    (first, _) = steps = build_steps(turns(f"I know.{refusal}<answer>A</answer>"), CONTEXT)
    assert first.reasoning.text == "I know."
    assert first.calls == [Call(status="malformed", error_type="no_action", status_source="text:invalid_action")]
    assert first.observation.messages[0].content == refusal.strip("\n")
    assert not steps[1].calls


def test_a_result_that_is_cut_off() -> None:
    (only,) = turns("<code>1</code><interpreter>\n1 2")
    assert only.replies == [marked("1 2", "<interpreter>\n", "")]


def test_the_prompt() -> None:
    prompt = [Part("system", "Be."), Part("user", "hi"), Part("assistant", "\n")]
    assert read_texts(prompt, [])[0] == [Message(role="system", content="Be."), Message(role="user", content="hi")]
    begun = [Part("user", "hi"), Part("assistant", "<think>\n")]
    messages, got = read_texts(begun, [Part("assistant", "hm</think>yes")])
    assert messages[-1] == Message(role="assistant", content="<think>\n")
    assert got == [Turn("hm</think>yes", thinking_chars=10)]
    assert read_texts(prompt, [])[1] == [Turn("")]
    assert read_texts([], [Part("user", "late"), Part("assistant", "a")]) == (
        [Message(role="user", content="late")],
        [Turn("a")],
    )


PIECES = [
    "<code>",
    "</code>",
    "x",
    "\n",
    "<interpreter>",
    "</interpreter>",
    "```output\n",
    "```",
    "```python\n",
    "<think>",
]


@settings(deadline=None)
@given(st.lists(st.sampled_from([*PIECES, "<tool_call>", "</think>"]), max_size=12).map("".join))
def test_no_character_of_a_text_is_lost(text: str) -> None:
    back = ""
    for turn in turns(text):
        back += (turn.reasoning or "") + (turn.action or "")
        for reply in turn.replies:
            open_mark, close_mark = json.loads(reply.message.extra or "")["marks"]
            back += open_mark + (reply.message.content or "") + close_mark
    assert back == text
