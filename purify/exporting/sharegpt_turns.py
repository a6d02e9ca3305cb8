"""A trajectory as a ShareGPT conversation that LLaMA-Factory accepts: two sides that take turns, the model's last.

from: function_call   value: <think>
                             I multiply.
                             </think>

                             {"name": "python", "arguments": {"code": "6*7"}}
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from purify.chat.call_text import read_call_turn, read_generated
from purify.exporting.calls import raw_calls, written_calls
from purify_schemas import Message, Step, Trajectory

OWN_LOSSES = {
    "think_tags": "where thinking ended, and the space around it: here it is what stands in <think> tags",
    "text_beside_calls": "text beside calls, which is written as thinking: a function_call has no other place",
    "joined": "where one message ended: several in a row are one",
    "message_fields": "names and call ids of messages, and roles other than system, user and tool",
    "last_result": "what came back after the last turn: the model's turn is last",
}
"""What ShareGPT cannot hold beyond what chat messages cannot."""

_TAG = re.compile(r"</?think>")
_RESULTS = "\n</tool_response>\n<tool_response>\n"
"""Between results of parallel calls: LLaMA-Factory's own `OpenAIDatasetConverter` joins them so."""


class UnfitError(Exception):
    """Why a trajectory is no such conversation."""


def conversation(trajectory: Trajectory) -> tuple[str, list[dict[str, str]], set[str]]:
    """The system prompt, the conversation, and what was lost (keys of `OWN_LOSSES`).

    Raises `UnfitError` if LLaMA-Factory would pass over it.
    """
    lost: set[str] = set()
    messages = list(trajectory.messages)
    leading = [message for message in messages if message.role == "system"]
    if leading != messages[: len(leading)] or any(message.role == "assistant" for message in messages):
        raise UnfitError("a system prompt after other messages, or turns of a model in the prompt")
    if len(leading) > 1:
        lost.add("joined")
    if any(message.name is not None for message in leading):
        lost.add("message_fields")
    items: list[dict[str, str]] = []
    before = messages[len(leading) :]
    for step in trajectory.steps:
        items += [_said(before, lost), _turn(step, lost)]
        before = step.observation.messages
    if not items:
        raise UnfitError("no turn of the model")
    if before:
        lost.add("last_result")
    return "\n\n".join(message.content or "" for message in leading), items, lost


def _said(messages: Sequence[Message], lost: set[str]) -> dict[str, str]:
    """What came before a turn, as one message."""
    roles = {"observation" if message.role == "tool" else "human" for message in messages}
    if not roles:
        raise UnfitError("two turns of the model in a row, or no question before the first")
    if len(roles) > 1:
        raise UnfitError("a tool's result and a user's words between two turns")
    if len(messages) > 1:
        lost.add("joined")
    if any(message.role not in ("user", "tool") or message.name or message.call_id for message in messages):
        lost.add("message_fields")
    tag = roles.pop()
    return {
        "from": tag,
        "value": (_RESULTS if tag == "observation" else "\n\n").join(message.content or "" for message in messages),
    }


def _turn(step: Step, lost: set[str]) -> dict[str, str]:
    text, calls = step.reasoning.text or "", written_calls(step)
    thinking, content = text[: step.thinking_chars], text[step.thinking_chars :]
    if not calls:
        if thinking and not _TAG.search(thinking):
            thinking = _think(thinking)
        value = thinking + content
        back = read_generated(value)
        tag, value = "gpt", value if calls == [] else value + raw_calls(step)
    else:
        objects = ", ".join(calls)
        value = _think(text) + (objects if len(calls) == 1 else f"[{objects}]")
        back, _ = read_call_turn(value)
        if content.strip():
            lost.add("text_beside_calls")
        if step.reasoning.text == "":
            lost.add("null_texts")
        tag = "function_call"
    if (back.reasoning or "", back.thinking_chars) != (text, step.thinking_chars):
        lost.add("think_tags")
    return {"from": tag, "value": value}


def _think(text: str) -> str:
    """Text as the thinking block that LLaMA-Factory's reasoning templates look for; nothing if it is blank."""
    inner = _TAG.sub("", text).strip()
    return f"<think>\n{inner}\n</think>\n\n" if inner else ""
