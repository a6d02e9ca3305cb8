"""A trajectory as chat messages, as OpenAI and chat templates have them: the ground of several formats.

    {"role": "assistant", "reasoning_content": "...", "content": "Let me see.",
     "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "python", "arguments": {"code": "1/0"}}}]}

Arguments are objects, as Hugging Face's templates expect them. A turn with a call that is no JSON object is text as it
was sampled, since a template could not write it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from purify.exporting.base import Tally
from purify.json_text import dump_json
from purify_schemas import Call, Message, Step, Trajectory

LOSSES: Mapping[str, str] = {
    "token_ids": "token ids and log-probs",
    "call_text": "the sampled text of the calls; a chat template writes them anew",
    "malformed_calls": "calls that no chat message can hold: they are part of the turn's text",
    "other_parts": "content that is not text (images and the like)",
    "spacing": "the spacing of tool definitions",
    "extras": "members of messages and turns that were not understood when they were imported",
    "provenance": "the record of edits (purify restore needs the dataset itself)",
    "scores": "log-probs of a scoring pass",
}
"""What chat messages cannot hold, by name."""


def prompt_messages(trajectory: Trajectory) -> list[dict[str, Any]]:
    return [_message(message) for message in trajectory.messages]


def step_messages(step: Step) -> Iterator[dict[str, Any]]:
    """The assistant's message, then what came back."""
    yield _turn(step)
    yield from (_message(message) for message in step.observation.messages)


def chat(trajectory: Trajectory) -> list[dict[str, Any]]:
    """All messages, in order."""
    turns = [message for step in trajectory.steps for message in step_messages(step)]
    return [*prompt_messages(trajectory), *turns]


def tool_definitions(trajectory: Trajectory) -> list[Any]:
    """The tools as objects; an empty list where there are none."""
    tools = json.loads(trajectory.tools or "[]")
    return tools if isinstance(tools, list) else [tools]


def count_losses(trajectory: Trajectory, tally: Tally) -> None:
    """Count for this trajectory what of it chat messages do not hold."""
    steps = trajectory.steps
    lost = {
        "token_ids": trajectory.prompt_token_ids is not None or any(step.has_ids for step in steps),
        "call_text": any(step.action.text is not None for step in steps),
        "malformed_calls": any(_calls(step) is None for step in steps),
        "other_parts": any(message.parts is not None for message in _all_messages(trajectory)),
        "spacing": trajectory.tools is not None and trajectory.tools != dump_json(json.loads(trajectory.tools)),
        "extras": any(step.extra is not None for step in steps)
        or any(message.extra is not None for message in _all_messages(trajectory)),
        "provenance": trajectory.provenance is not None,
        "scores": trajectory.scores is not None,
    }
    tally.lose(*(name for name, happened in lost.items() if happened))


def _all_messages(trajectory: Trajectory) -> Iterator[Message]:
    yield from trajectory.messages
    for step in trajectory.steps:
        yield from step.observation.messages


def _turn(step: Step) -> dict[str, Any]:
    text = step.reasoning.text
    thinking = (text or "")[: step.thinking_chars]
    content = text if text is None else text[step.thinking_chars :]
    message: dict[str, Any] = {"role": "assistant"}
    if thinking:
        message["reasoning_content"] = thinking
    calls = _calls(step)
    if calls is None:
        content = (content or "") + _raw(step)
    message["content"] = content
    if calls:
        message["tool_calls"] = calls
    return message


def _message(message: Message) -> dict[str, Any]:
    written: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.name is not None:
        written["name"] = message.name
    if message.tool_calls is not None:
        written["tool_calls"] = json.loads(message.tool_calls)
    if message.call_id is not None:
        written["tool_call_id"] = message.call_id
    return written


def _calls(step: Step) -> list[dict[str, Any]] | None:
    """The step's calls as a chat message has them; None if one of them cannot be written so."""
    written = [_call(call) for call in step.calls]
    return None if None in written else [call for call in written if call is not None]


def _call(call: Call) -> dict[str, Any] | None:
    arguments = _object(call.arguments)
    if call.name is None or arguments is None:
        return None
    identity = {} if call.id is None else {"id": call.id}
    return {**identity, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def _object(text: str | None) -> dict[str, Any] | None:
    """Arguments as an object; a tool without parameters is often called with nothing."""
    if text is None or not text.strip():
        return {}
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _raw(step: Step) -> str:
    """The text of a turn's calls as sampled, or what is known of it."""
    if step.action.text is not None:
        return step.action.text
    return "\n".join(call.arguments or "" for call in step.calls)
