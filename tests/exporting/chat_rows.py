"""Rows as chat formats' importers leave them, what is left of them in a chat, and TRL's trainers on a tiny model."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest

from purify.cleaning import clean
from purify.json_text import dump_json
from purify.saar import SaarConfig
from purify_schemas import Call, Message, Observation, Segment, Step, Trajectory
from tests.exporting.round_trip import plain, rows
from tests.support import call, step, trajectory, write_dataset

TOY = Path(__file__).parents[2] / "purify/demo/toy/model"
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": f"Runs {name}.",
            "parameters": {"type": "object", "properties": {argument: {"type": "string"}}},
        },
    }
    for name, argument in (("python", "code"), ("search", "query"))
]
DUMPS = (
    "adp",
    "inspect",
    "mathcoder",
    "mini-swe-agent",
    "mint",
    "nemo-gym",
    "sharegpt",
    "swe-agent",
    "tau-bench",
    "tora",
)


def thinking_row(**more: Any) -> Trajectory:
    """Thinking, text and two calls in one turn; a failure and its correction; null and empty texts."""
    search = Call(id="c2", name="search", arguments='{"query":"π"}', status="ok")
    first = step(call("1/0", "error", error_type="ZeroDivisionError").model_copy(update={"id": "c1"}), search)
    results = [
        Message(role="tool", name="python", content="ZeroDivisionError: division by zero", call_id="c1"),
        Message(role="tool", name="search", content=None, call_id="c2"),
    ]
    turns = [
        first.model_copy(
            update={
                "reasoning": Segment(text="I divide.Let me see."),
                "thinking_chars": 9,
                "observation": Observation(messages=results),
            }
        ),
        step(call("1/1").model_copy(update={"id": "c3"}), think="", result="1.0"),
        step(think="It is 1."),
    ]
    return trajectory(*turns).model_copy(update={"tools": dump_json(TOOLS), "answer": "1", **more})


def is_object(arguments: str | None) -> bool:
    try:
        return isinstance(json.loads(arguments or "{}"), dict)
    except ValueError:
        return not (arguments or "").strip()


def in_chat(row: Trajectory) -> Trajectory:
    """The row without what chat messages do not hold: exactly the losses that `purify.exporting.chat` lists."""
    return plain(row).model_copy(
        update={
            "prompt_token_ids": None,
            "tools": None if row.tools is None else dump_json([_wrapped(tool) for tool in json.loads(row.tools)]),
            "messages": [_message(message) for message in row.messages],
            "steps": [_step(each) for each in row.steps],
        }
    )


def _wrapped(tool: dict[str, Any]) -> dict[str, Any]:
    return tool if "function" in tool else {"type": "function", "function": tool}


def _message(message: Message) -> Message:
    return message.model_copy(update={"content": message.content or "", "parts": None, "extra": None})


def _step(turn: Step) -> Step:
    text = turn.reasoning.text or ""
    if not all(one.name is not None and is_object(one.arguments) for one in turn.calls):
        arguments = "\n".join(one.arguments or "" for one in turn.calls)
        text += arguments if turn.action.text is None else turn.action.text
    messages = [_message(message) for message in turn.observation.messages]
    return Step(
        reasoning=Segment(text=text),
        thinking_chars=turn.thinking_chars,
        calls=turn.calls,
        observation=Observation(messages=messages),
    )


@st.composite
def chat_rows(draw: st.DrawFn) -> Trajectory:
    """Rows with a turn; tool results, and they alone, name the call they answer, in all of a row or nowhere in it."""
    row = draw(rows().filter(lambda row: bool(row.steps)))
    named = draw(st.booleans())
    steps = []
    for turn in row.steps:
        calls = [one.model_copy(update={"id": f"c{at}" if named else None}) for at, one in enumerate(turn.calls)]
        left = iter(one.id for one in calls)
        messages = [_answering(message, left) for message in turn.observation.messages]
        observation = turn.observation.model_copy(update={"messages": messages})
        steps.append(turn.model_copy(update={"calls": calls, "observation": observation}))
    return Trajectory.model_validate(row.model_copy(update={"steps": steps}).model_dump())


def _answering(message: Message, left: Iterator[str | None]) -> Message:
    if message.role != "tool":
        return message.model_copy(update={"call_id": None})
    try:
        return message.model_copy(update={"call_id": next(left)})
    except StopIteration:
        return message.model_copy(update={"role": "user", "call_id": None})


@pytest.fixture
def toy() -> tuple[Any, Any]:
    """The demo's model and its tokenizer."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    return AutoModelForCausalLM.from_pretrained(TOY), AutoTokenizer.from_pretrained(TOY)


def failing_row(id: str = "t0", *, first: str = "I think.", **more: Any) -> Trajectory:
    """A good call, a failed one, its correction (purified by deep or shallow replacement), and the answer."""
    turns = (
        step(call("a = 6"), think="Set up.", result="6"),
        step(call("print(a * 7", "error", error_type="SyntaxError"), think=first, result="SyntaxError: '(' unclosed"),
        step(call("print(a * 7)"), think="Close it.", result="42"),
        step(think="It is 42."),
    )
    return trajectory(*turns, id=id).model_copy(update={"tools": dump_json(TOOLS), "reference": "42", **more})


def cleaned(folder: Path, rows: Sequence[Trajectory], shards: int = 1) -> Path:
    """A purified dataset of these rows: all of them drawn."""
    write_dataset(folder / "raw", rows, shards)
    clean(folder / "raw", folder / "purified", SaarConfig(fraction=1.0))
    return folder / "purified"


def rendered(records: Sequence[str]) -> list[dict[str, Any]]:
    """JSON leaves of a record as objects."""
    return [json.loads(record) for record in records]
