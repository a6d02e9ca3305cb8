"""Record-level fields that chat datasets have in common: task, sample, outcome, sampling, tools.

There is no standard for these names, so each is an explicit ordered tuple: the first field with a usable value is read,
every other one stays in `extra`. A field is read only where its meaning is plain:

- `answer` alone may be the model's or the expected one. Beside a reference it is the model's answer, beside another
  answer it is the reference, and alone it stays in `extra`.
- Without a numeric reward a boolean verdict is the reward, 1.0 or 0.0; beside one it is a part in `rewards`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

from purify.importing.base import Record
from purify.importing.checks import json_text, leftover, number, wrong
from purify_schemas import Message, Reward, Source
from purify_schemas.names import FinishReason

TASK = ("task_id", "instance_id", "problem_id", "question_id", "prompt_id", "id", "idx", "index")
SAMPLE = ("trial", "sample_index", "sample_id", "sample_idx", "rollout_index", "rollout_id", "rollout_idx")
REWARD = ("reward", "final_reward", "score")
REWARD_PARTS = ("rewards", "reward", "scores", "score")
VERDICT = ("success", "resolved", "correct", "is_correct", "passed")
ANSWER = ("final_answer", "extracted_answer", "predicted_answer", "prediction")
REFERENCE = ("reference", "reference_answer", "ground_truth", "expected_answer", "gold_answer", "correct_answer")
FINISH = ("finish_reason", "stop_reason", "termination_reason")
TOOLS = ("tools", "functions")
MODEL = ("model", "model_name", "model_id")
REVISION = ("revision", "model_revision", "policy_revision")
SAMPLING = ("sampling_params", "sampling", "generation_config")
SAMPLING_PARTS = ("top_p", "top_k", "min_p", "max_tokens", "max_new_tokens", "seed")

_FINISH_REASONS: Mapping[str, FinishReason] = {
    **dict.fromkeys(("stop", "end_turn", "stop_sequence", "eos", "eos_token", "completed"), "stop"),
    **dict.fromkeys(("length", "max_tokens"), "length"),
    **dict.fromkeys(("max_turns", "max_steps", "max_iterations"), "max_turns"),
    "error": "error",
}
_OUTCOME = frozenset({*REWARD, *REWARD_PARTS, *VERDICT, *ANSWER, "answer", *FINISH})
_INT32_END = 2**31
_FLOAT32_MAX = 3.4028234663852886e38

T = TypeVar("T")


def record_fields(
    record: Record,
    *,
    used: Collection[str],
    format_name: str,
    framework: str | None = None,
    last_finish: object = None,
    unread: Collection[str] = (),
) -> dict[str, Any]:
    """Arguments for `RecordContext.trajectory`. Fields in `used`, the conversation's own, are left alone.

    `last_finish` is the finish reason of the last assistant message, read where the record has none of its own. Fields
    in `unread` go to `extra` as they are, since their names mean something else in this record.
    """
    left = leftover(record, {*used, *unread})
    answer, reference = _take(left, ANSWER, _answer), _take(left, REFERENCE, _answer)
    if answer is None and reference is not None:
        answer = _take(left, ("answer",), _answer)
    elif answer is not None and reference is None:
        reference = _take(left, ("answer",), _answer)
    reward, rewards = _rewards(left)
    return {
        "task_id": _take(left, TASK, _task),
        "sample_index": _take(left, SAMPLE, _index),
        "tools": _take(left, TOOLS, tool_definitions),
        "answer": answer,
        "reference": reference,
        "reward": reward,
        "rewards": rewards,
        "finish_reason": _take(left, FINISH, _finish) or _finish(last_finish) or "unknown",
        "source": _source(left, format_name, framework),
        # Last: what nothing above has taken.
        "extra": json_text({k: v for k, v in record.items() if k in left or k in unread}, "the record"),
    }


def tells_outcome(name: str) -> bool:
    """Whether a field of this name is about one rollout: its answer, its reward, how it ended."""
    return name in _OUTCOME or name.endswith("_reward")


def system_prompt(record: Record, items: Sequence[object], used: set[str]) -> list[Message]:
    """The record's `system` as the first message, unless the conversation `items` has its own; notes it in `used`."""
    system = record.get("system")
    first = items[0] if items else None
    own = isinstance(first, Mapping) and "system" in (first.get("role"), first.get("from"))
    if own or not isinstance(system, str) or not system:
        return []
    used.add("system")
    return [Message(role="system", content=system)]


