"""Chat messages as RL harnesses keep them: OpenAI's fields, and often the generated text beside or instead of them.

    {"role": "assistant", "content": "I see. <tool_call>{\"name\": \"python\", ...}</tool_call>", "tool_calls": null}

A call in the fields is the call; where the content holds the same calls as text, the text is cut there too. Without
fields, a `<tool_call>` outside the thinking is the call. One tool message may answer several calls, as in ShareGPT.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from purify.chat.call_text import read_generated
from purify.importing.checks import as_object, json_text, string
from purify.importing.formats import openai_turns
from purify.importing.formats.sharegpt_turns import split_results
from purify.importing.turns import Reply, Turn
from purify_schemas import Message

MODEL_ROLES = ("assistant", "agent")


def read_chat(items: Sequence[object], path: str) -> tuple[list[Message], list[Turn]]:
    """The messages before the first assistant message, and a turn for each of those."""
    prompt: list[Message] = []
    turns: list[Turn] = []
    for index, item in enumerate(items):
        where = f"{path}[{index}]"
        message = as_object(item, where)
        if string(message, "role", where) in MODEL_ROLES:
            turns.append(read_turn(message, where))
        elif turns:
            turns[-1].replies.append(read_reply(message, where, len(turns[-1].calls)))
        else:
            prompt.append(read_message(message, where))
    return prompt, turns


def read_messages(items: Sequence[object], path: str) -> list[Message]:
    """A prompt. Assistant messages in it were not sampled: they are demonstrations."""
    messages: list[Message] = []
    for index, item in enumerate(items):
        message = as_object(item, f"{path}[{index}]")
        string(message, "role", f"{path}[{index}]")
        messages.append(read_message(message, f"{path}[{index}]"))
    return messages


def read_turn(message: Mapping[str, Any], path: str) -> Turn:
    """A message of the model."""
    turn = openai_turns.read_turn(_without_nulls(message), path)
    if turn.reasoning is not None:
        _cut_text(turn)
    if message.get("role") not in ("assistant", None):
        turn.extra = with_extra(turn.extra, {"role": message["role"]}, path)
    return turn


def read_reply(message: Mapping[str, Any], path: str, calls: int) -> Reply:
    """Any other message after a turn that made so many calls."""
    reply = openai_turns.read_reply(_without_nulls(message), path)
    text = reply.message.content
    if text is None or reply.message.call_id is not None:
        return reply
    if reply.message.role == "user" and text.lstrip().startswith("<tool_response>"):
        # Qwen's template gives tool results the user's role.
        return Reply(reply.message.model_copy(update={"role": "tool"}), split_results(text, calls))
    if reply.results and reply.results[0].flag is None and reply.results[0].name is None:
        return Reply(reply.message, split_results(text, calls))
    return reply


def read_message(message: Mapping[str, Any], path: str) -> Message:
    """A message of the prompt."""
    return openai_turns.read_message(_without_nulls(message), path)


def with_extra(extra: str | None, more: Mapping[str, Any], path: str) -> str | None:
    """An `extra` with further members."""
    told = telling(more)
    return json_text({**json.loads(extra or "{}"), **told}, path) if told else extra


def telling(members: Mapping[str, Any]) -> dict[str, Any]:
    """Without what says nothing: null, and the empty containers that writers spell out."""
    return {key: value for key, value in members.items() if value is not None and value != [] and value != {}}


def _cut_text(turn: Turn) -> None:
    """Split what was generated at its first call; text and fields that disagree about the calls stay as they are."""
    before = turn.thinking_chars
    text = turn.reasoning or ""
    generated = read_generated(text[before:])
    if generated.calls:
        if turn.calls and [call.name for call in turn.calls] != [call.name for call in generated.calls]:
            return
        turn.calls = turn.calls or generated.calls
        turn.action = generated.action
        turn.reasoning = text[:before] + (generated.reasoning or "")
    turn.thinking_chars = before + generated.thinking_chars


def _without_nulls(message: Mapping[str, Any]) -> dict[str, Any]:
    """Writers that need one shape for all messages pad with nulls. A null content says that there was no text."""
    return {key: value for key, value in message.items() if value is not None or key in ("role", "content")}
