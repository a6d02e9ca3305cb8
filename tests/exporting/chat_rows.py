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
            "messages": _messages(row.messages, named=True),
            "steps": [chat_step(each) for each in row.steps],
        }
    )


def _wrapped(tool: dict[str, Any]) -> dict[str, Any]:
    return tool if "function" in tool else {"type": "function", "function": tool}


PROMPT_CALLS: dict[str, str | None] = {
    '[{"id":"d","function":{"name":"f","arguments":"{\\"x\\": 1}"}}]': (
        '[{"type":"function","id":"d","function":{"name":"f","arguments":{"x":1}}}]'
    ),
    '[{"name": "f"}]': '[{"type":"function","function":{"name":"f","arguments":{}}}]',
    '[{"id":"d"}, 3]': None,
    '[{"id":"d","function":{"name":"f","arguments":"{oops"}}]': None,
}
"""Calls of others, as they may stand in a row, and as a chat has them; None where it cannot."""


def _messages(messages: Sequence[Message], *, named: bool) -> list[Message]:
    texts = [message.tool_calls for message in messages if message.tool_calls is not None]
    named = named and not any(PROMPT_CALLS[text] is None for text in texts)
    return [_message(message, named=named) for message in messages]


def _message(message: Message, *, named: bool) -> Message:
    calls = None if message.tool_calls is None else PROMPT_CALLS[message.tool_calls]
    lost = message.tool_calls if message.tool_calls is not None and calls is None else ""
    return Message(
        role=message.role,
        name=message.name,
        content=(message.content or "") + lost,
        tool_calls=calls,
        call_id=message.call_id if named else None,
    )


def chat_step(turn: Step) -> Step:
    """What chat messages hold of a step."""
    good = all(one.name is not None and is_object(one.arguments) for one in turn.calls)
    text = turn.reasoning.text or ""
    thinking, content = text[: turn.thinking_chars], text[turn.thinking_chars :]
    bare = thinking
    if bare.lstrip().startswith("<think>"):
        bare = bare.lstrip()[len("<think>") :]
    if bare.rstrip().endswith("</think>"):
        bare = bare.rstrip()[: -len("</think>")]
    if bare != thinking:
        thinking, content = bare.strip(), content.lstrip("\n")
    if turn.calls and good and turn.action.text is not None:
        content = content.removesuffix("\n")
    if not good:
        content += "\n".join(map(_raw, turn.calls)) if turn.action.text is None else turn.action.text
    return Step(
        reasoning=Segment(text=thinking + content),
        thinking_chars=len(thinking),
        calls=turn.calls,
        observation=Observation(messages=_messages(turn.observation.messages, named=good)),
    )


def _raw(one: Call) -> str:
    if one.name is None:
        return one.arguments or ""
    if not is_object(one.arguments):
        return json.dumps({"name": one.name, "arguments": one.arguments}, ensure_ascii=False)
    arguments = (one.arguments or "").strip() or "{}"
    return f'{{"name": {json.dumps(one.name, ensure_ascii=False)}, "arguments": {arguments}}}'


@st.composite
def chat_rows(draw: st.DrawFn) -> Trajectory:
    """Rows with a turn: thinking with tags and without, demonstrations, others' turns between those of the model.

    A result names the call that it answers, or does not, even where the calls have ids.
    """
    row = draw(rows().filter(lambda row: bool(row.steps)))
    named = draw(st.booleans())
    steps = []
    for turn in row.steps:
        calls = [one.model_copy(update={"id": f"c{at}" if named else None}) for at, one in enumerate(turn.calls)]
        left = iter(one.id for one in calls)
        messages = [_answering(message, left) for message in turn.observation.messages]
        if draw(st.booleans()):
            messages = [message.model_copy(update={"call_id": None}) for message in messages]
        if draw(st.booleans()):
            messages.append(draw(_others()))
        update: dict[str, Any] = {"calls": calls, "observation": Observation(messages=messages)}
        if draw(st.booleans()):
            think = draw(st.sampled_from(["<think>\nHm.\n</think>", "Hm.</think>", " <think>", "<think></think>"]))
            content = draw(st.sampled_from(["", "\n", "\n\nSo:\n", "So\n\n"]))
            reasoning = turn.reasoning.model_copy(update={"text": think + content})
            update |= {"reasoning": reasoning, "thinking_chars": len(think)}
        steps.append(turn.model_copy(update=update))
    prompt = [*row.messages, *draw(st.lists(_others(), max_size=2))]
    return Trajectory.model_validate(row.model_copy(update={"steps": steps, "messages": prompt}).model_dump())


def _others() -> st.SearchStrategy[Message]:
    """Turns of an assistant that is not the policy."""
    calls = st.sampled_from([None, *PROMPT_CALLS])
    return st.builds(
        Message, role=st.just("assistant"), content=st.sampled_from([None, "Like this."]), tool_calls=calls
    )


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