def tool_definitions(value: object) -> str | None:
    """Tool definitions, a list or its JSON text, as OpenAI JSON text; bare function definitions are wrapped.

    None, so that the field stays in `extra`, for text that is not a JSON list (definitions rendered for a prompt).
    """
    if value is None:
        return None
    tools = value
    if isinstance(value, str):
        try:
            tools = json.loads(value)
        except (ValueError, RecursionError):
            return None
    elif not isinstance(value, list):
        raise wrong("tools", value, "a list or its JSON text")
    if not isinstance(tools, list) or not tools:
        return None
    wrapped = [_wrapped(tool) for tool in tools]
    return value if isinstance(value, str) and wrapped == tools else json_text(wrapped, "tools")


def reward_value(value: object) -> float | None:
    """A number that a reward, a float32, can hold; else None."""
    found = number(value)
    return found if found is not None and abs(found) <= _FLOAT32_MAX else None


def optional_reward(value: object, path: str) -> float | None:
    """A reward or null. Raises `RejectedRecordError` for anything else."""
    if value is not None and reward_value(value) is None:
        raise wrong(path, value, "a finite float32 or null")
    return reward_value(value)


def _wrapped(tool: object) -> object:
    if not isinstance(tool, dict) or "function" in tool or "name" not in tool:
        return tool
    return {"type": "function", "function": {key: value for key, value in tool.items() if key != "type"}}


def _take(left: dict[str, Any], names: tuple[str, ...], read: Callable[[object], T | None]) -> T | None:
    """Read the first usable of these fields and remove it from those left."""
    for name in names:
        if name in left and (value := read(left[name])) is not None:
            del left[name]
            return value
    return None


def _rewards(left: dict[str, Any]) -> tuple[float | None, list[Reward]]:
    """The outcome reward, and everything that is named as a part of it."""
    reward = _take(left, REWARD, reward_value)
    parts: list[Reward] = []
    for name in REWARD_PARTS:
        parts += _take(left, (name,), _parts) or []
    for name in [key for key in left if key in REWARD or key.endswith("_reward")]:
        if (value := _take(left, (name,), reward_value)) is not None:
            parts.append(Reward(name=name, value=value))
    for name in VERDICT:
        if (verdict := _take(left, (name,), _verdict)) is None:
            continue
        if reward is None:
            reward = verdict
        else:
            parts.append(Reward(name=name, value=verdict))
    return reward, parts


def _source(left: dict[str, Any], format_name: str, framework: str | None) -> Source:
    sampling = _take(left, SAMPLING, lambda value: value if isinstance(value, dict) else None) or {}
    temperature = _take(left, ("temperature",), number)
    sampling = sampling | {name: left.pop(name) for name in SAMPLING_PARTS if number(left.get(name)) is not None}
    return Source(
        framework=framework or _take(left, ("framework",), _text),
        format=format_name,
        model=_take(left, MODEL, _text),
        revision=_take(left, REVISION, _text),
        round=_take(left, ("round",), _index),
        temperature=temperature if temperature is not None else number(sampling.get("temperature")),
        sampling=json_text(sampling, "the sampling parameters"),
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _task(value: object) -> str | None:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else _text(value)


def _index(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value < _INT32_END else None


def _answer(value: object) -> str | None:
    return value if isinstance(value, str) else None if number(value) is None else str(value)


def _parts(value: object) -> list[Reward] | None:
    if not isinstance(value, dict) or not value:
        return None
    numbers = {name: reward_value(part) for name, part in value.items()}
    parts = [Reward(name=name, value=part) for name, part in numbers.items() if part is not None]
    return parts if len(parts) == len(numbers) else None


def _verdict(value: object) -> float | None:
    return float(value) if isinstance(value, bool) else None


def _finish(value: object) -> FinishReason | None:
    return _FINISH_REASONS.get(value) if isinstance(value, str) else None
