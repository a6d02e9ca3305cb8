from __future__ import annotations

import json

import pytest

from purify.chat.formats import FORMATS, parse_turn, read_fenced
from purify.chat.turn import GeneratedTurn
from purify_schemas import Call


def python(code: str) -> Call:
    return Call(name="python", arguments=json.dumps({"code": code}))


@pytest.mark.parametrize(
    ("text", "turn"),
    [
        ("Just text.", GeneratedTurn("Just text.")),
        (
            "Let me see.\n```python\nprint(1)\n```",
            GeneratedTurn("Let me see.\n", 0, "```python\nprint(1)\n```", [python("print(1)")]),
        ),
        # A block may be empty, and text after it belongs to the action.
        ("```py\n```\nDone.", GeneratedTurn("", 0, "```py\n```\nDone.", [python("")])),
        # Several blocks are one program.
        (
            "A\n```python\nx = 1\n```\nB\n```python\nprint(x)\n```",
            GeneratedTurn("A\n", 0, "```python\nx = 1\n```\nB\n```python\nprint(x)\n```", [python("x = 1\nprint(x)")]),
        ),
        # Other languages and quoted fences are no calls.
        ("```bash\nls\n```", GeneratedTurn("```bash\nls\n```")),
        ("Write `x` ```python inline```.", GeneratedTurn("Write `x` ```python inline```.")),
        # What is thought is not run; thinking that never ends has no call.
        (
            "<think>\n```python\nno\n```\n</think>\n```python\nyes\n```",
            GeneratedTurn("<think>\n```python\nno\n```\n</think>\n", 33, "```python\nyes\n```", [python("yes")]),
        ),
        ("<think>\n```python\nno\n```", GeneratedTurn("<think>\n```python\nno\n```", 24)),
        # The stop string belongs to the turn, and is no code.
        (
            "```python\nprint(1)\n```\n```output",
            GeneratedTurn("", 0, "```python\nprint(1)\n```\n```output", [python("print(1)")]),
        ),
    ],
)
def test_fenced_python(text: str, turn: GeneratedTurn) -> None:
    assert read_fenced(text) == turn


def test_a_block_that_is_never_closed_is_malformed() -> None:
    turn = read_fenced("Hm\n```python\nprint(1)")
    assert turn.reasoning == "Hm\n"
    assert turn.calls == [Call(name="python", arguments="print(1)", status="malformed", error_type="unclosed_block")]


def test_formats_split_a_text_without_losing_any_of_it() -> None:
    for name, text in [("hermes", 'So <tool_call>\n{"name": "f"}\n</tool_call> end'), ("python", "So\n```py\n1\n```")]:
        turn = FORMATS[name].parse(text)  # type: ignore[index]
        assert (turn.reasoning or "") + (turn.action or "") == text
        assert len(turn.calls) == 1


def test_a_turn_that_begins_inside_an_open_think() -> None:
    """The prompt has opened it, so what comes before its end is thought: a call there is none, nor is an answer."""
    hermes, python = FORMATS["hermes"], FORMATS["python"]
    text = 'Maybe <tool_call>{"name": "rm"}</tool_call> but no.\n</think>\n\nThe answer is 42.'
    turn = parse_turn(hermes, text, thinking=True)
    assert (turn.calls, turn.reasoning, text[turn.thinking_chars :]) == ([], text, "\n\nThe answer is 42.")
    cut_off = "So \\boxed{42} may be"
    assert parse_turn(hermes, cut_off, thinking=True) == GeneratedTurn(cut_off, len(cut_off))
    assert parse_turn(python, "Hm\n```python\n1\n```\n", thinking=True).calls == []
    assert parse_turn(hermes, cut_off) == GeneratedTurn(cut_off, 0)
    # A model that opens it all the same is understood too.
    assert parse_turn(hermes, "<think>a</think>b", thinking=True) == GeneratedTurn("<think>a</think>b", 16)


def test_the_instruction_says_whether_names_stay() -> None:
    explain = FORMATS["python"].instruction
    assert explain is not None
    assert "Every block runs on its own" in explain(False) and "Names stay" in explain(True)
    assert FORMATS["hermes"].instruction is None
