"""The turns of a SWE-agent run, out of its `trajectory` and its `history`.

trajectory: {"action": "ls", "observation": "setup.py", "response": "I look.\n```\nls\n```", "thought": "I look.\n"}
history:    {"role": "assistant", "content": "I look...", "action": "ls"}, {"role": "user", "content": "setup.py..."}
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from purify.importing.checks import as_list, as_object, json_text, leftover, number, optional_string, string
from purify.importing.formats.openai_turns import read_message, read_turn
from purify.importing.formats.text_action import command_call, no_action, split_at_action
from purify.importing.turns import Reply, Result, Turn
from purify_schemas import Message

_DOCUMENTED = re.compile(r"^(\w+):\n +docstring:", re.MULTILINE)
_ENDED = re.compile(r"Exit(?:ing)? due to ")
_STEP = ("action", "observation", "response", "thought", "execution_time", "query", "reasoning_content")
_ENTRY = ("thought", "action", "message_type")


@dataclass(slots=True)
class _Said:
    """An assistant message of the history, with what followed it."""

    message: dict[str, Any]
    path: str
    replies: list[Message] = field(default_factory=list)


def read_turns(history: Sequence[Any], trajectory: Sequence[Any]) -> tuple[list[Message], list[Turn], dict[str, Any]]:
    """Prompt and turns, and what of both lists belongs to neither."""
    prompt, said = _read_history(history)
    commands = {name for message in prompt for name in _DOCUMENTED.findall(message.content or "")} | {"submit"}
    steps = [as_object(step, f"trajectory[{index}]") for index, step in enumerate(trajectory)]
    if not steps:
        return prompt, [_turn(one.message, one, one.path, commands) for one in said], {}
    unread: dict[str, Any] = {}
    if _is_harness_end(steps[-1]):
        unread["exit_step"] = leftover(steps.pop(), ("query",))
    turns: list[Turn] = []
    places = _places(steps, [one.message for one in said])
    for index, (step, following) in enumerate(zip(steps, [*steps[1:], {}], strict=False)):
        path = f"trajectory[{index}]"
        matched = said[places[index]] if index in places else _complained(step, following, path)
        turns.append(_turn(step, matched, path, commands, _other_messages(step.get("query"), history, path)))
    unread["history"] = [one.message for place, one in enumerate(said) if place not in places.values()]
    return prompt, turns, {key: value for key, value in unread.items() if value}


def _places(steps: Sequence[Mapping[str, Any]], said: Sequence[Mapping[str, Any]]) -> dict[int, int]:
    """Which message each step is: the longest common subsequence of both lists.

    Of equal steps the last is taken: where a turn was asked for again, the history holds the one that was kept.
    """
    places: dict[int, int] = {}
    left, right = len(steps), len(said)
    while left and right and _same(said[right - 1], steps[left - 1]):
        left, right = left - 1, right - 1
        places[left] = right
    longest = [[0] * (right + 1) for _ in range(left + 1)]
    same = [[_same(one, step) for one in said[:right]] for step in steps[:left]]
    for i in range(left):
        for j in range(right):
            longest[i + 1][j + 1] = longest[i][j] + 1 if same[i][j] else max(longest[i][j + 1], longest[i + 1][j])
    while left and right:
        if same[left - 1][right - 1]:
            left, right = left - 1, right - 1
            places[left] = right
        elif longest[left][right - 1] >= longest[left - 1][right]:
            right -= 1
        else:
            left -= 1
    return places


def _read_history(history: Sequence[Any]) -> tuple[list[Message], list[_Said]]:
    """The prompt, demonstrations among it, and every turn with what followed."""
    prompt: list[Message] = []
    said: list[_Said] = []
    for index, value in enumerate(history):
        path = f"history[{index}]"
        entry = as_object(value, path)
        if string(entry, "role", path) == "assistant" and not entry.get("is_demo"):
            said.append(_Said(entry, path))
            continue
        ids = entry.get("tool_call_ids")
        if isinstance(ids, list) and len(ids) == 1:
            entry = {**leftover(entry, ("tool_call_ids",)), "tool_call_id": ids[0]}
        message = read_message(leftover(entry, _ENTRY), path)
        (said[-1].replies if said else prompt).append(message)
    return prompt, said


def _turn(
    step: Mapping[str, Any], said: _Said, path: str, commands: Collection[str], query: Mapping[str, Any] | None = None
) -> Turn:
    """One turn from its entry in the trajectory and its message. Without a trajectory the message is both."""
    action = optional_string(step, "action", path) or ""
    thought = optional_string(step, "thought", path)
    message = leftover(said.message, _ENTRY)
    if thinking := step.get("reasoning_content") or _thinking(message.get("thinking_blocks")):
        message["reasoning_content"] = thinking
    turn = read_turn(message, said.path)
    if turn.calls:
        pass
    elif action.strip():
        split_at_action(turn, action)
        name = action.split(maxsplit=1)[0]
        turn.calls = [command_call(name if name in commands else "bash", action.strip())]
    else:
        turn.calls = [no_action()]
    seconds = number(step.get("execution_time"))
    if seconds is not None and len(turn.calls) == 1:
        turn.calls = [turn.calls[0].model_copy(update={"duration_s": seconds})]
    observed = optional_string(step, "observation", path)
    turn.replies = _replies(observed, said.replies)
    extra = orjson.loads(turn.extra or "{}")
    if step is not said.message:
        extra |= {key: value for key, value in leftover(step, _STEP).items() if value not in (None, {}, [])}
    if thought and thought.strip() not in (turn.reasoning or ""):
        extra["thought"] = thought
    if observed and not any(observed in (reply.message.content or "") for reply in turn.replies):
        extra["observation"] = observed
    turn.extra = json_text(extra | ({"query": query} if query else {}), path)
    return turn


def _replies(observed: str | None, seen: Sequence[Message]) -> list[Reply]:
    """What the model was shown; where nothing is on record (after the last turn), what the environment gave."""
    if not seen:
        return [] if observed is None else [Reply(Message(role="tool", content=observed), [Result(observed)])]
    first = seen[0]
    if first.role != "tool":
        extra = {**orjson.loads(first.extra or "{}"), "role": first.role}
        first = first.model_copy(update={"role": "tool", "extra": json_text(extra, "history")})
    judged = observed if observed else first.content
    return [Reply(first, [Result(judged, first.call_id)]), *(Reply(message) for message in seen[1:])]


def _same(message: Mapping[str, Any], step: Mapping[str, Any]) -> bool:
    """Whether a message of the history is this step: its content is the response, and so is its action."""
    told = message.get("action", step.get("action"))
    return message.get("content") == step.get("response") and told == step.get("action")


def _complained(step: Mapping[str, Any], following: Mapping[str, Any], path: str) -> _Said:
    """A turn that did not enter the history. The next step was asked with it and a complaint, if it was asked again."""
    said = _Said({"role": "assistant", "content": step.get("response")}, path)
    query = following.get("query")
    if isinstance(query, list) and len(query) > 1 and all(isinstance(message, dict) for message in query[-2:]):
        before, last = query[-2:]
        if before.get("content") == step.get("response") and before.get("role") == "assistant":
            said.replies = [read_message(leftover({"role": "user", **last}, _ENTRY), f"{path}.query")]
    return said


def _other_messages(query: object, history: Sequence[Any], path: str) -> dict[str, Any] | None:
    """The messages of a query that are not the history's at the same place (elided, or a complaint), by place."""
    if query is None:
        return None
    asked = list(enumerate(as_list(query, f"{path}.query")))
    other = {str(at): one for at, one in asked if one and (at >= len(history) or history[at] != one)}
    return other or None


def _is_harness_end(step: Mapping[str, Any]) -> bool:
    """Before 1.0 the reason was written as an action, since then as a thought; a model wrote neither."""
    action, thought = step.get("action"), step.get("thought")
    if not isinstance(thought, str) or _ENDED.match(thought) is None:
        return False
    return not action or str(action).startswith("exit_")


def _thinking(blocks: object) -> str:
    texts = [block.get("thinking") for block in blocks if isinstance(block, dict)] if isinstance(blocks, list) else []
    return "\n".join(text for text in texts if isinstance(text, str))
