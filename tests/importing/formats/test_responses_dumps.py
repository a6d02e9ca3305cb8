"""The real dumps: exact counts, and the source's items back out of the rows."""

from __future__ import annotations

import json
from typing import Any

import pytest

from purify.failures import Rules
from purify.importing.base import RecordContext
from purify.importing.formats.responses import Responses
from purify_schemas import Trajectory
from tests.support import dump

CONTEXT = RecordContext("rollouts.jsonl", 0, Rules.load("tool"))
NAMES = ("anyswe_hermes", "competitive_coding_challenges", "hermes_math", "math_with_code", "ns_tools")


def rollouts(name: str) -> list[tuple[dict[str, Any], Trajectory]]:
    lines = dump(f"nemo-gym/{name}.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    assert all(Responses().recognise(record) for record in records)
    return [(record, *Responses().read(record, CONTEXT)) for record in records]


@pytest.mark.parametrize(
    ("name", "steps", "calls", "answers", "thinking", "task"),
    [
        ("anyswe_hermes", [10, 15, 17, 12, 19], 68, 0, 0, "astropy__astropy-12907"),
        ("competitive_coding_challenges", [1, 1, 1, 1, 1], 0, 0, 5, "usaco25/makingmexes/all_tests"),
        ("hermes_math", [1, 1, 1, 1, 4], 3, 5, 0, "3"),
        ("math_with_code", [2, 1, 5, 9, 19], 31, 5, 0, "rollouts.jsonl#0"),
        ("ns_tools", [2, 3, 4, 8, 9], 21, 5, 26, "aime25-0"),
    ],
)
def test_every_dumped_record_becomes_one_row(
    name: str, steps: list[int], calls: int, answers: int, thinking: int, task: str
) -> None:
    rows = [row for _, row in rollouts(name)]
    assert [len(row.steps) for row in rows] == steps
    assert sum(len(step.calls) for row in rows for step in row.steps) == calls
    assert sum(row.answer is not None for row in rows) == answers
    assert sum(step.thinking_chars > 0 for row in rows for step in row.steps) == thinking
    assert {row.finish_reason for row in rows} == {"stop"}
    assert rows[0].task_id == task
    assert all(row.reward is not None for row in rows)


@pytest.mark.parametrize("name", NAMES)
def test_items_come_back(name: str) -> None:
    for record, row in rollouts(name):
        there: list[Any] = []
        text: str | None = None
        for item in record["response"]["output"]:
            match item["type"]:
                case "reasoning":
                    text = (text or "") + "".join(part["text"] for part in item["summary"])
                case "message":
                    text = (text or "") + "".join(part["text"] for part in item["content"])
                case "function_call":
                    there += [text, (item["call_id"], item["name"], item["arguments"])]
                    text = None
                case _:
                    there.append((item["call_id"], item["output"]))
        there += [] if text is None else [text]
        back: list[Any] = []
        for step in row.steps:
            back.append(step.reasoning.text)
            back += [(call.id, call.name, call.arguments) for call in step.calls]
            back += [(message.call_id, message.content) for message in step.observation.messages]
        assert back == there


def test_ids_and_logprobs_are_the_engines() -> None:
    for record, row in rollouts("competitive_coding_challenges"):
        item = record["response"]["output"][-1]
        (step,) = row.steps
        assert (row.prompt_token_ids, step.boundary) == (item["prompt_token_ids"], "exact")
        assert step.reasoning.token_ids == item["generation_token_ids"]
        assert step.reasoning.logprobs == pytest.approx(item["generation_log_probs"], rel=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_only_one_dump_has_ids(name: str) -> None:
    with_ids = [row.prompt_token_ids is not None for _, row in rollouts(name)]
    assert with_ids == [name == "competitive_coding_challenges"] * 5
