"""A trajectory as chat messages, as OpenAI and chat templates have them: the ground of several formats.

    {"role": "assistant", "reasoning_content": "...", "content": "Let me see.",
     "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "python", "arguments": {"code": "1/0"}}}]}

Arguments are objects, as Hugging Face's templates expect them. A turn with a call that is no JSON object is text as it
was sampled, since a template could not write it; then no result names a call. Templates write the tags of thinking, and
the newline before a call, so both are taken off. A message without text has an empty one: of a null, Qwen2.5's and
gpt-oss's templates raise, and Llama's write the word None. Members that a message does not have are left out, not null:
Llama 3.1's, DeepSeek-V3's and gpt-oss's templates ask `'tool_calls' in message`.

Which thinking a template shows is its own affair: Qwen3's drops that of turns before the last question. DeepSeek-V3's
alone wants arguments as text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from purify.exporting.base import Tally
from purify.exporting.calls import chat_calls, demonstrated_calls, has_half_pair, json_list, raw_calls
from purify.json_text import dump_json
from purify_schemas import Message, Step, Trajectory

LOSSES: Mapping[str, str] = {
    "token_ids": "token ids and log-probs",
    "call_text": "the sampled text of the calls; a chat template writes them anew",
    "think_tags": "how thinking was marked, and the blank space around it and before calls",
    "malformed_calls": "calls that no chat message can hold: they are part of its text, and no result names them",
    "other_parts": "content that is not text (images and the like)",
    "null_texts": "whether a message without text had an empty one or none (null)",
    "spacing": "how tools, and calls in messages of others, were written: their spacing, and short forms",
    "tools": "tool definitions that are no JSON objects",
    "not_sampled": "turns that the model did not sample: a trainer cannot tell them from its own",
    "surrogates": "halves of surrogate pairs in arguments and tools: U+FFFD stands there",
    "extras": "members of messages and turns that were not understood when they were imported",
    "provenance": "the record of edits (purify restore needs the dataset itself)",
    "scores": "log-probs of a scoring pass",
}
"""What chat messages cannot hold, by name."""

_OPEN = re.compile(r"\s*<think>")
_CLOSE = re.compile(r"</think>\s*\Z")


def prompt_messages(trajectory: Trajectory) -> list[dict[str, Any]]:
    return _messages(trajectory.messages, named=True)


def step_messages(step: Step) -> Iterator[dict[str, Any]]:
    """The assistant's message, then what came back."""
    yield _turn(step)
    yield from _messages(step.observation.messages, named=chat_calls(step) is not None)


def chat(trajectory: Trajectory) -> list[dict[str, Any]]:
    """All messages, in order."""
    turns = [message for step in trajectory.steps for message in step_messages(step)]
    return [*prompt_messages(trajectory), *turns]


def tool_definitions(trajectory: Trajectory) -> list[dict[str, Any]]:
    """The tools that are objects; an empty list where there are none."""
    return [tool for tool in json_list(trajectory.tools) or [] if isinstance(tool, dict)]


def count_losses(trajectory: Trajectory, tally: Tally) -> None:
    """Count for this trajectory what of it chat messages do not hold."""
    tally.lose(*losses_of(trajectory))


def losses_of(trajectory: Trajectory, trained: int | None = None) -> set[str]:
    """What of this trajectory chat messages do not hold: keys of `LOSSES`.

    `trained` is the first step of what a trainer counts; None if it counts the prompt, too.
    """
    steps, messages = trajectory.steps, list(messages_of_others(trajectory))
    malformed = [chat_calls(step) is None for step in steps]
    observed = [message for step in steps[trained or 0 :] for message in step.observation.messages]
    others = observed if trained is not None else [*trajectory.messages, *observed]
    tools = tool_definitions(trajectory)
    lost = {
        "token_ids": trajectory.prompt_token_ids is not None or any(step.has_ids for step in steps),
        "call_text": any(step.action.text is not None for step in steps),
        "think_tags": any(split_text(step) != _as_sampled(step) for step in steps),
        "malformed_calls": any(malformed) or any(demonstrated_calls(message) is None for message in messages),
        "other_parts": any(message.parts is not None for message in messages),
        "null_texts": any(message.content is None for message in messages)
        or any(step.reasoning.text is None and not bad for step, bad in zip(steps, malformed, strict=True)),
        "spacing": _respaced(trajectory.tools, tools)
        or any("function" not in tool for tool in tools)
        or any(_respaced(message.tool_calls, demonstrated_calls(message)) for message in messages),
        "tools": json_list(trajectory.tools) != tools,
        "surrogates": any(map(has_half_pair, _json_texts(trajectory))),
        "not_sampled": any(message.role == "assistant" for message in others),
        "extras": any(step.extra is not None for step in steps)
        or any(message.extra is not None for message in messages),
        "provenance": trajectory.provenance is not None and bool(trajectory.provenance.edits),
        "scores": trajectory.scores is not None,
    }
    return {name for name, happened in lost.items() if happened}


def split_text(step: Step) -> tuple[str, str]:
    """Thinking and content, without what a template writes: the tags of thinking, and the newline before a call."""
    thinking, content = _as_sampled(step)
    bare = _CLOSE.sub("", _OPEN.sub("", thinking, count=1))
    if bare != thinking:
        thinking, content = bare.strip(), content.lstrip("\n")
    # A call without text of its own is a dataset's: what stands before it is not what a model wrote before its tag.
    if step.action.text is not None and chat_calls(step):
        content = content.removesuffix("\n")
    return thinking, content


def _as_sampled(step: Step) -> tuple[str, str]:
    text = step.reasoning.text or ""
    return text[: step.thinking_chars], text[step.thinking_chars :]


def _respaced(text: str | None, written: list[dict[str, Any]] | None) -> bool:
    return text is not None and written is not None and text != dump_json(written)


def _json_texts(trajectory: Trajectory) -> Iterator[str | None]:
    """What stands as objects in a chat, though it is text in the row."""
    yield trajectory.tools
    yield from (call.arguments for step in trajectory.steps for call in step.calls)
    yield from (message.tool_calls for message in messages_of_others(trajectory))


def messages_of_others(trajectory: Trajectory) -> Iterator[Message]:
    """All that the model did not write, in order."""
    yield from trajectory.messages
    for step in trajectory.steps:
        yield from step.observation.messages


def _turn(step: Step) -> dict[str, Any]:
    thinking, content = split_text(step)
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


def _messages(messages: Sequence[Message], *, named: bool) -> list[dict[str, Any]]:
    """Messages that the model did not write. No result names a call that became text."""
    named = named and all(demonstrated_calls(message) is not None for message in messages)
    return [_message(message, named=named) for message in messages]


def _message(message: Message, *, named: bool) -> dict[str, Any]:
    written: dict[str, Any] = {"role": message.role, "content": message.content or ""}
    if message.name is not None:
        written["name"] = message.name
    calls = demonstrated_calls(message)
    if calls is None:
        written["content"] += message.tool_calls or ""
    if calls:
        written["tool_calls"] = calls
    if message.call_id is not None and named:
        written["tool_call_id"] = message.call_id
    return written
