"""Small records of the sources that importer `tagged` has presets for."""

from __future__ import annotations

from typing import Any

from purify.failures import Rules
from purify.importing.base import RecordContext
from purify.importing.config import ImportConfig
from purify.importing.formats.tagged import TaggedText
from purify_schemas import Trajectory

RULES = Rules.load("python")
OK: dict[str, Any] = {"status": "ok", "status_source": "no_rule"}
PROGRAM = "```python\nprint(1 + 1)\n```"


def context(**config: Any) -> RecordContext:
    return RecordContext("dump.jsonl", 7, RULES, ImportConfig(**config))


def read(record: dict[str, Any], **config: Any) -> list[Trajectory]:
    return TaggedText().read(record, context(**config))


def row(record: dict[str, Any], **config: Any) -> Trajectory:
    (only,) = read(record, **config)
    return only


def blocks(*pairs: tuple[str, str], key: str = "role") -> dict[str, Any]:
    return {
        "messages": [{"role": "user", "content": [{"type": "text", "content": "1 + 1?"}]}],
        "ground_truth": {"solution": "add", "answer": "2"},
        "debug_result": [
            {"role": "system", "content": ""},
            {"role": "user", "content": "1 + 1?"},
            *({key: kind, "content": text} for kind, text in pairs),
        ],
        "completion": pairs[-1][1],
    }


def history(*turns: str, success: bool = False, reason: str = "max_steps") -> dict[str, Any]:
    roles = ("user", "assistant")
    return {
        "state": {
            "history": [{"role": roles[i % 2], "content": turn} for i, turn in enumerate(turns)],
            "success": success,
            "terminate_reason": reason,
        },
        "task": {"task_name": "reasoning", "task_id": 3, "prompt": "1 + 1?", "reference": "2"},
    }


def sampled(*completions: str) -> dict[str, Any]:
    return {
        "idx": 5, "question": "1 + 1?", "gt": 2, "code": list(completions),
        "pred": [f"p{i}" for i in range(len(completions))], "report": [None] * len(completions),
    }  # fmt: skip
