"""Samples that prime-rl sends to Prime Intellect's platform, as that gives them back: one rollout a row.

    {"run_id": "r", "step": 40, "problem_id": 4, "sample_id": 0, "env_name": "owner/env", "prompt": "[{...}]",
     "completion": "[{...}]", "metrics": "{...}", "timing": "{...}", "info": "", "reward": 1.8, "advantage": 0.1, ...}

Messages, metrics and times are JSON texts. Later versions leave `prompt` empty: `completion` is the whole conversation
then, and `trajectory` has the messages of every branch.

Field names: PrimeIntellect-ai/prime-rl, src/prime_rl/utils/monitor/prime.py (`_SAMPLE_SCHEMA`).
"""

from __future__ import annotations

from typing import Any

import orjson

from purify.errors import RejectedRecordError
from purify.importing.base import Record
from purify_schemas import Source

_KEYS = frozenset({"prompt", "completion", "reward", "problem_id", "sample_id", "env_name"})
_JSON = ("prompt", "completion", "trajectory", "metrics", "timing", "info")
_LISTS = ("prompt", "completion")
_NEEDED = (*_LISTS, "metrics")
_RENAMED = {"task": "problem", "trajectory": "branches", "example_id": "example"}
"""Members that mean something else in a result: here `task` may be the task's own JSON, `trajectory` has messages."""


def is_sample(record: Record) -> bool:
    """Whether a record has the members that every version writes, messages being text."""
    return record.keys() >= _KEYS and all(isinstance(record[name], str) for name in _LISTS)


def as_result(record: Record) -> dict[str, Any]:
    """The sample as `vf-eval` would write it.

    Raises `RejectedRecordError` where messages or metrics are not JSON; other text that is none stays text.
    """
    result = dict(record)
    for name in _JSON:
        text = record.get(name)
        if not isinstance(text, str):
            continue
        try:
            result[name] = orjson.loads(text) if text else [] if name in _LISTS else None
        except orjson.JSONDecodeError:
            if name in _NEEDED:
                raise RejectedRecordError(f"{name} is not JSON") from None
    for name, other in _RENAMED.items():
        if (value := result.pop(name, None)) is None:
            continue
        free = other
        while free in result:  # a member that the record has itself
            free += "_"
        result[free] = value
    return {**result, "example_id": record["problem_id"], "task": record["env_name"]}


def of_sample(record: Record, source: Source) -> tuple[Source, int | None, set[str]]:
    """Where a sample is from, its number, and the members that tell so. Its step and run are the policy's revision."""
    step, run, index = record.get("step"), record.get("run_id"), record["sample_id"]
    used = {"problem_id", "env_name"}
    if type(step) is int and 0 <= step < 2**31:
        used.add("step")
        source = source.model_copy(update={"round": step})
        if isinstance(run, str) and run:
            used.add("run_id")
            source = source.model_copy(update={"revision": f"{run}/step_{step}"})
    if type(index) is not int or not 0 <= index < 2**31:
        return source, None, used
    return source, index, used | {"sample_id"}
