"""A trajectory as chat messages, as OpenAI and chat templates have them: the ground of several formats.

    {"role": "assistant", "reasoning_content": "...", "content": "Let me see.",
     "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "python", "arguments": {"code": "1/0"}}}]}

Arguments are objects, as Hugging Face's templates expect them. A turn with a call that is no JSON object is text as it
was sampled, since a template could not write it. A message without text has an empty one: of a null, Qwen2.5's and
gpt-oss's templates raise, and Llama's write the word None. Members that a message does not have are left out, not null:
Llama 3.1's, DeepSeek-V3's and gpt-oss's templates ask `'tool_calls' in message`.

Which thinking a template shows is its own affair: Qwen3's drops that of turns before the last question. DeepSeek-V3's
alone wants arguments as text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from purify.exporting.base import Tally
from purify.exporting.calls import chat_calls, demonstrated_calls, raw_calls
from purify.json_text import dump_json
from purify_schemas import Message, Step, Trajectory

LOSSES: Mapping[str, str] = {
    "token_ids": "token ids and log-probs",
    "call_text": "the sampled text of the calls; a chat template writes them anew",
    "malformed_calls": "calls that no chat message can hold: they are part of the turn's text",
    "other_parts": "content that is not text (images and the like)",
    "null_texts": "whether a message without text had an empty one or none (null)",
    "spacing": "how tools, and calls in the prompt, were written: their spacing, and short forms",
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
    tally.lose(*losses_of(trajectory))


def losses_of(trajectory: Trajectory) -> set[str]:
    """What of this trajectory chat messages do not hold: keys of `LOSSES`."""
    steps, messages = trajectory.steps, list(_all_messages(trajectory))
    malformed = [chat_calls(step) is None for step in steps]
    lost = {
        "token_ids": trajectory.prompt_token_ids is not None or any(step.has_ids for step in steps),
        "call_text": any(step.action.text is not None for step in steps),
        "malformed_calls": any(malformed),
        "other_parts": any(message.parts is not None for message in messages),
        "null_texts": any(message.content is None for message in messages)
        or any(step.reasoning.text is None and not bad for step, bad in zip(steps, malformed, strict=True)),
        "spacing": _respaced(trajectory.tools, tool_definitions(trajectory))
        or any("function" not in tool for tool in tool_definitions(trajectory))
        or any(_respaced(message.tool_calls, demonstrated_calls(message)) for message in trajectory.messages),
        "extras": any(step.extra is not None for step in steps)
        or any(message.extra is not None for message in messages),
        "provenance": trajectory.provenance is not None,
        "scores": trajectory.scores is not None,
    }
    return {name for name, happened in lost.items() if happened}


def _respaced(text: str | None, written: list[Any]) -> bool:
    return text is not None and text != dump_json(written)


def _all_messages(trajectory: Trajectory) -> Iterator[Message]:
    yield from trajectory.messages
    for step in trajectory.steps:
        yield from step.observation.messages


def _turn(step: Step) -> dict[str, Any]:
    text = step.reasoning.text
    thinking = (text or "")[: step.thinking_chars]
    content = (text or "")[step.thinking_chars :]
    message: dict[str, Any] = {"role": "assistant"}
    if thinking:
        message["reasoning_content"] = thinking
    calls = chat_calls(step)
    if calls is None:
        content += raw_calls(step)
    message["content"] = content
    if calls:
        message["tool_calls"] = calls
    return message


def _message(message: Message) -> dict[str, Any]:
    written: dict[str, Any] = {"role": message.role, "content": message.content or ""}
    if message.name is not None:
        written["name"] = message.name
    if message.tool_calls is not None:
        written["tool_calls"] = demonstrated_calls(message)
    if message.call_id is not None:
        written["tool_call_id"] = message.call_id
    return written
