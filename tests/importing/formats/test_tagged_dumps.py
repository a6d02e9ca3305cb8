"""The real dumps: exact counts, and the source's own text back out of the rows."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from purify.failures import Rules
from purify.importing.base import RecordContext
from purify.importing.formats.tagged import TaggedText
from purify_schemas import Trajectory
from tests.support import dump

CONTEXT = RecordContext("dump.jsonl", 0, Rules.load("python"))


def row(record: dict[str, Any]) -> Trajectory:
    (only,) = TaggedText().read(record, CONTEXT)
    return only


def records(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in dump(name).read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize(
    ("name", "steps", "calls", "finish", "answers"),
    [
        ("mathcoder/cl-7b_mathematics.jsonl", 3567, 2591, {"stop": 971, "max_turns": 29}, 971),
        ("mathcoder/gsm8k_debug.jsonl", 70, 50, {"stop": 20}, 20),
        ("mint/codeact-llama2-7b_mbpp.jsonl", 366, 366, {"max_turns": 86, "stop": 2, "error": 3}, 87),
        ("mint/mistral-7b_math.jsonl", 403, 403, {"max_turns": 96, "stop": 4}, 88),
        ("tora/tora-code-34b_gsm8k_first200.jsonl", 399, 200, {"stop": 199, "unknown": 1}, 200),
        ("tora/tora-corpus-examples.jsonl", 55, 25, {"stop": 30}, 0),
    ],
)
def test_every_dumped_record_becomes_one_row(
    name: str, steps: int, calls: int, finish: dict[str, int], answers: int
) -> None:
    dumped = records(name)
    rows = [row(record) for record in dumped]
    assert all(TaggedText().recognise(record) for record in dumped)
    assert sum(len(one.steps) for one in rows) == steps
    assert sum(len(step.calls) for one in rows for step in one.steps) == calls
    assert Counter(one.finish_reason for one in rows) == finish
    assert sum(one.answer is not None for one in rows) == answers
    assert all(one.reference is not None for one in rows)


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("mint/codeact-llama2-7b_mbpp.jsonl", {"rejected": 136, "malformed": 3, "ok": 2}),
        ("mint/mistral-7b_math.jsonl", {"rejected": 159, "malformed": 23, "ok": 4}),
    ],
)
def test_mint_verdicts_come_from_the_record(name: str, own: dict[str, int]) -> None:
    calls = [call for record in records(name) for step in row(record).steps for call in step.calls]
    decided = [call.status for call in calls if call.status_source in {"preset:mint", "state.success"}]
    assert Counter(decided) == own


@pytest.mark.parametrize("name", ["mathcoder/cl-7b_mathematics.jsonl", "mathcoder/gsm8k_debug.jsonl"])
def test_mathcoder_blocks_come_back(name: str) -> None:
    for record in records(name):
        got = row(record)
        back = [(message.role, message.content) for message in got.messages]
        for step in got.steps:
            back += [("text", step.reasoning.text)] if step.reasoning.text is not None else []
            back += [("code", json.loads(call.arguments or "")["code"]) for call in step.calls]
            back += [("execution", message.content) for message in step.observation.messages]
        there: list[tuple[str, str | None]] = []
        for block in record["debug_result"]:
            kind, text = block.get("role") or block["type"], block["content"]
            if kind == "text" and there[-1][0] == "text":
                text = f"{there.pop()[1]}\n{text}"
            there.append((kind, text))
        if got.answer is not None:
            back[-1] = ("text", f"{back[-1][1]}\n{got.answer}")
        assert back == there


@pytest.mark.parametrize("name", ["mint/codeact-llama2-7b_mbpp.jsonl", "mint/mistral-7b_math.jsonl"])
def test_mint_history_comes_back(name: str) -> None:
    for record in records(name):
        got = row(record)
        back = [("user", message.content or "") for message in got.messages]
        for step in got.steps:
            back.append(("assistant", f"Assistant:\n{step.reasoning.text}{step.action.text or ''}\n"))
            back += [("user", message.content or "") for message in step.observation.messages]
        assert back == [(turn["role"], turn["content"]) for turn in record["state"]["history"]]


@pytest.mark.parametrize("name", ["tora/tora-code-34b_gsm8k_first200.jsonl", "tora/tora-corpus-examples.jsonl"])
def test_tora_completions_come_back(name: str) -> None:
    for record in records(name):
        back = ""
        for step in row(record).steps:
            back += f"{step.reasoning.text}{step.action.text or ''}"
            back += "".join(f"\n```output\n{message.content}\n```\n" for message in step.observation.messages)
        assert back == (record["code"][0] if "code" in record else record["messages"][1]["content"])
