"""Importer `rllm`: episodes of rLLM, as its engines, its `EpisodeLogger` and `rllm eval` write them.

    {"id": "task-7:0", "task": {...}, "termination_reason": "env_done", "is_correct": true, "trajectories": [{"name":
     "solver", "reward": 1.0, "steps": [{"chat_completions": [...], "observation": ..., "action": ..., "model_response":
     ..., "reward": 0.0, "prompt_ids": [...], "response_ids": [...], "logprobs": [...]}, ...]}], ...}

Each trajectory of an episode becomes a row. A step is one model call, its `chat_completions` the history up to and
including the answer. Calls come from the message, from its text, or from `action`, where rLLM's tool agent keeps
what it parsed, with the ids that the results name; a call of `finish` there is its way to write that there was none.

The files of `EpisodeLogger` have no ids and hold one episode each. Their folder (`train_step_4_epoch_0`) names the
policy revision, so that groups span them; for files of `rllm eval`, which have no such name, pass `--policy`.

Field names: rllm-org/rllm, rllm/types.py and rllm/agents/agent.py (`Episode`, `Trajectory`, `Step`, two generations),
rllm/utils/episode_logger.py, rllm/eval/episode_store.py, rllm/engine/rollout/rollout_engine.py (`ModelOutput`),
rllm/agents/tool_agent.py, rllm/engine/agent_sdk_engine.py (ids), rllm/workflows/workflow.py (`TerminationReason`).

    purify import logs/episodes/ -o rollouts/ --format rllm
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from purify.importing.base import Record, RecordContext
from purify.importing.checks import as_list, as_object, json_text, leftover
from purify.importing.formats.responses_ids import with_ids
from purify.importing.formats.rllm_steps import read_generations, read_steps
from purify.importing.formats.rollout_turns import telling
from purify.importing.record_fields import optional_reward, reward_value
from purify.importing.turns import build_steps, tool_states
from purify_schemas import Reward, Source, Trajectory
from purify_schemas.names import FinishReason

_TERMINATED: Mapping[object, FinishReason] = {
    "env_done": "stop",
    "max_turns_exceeded": "max_turns",
    **dict.fromkeys(("max_prompt_length_exceeded", "max_response_length_exceeded"), "length"),
    "timeout": "error",
}


class RLLM:
    """See the module's docstring."""

    name = "rllm"
    default_rules = "tool"

    def recognise(self, record: Record) -> str | None:
        trajectories = record.get("trajectories")
        if not isinstance(trajectories, list) or not record.keys() >= {"is_correct", "termination_reason"}:
            return None
        steps = all(isinstance(one, dict) and isinstance(one.get("steps"), list) for one in trajectories)
        return "rLLM episode: trajectories with steps, is_correct, termination_reason" if steps else None

    def read(self, record: Record, context: RecordContext) -> list[Trajectory]:
        listed = as_list(record.get("trajectories"), "trajectories")
        trajectories = [as_object(one, f"trajectories[{i}]") for i, one in enumerate(listed)]
        names = Counter(str(one.get("name")) for one in trajectories)
        rows = [_row(record, trajectories, index, names, context) for index in range(len(trajectories))]
        return [row for row in rows if row is not None]


def _row(
    record: Record, trajectories: Sequence[dict[str, Any]], index: int, names: Counter[str], context: RecordContext
) -> Trajectory | None:
    one, path = trajectories[index], f"trajectories[{index}]"
    found = [as_object(step, f"{path}.steps[{i}]") for i, step in enumerate(as_list(one.get("steps"), f"{path}.steps"))]
    read = read_steps(found, f"{path}.steps")
    if not read.turns:
        return None
    steps, ids, notes = with_ids(build_steps(read.turns, context), read_generations(read.used, f"{path}.steps"))
    notes |= read.notes
    task, sample = _identity(record)
    if task is not None and len(names) > 1:  # the rewards of a role are compared among its own
        task = f"{task}/{one.get('name')}"
    logged = record.get("training_step")
    round_ = logged if type(logged) is int and 0 <= logged < 2**31 else None
    folder = PurePosixPath(context.file).parent.name
    revision = folder if f"_step_{round_}_" in folder else f"step_{round_}_epoch_{record.get('epoch')}"
    reference = _text_of(record.get("task"), "ground_truth")
    artifacts = record.get("artifacts")
    return context.trajectory(
        record=record,
        messages=read.prompt,
        source=Source(
            framework="rLLM",
            format="rllm",
            revision=None if round_ is None else revision,
            round=round_,
        ),
        task_id=task,
        sample_index=sample if names[str(one.get("name"))] == 1 else None,
        sample=index,
        tool_states=tool_states(steps),
        prompt_token_ids=ids,
        steps=steps,
        answer=_text_of(artifacts, "answer"),
        reference=reference,
        reward=optional_reward(one.get("reward"), f"{path}.reward"),
        rewards=_parts(record, one),
        finish_reason=_finish(record.get("termination_reason")),
        extra=json_text(_extra(record, one, index, len(trajectories), read.unread) | notes, path),
    )


def _identity(record: Record) -> tuple[str | None, int | None]:
    """Task and rollout number: an episode's id is `task:rollout`, or says nothing about the second.

    The SDK engine adds the attempt, `task:rollout:attempt`. As a task's id may hold colons and numbers itself, that is
    read only where the task tells its id too.
    """
    name = record.get("id", record.get("episode_id"))
    task_id = _text_of(record.get("task"), "id") or _text_of(record.get("task"), "task_id")
    if isinstance(name, str) and ":" in name:
        if task_id and (found := re.fullmatch(rf"{re.escape(task_id)}:(\d{{1,8}})(?::\d+)?", name)):
            return task_id, int(found[1])
        if found := re.fullmatch(r"(.+):(\d{1,8})", name, re.DOTALL):
            return found[1], int(found[2])
        return task_id or name, None
    hashed = record.get("task_hash")
    return task_id or (hashed if isinstance(hashed, str) else None), None


def _text_of(value: object, key: str) -> str | None:
    """A text in a member, or in the `metadata` of a task."""
    if not isinstance(value, dict):
        return None
    found = value.get(key)
    return found if isinstance(found, str) and found else _text_of(value.get("metadata"), key)


def _parts(record: Record, one: Mapping[str, Any]) -> list[Reward]:
    """The evaluator's signals, and the episode's verdict."""
    signals = one.get("signals")
    parts = [
        Reward(name=name, value=value)
        for name, signal in (signals.items() if isinstance(signals, dict) else ())
        if (value := reward_value(signal)) is not None
    ]
    if isinstance(verdict := record.get("is_correct"), bool):
        parts.append(Reward(name="is_correct", value=float(verdict)))
    return parts


def _extra(record: Record, one: Mapping[str, Any], index: int, of: int, unread: list[Any]) -> dict[str, Any]:
    read = {"trajectories", "is_correct"} if isinstance(record.get("is_correct"), bool) else {"trajectories"}
    task = {} if one.get("task") == record.get("task") else {"task": one.get("task")}
    signals = one.get("signals")
    plain = isinstance(signals, dict) and all(reward_value(value) is not None for value in signals.values())
    mine = telling({**leftover(one, {"steps", "reward", "task", *(["signals"] if plain else [])}), **task})
    placed = {"index": index, "of": of} if of > 1 else {}
    return telling({**leftover(record, read), "trajectory": {**mine, **placed}, "steps_without_a_turn": unread})


def _finish(reason: object) -> FinishReason:
    if not isinstance(reason, str):
        return "unknown"
    return "error" if reason == "error" or reason.endswith("_error") else _TERMINATED.get(reason, "unknown")
