"""The steps of an rLLM trajectory: from histories that grow with every step to a prompt and turns.

    step 0   system, user, assistant
    step 1   system, user, assistant, tool, assistant      ->  prompt (system, user), two turns, the first with a result

A step's own turn is the last assistant message of its history; what is new before it answers the turn before. Where a
history does not repeat the earlier ones (an agent that drops thinking, or writes each prompt anew), what is new is what
stands after its last earlier turn, and the histories are kept in the steps' `extra`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from purify.importing.checks import as_list, as_object, json_text, leftover, optional_string, string
from purify.importing.formats.responses_ids import Generation, read_generation
from purify.importing.formats.rollout_turns import MODEL_ROLES, read_messages, read_reply, read_turn, with_extra
from purify.importing.turns import Turn
from purify_schemas import Call, Message

_STEP_IDS = ("prompt_ids", "response_ids", "logprobs")
_OUTPUT_IDS = ("prompt_ids", "completion_ids", "logprobs")
_FINISH = "finish"

History = list[dict[str, Any]]


class ReadSteps(NamedTuple):
    """The conversation of a trajectory; `used` are the steps of its turns, `unread` those without one."""

    prompt: list[Message]
    turns: list[Turn]
    used: list[Mapping[str, Any] | None]
    unread: list[Mapping[str, Any]]
    notes: dict[str, str]


def read_steps(steps: Sequence[Mapping[str, Any]], path: str) -> ReadSteps:
    """Read a trajectory's steps, found at `path`."""
    read = ReadSteps([], [], [], [], {})
    before: History = []
    histories = [_history(step, f"{path}[{i}]") for i, step in enumerate(steps)]
    grows = _grows([history for history in histories if history])
    if not grows:
        read.notes["histories"] = "a step's chat_completions do not extend those of the step before"
    for index, (step, history) in enumerate(zip(steps, histories, strict=True)):
        here = f"{path}[{index}]"
        own = _own_turn(history)
        if own is None:
            read.unread.append(step)
            continue
        start = len(before) if grows and before else _after_earlier_turn(history, own)
        if not read.turns:
            read.prompt.extend(read_messages(history[:own], f"{here}.chat_completions"))
        else:
            _add_replies(read.turns[-1], history[start:own], f"{here}.chat_completions", start)
        turn = _turn(step, history, own, here, keep_history=not grows)
        _add_replies(turn, history[own + 1 :], f"{here}.chat_completions", own + 1)
        read.turns.append(turn)
        read.used.append(step)
        before = history
    return read


def read_generations(steps: Sequence[Mapping[str, Any] | None], path: str) -> list[Generation | None]:
    """The ids of each step, its own or those of its `model_output`. A prompt with image blocks has no usable ids."""
    found: list[Generation | None] = []
    for index, step in enumerate(steps):
        here = f"{path}[{index}]"
        output = step.get("model_output") if step is not None else None
        if step is not None and (step.get("prompt_ids") or step.get("response_ids")):
            item, names = step, _STEP_IDS
        elif isinstance(output, dict):
            item, names, here = output, _OUTPUT_IDS, f"{here}.model_output"
        else:
            found.append(None)
            continue
        prompt = as_list(item.get("prompt_ids") or [], f"{here}.prompt_ids")
        found.append(None if any(isinstance(p, dict | list) for p in prompt) else read_generation(item, here, names))
    return found


def _history(step: Mapping[str, Any], path: str) -> History:
    """The messages up to and including the step's answer; from `input` and `output` where there is no history."""
    chat = as_list(step.get("chat_completions") or [], f"{path}.chat_completions")
    if not chat:
        answer = step.get("model_response") or step.get("output")
        if not isinstance(answer, str) or not answer:
            return []
        asked = step.get("input") if step.get("input") is not None else step.get("observation")
        if isinstance(asked, list) and all(isinstance(m, dict) and isinstance(m.get("role"), str) for m in asked):
            chat = [*asked]
        elif asked is not None:
            chat = [{"role": "user", "content": asked if isinstance(asked, str) else json_text(asked, path)}]
        chat.append({"role": "assistant", "content": answer})
    messages = [as_object(message, f"{path}.chat_completions[{i}]") for i, message in enumerate(chat)]
    for i, message in enumerate(messages):
        string(message, "role", f"{path}.chat_completions[{i}]")
    return messages


def _grows(histories: Sequence[History]) -> bool:
    return all(
        len(after) > len(before) and all(map(_same, before, after[: len(before)]))
        for before, after in pairwise(histories)
    )


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two histories tell the same message. Of a turn, its content: other fields are often not resent."""
    if one == other:
        return True
    turns = one["role"] in MODEL_ROLES and other["role"] == one["role"]
    return turns and (one.get("content") or "") == (other.get("content") or "")


def _own_turn(history: History) -> int | None:
    return next((i for i in range(len(history) - 1, -1, -1) if history[i]["role"] in MODEL_ROLES), None)


def _after_earlier_turn(history: History, own: int) -> int:
    return next((i + 1 for i in range(own - 1, -1, -1) if history[i]["role"] in MODEL_ROLES), 0)


def _add_replies(turn: Turn, messages: Sequence[Mapping[str, Any]], path: str, first: int) -> None:
    for index, message in enumerate(messages, start=first):
        turn.replies.append(read_reply(message, f"{path}[{index}]", len(turn.calls)))


def _turn(step: Mapping[str, Any], history: History, own: int, path: str, *, keep_history: bool) -> Turn:
    """The turn of a step, with the rest of the step in its `extra`, but what only repeats the turn."""
    turn = read_turn(history[own], f"{path}.chat_completions[{own}]")
    said = history[own].get("content")
    rest = leftover(step, {"chat_completions", *_STEP_IDS})
    called = _calls(step.get("action"), f"{path}.action")
    if called is not None:
        _take_calls(turn, called)
        if [call.model_dump() for call in turn.calls] == [call.model_dump() for call in called]:
            rest.pop("action")
    for name in ("model_response", "output"):
        if rest.get(name) in (said, ""):
            rest.pop(name, None)
    if own and isinstance(seen := rest.get("observation"), str) and seen == history[own - 1].get("content"):
        rest.pop("observation")
    thought = optional_string(step, "thought", path)
    if thought is not None and thought in ((turn.reasoning or "")[: turn.thinking_chars], ""):
        rest.pop("thought")
    if isinstance(output := rest.get("model_output"), dict):
        rest["model_output"] = leftover(output, _OUTPUT_IDS)
    if keep_history:
        rest["chat_completions"] = history
    turn.extra = with_extra(turn.extra, rest, path)
    return turn


def _calls(action: object, path: str) -> list[Call] | None:
    """The calls that an action is; None where it is something else."""
    if not isinstance(action, list) or not action:
        return None
    functions = [call.get("function") if isinstance(call, dict) else None for call in action]
    if not all(isinstance(f, dict) and isinstance(f.get("name"), str) for f in functions):
        return None
    return read_turn({"role": "assistant", "content": None, "tool_calls": action}, path).calls


def _take_calls(turn: Turn, called: list[Call]) -> None:
    """Calls that the agent parsed itself, where the message has none; or their ids, where it has the same."""
    if [call.name for call in called] == [_FINISH] and not turn.calls:
        return
    if not turn.calls:
        turn.calls = called
    elif [call.name for call in turn.calls] == [call.name for call in called]:
        turn.calls = [
            mine.model_copy(update={"id": mine.id or theirs.id})
            for mine, theirs in zip(turn.calls, called, strict=True)
        ]
