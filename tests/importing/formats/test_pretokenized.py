"""Importer `pretokenized`: masks of trainers become steps, and what does not fit is refused."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from purify.errors import RejectedRecordError
from purify.failures import load_rules
from purify.importing.base import RecordContext
from purify.importing.formats.pretokenized import Pretokenized
from purify_schemas import Observation, Segment, Step, Trajectory
from tests.importing.damage import damaged
from tests.importing.mutations import broken

OURS: dict[str, Any] = {
    "input_ids": [5, 6, 7, 8],
    "loss_mask": [0, 1, 1, 0],
    "logprobs": [None, -0.5, -1.0, None],
    "segments": [
        {"part": "prompt", "step": -1, "length": 1},
        {"part": "reasoning", "step": 0, "length": 1},
        {"part": "action", "step": 0, "length": 1},
        {"part": "observation", "step": 0, "length": 1},
    ],
    "trajectory": {"trajectory_id": "t", "task_id": "k", "group_id": "g", "steps": [{"calls": [{"name": "f"}]}]},
}


def read(record: dict[str, Any]) -> list[Trajectory]:
    return Pretokenized().read(record, RecordContext("f.jsonl", 0, load_rules("tool")))


def test_our_own_record_is_the_row_it_was() -> None:
    (row,) = read(OURS)
    assert row.trajectory_id == "t" and row.prompt_token_ids == [5]
    (step,) = row.steps
    assert step.reasoning == Segment(token_ids=[6], logprobs=[-0.5])
    assert step.action == Segment(token_ids=[7], logprobs=[-1.0])
    assert step.observation == Observation(token_ids=[8]) and step.calls[0].name == "f"


@pytest.mark.parametrize(
    ("mask", "why"),
    [
        ({"loss_mask": [0, 1, 0, 1]}, "input_ids with loss_mask"),
        ({"completion_mask": [False, True, False, True]}, "input_ids with completion_mask"),
        ({"assistant_masks": [0, 1, 0, 1], "labels": [-100, 6, -100, 8]}, "input_ids with assistant_masks"),
        ({"labels": [-100, 6, -100, 8]}, "input_ids with labels"),
    ],
)
def test_runs_of_a_foreign_mask_are_steps(mask: dict[str, Any], why: str) -> None:
    record = {"input_ids": [5, 6, 7, 8], **mask, "logprobs": [0.0, -0.5, 0.0, None], "reward": 1, "task_id": 3}
    assert Pretokenized().recognise(record) == why
    (row,) = read(record)
    assert (row.prompt_token_ids, row.reward, row.task_id, row.messages) == ([5], 1.0, "3", [])
    assert row.steps == [
        Step(
            reasoning=Segment(token_ids=[6], logprobs=[-0.5]),
            observation=Observation(token_ids=[7]),
            boundary="unknown",
        ),
        Step(reasoning=Segment(token_ids=[8]), observation=Observation(token_ids=[]), boundary="unknown"),
    ]


@pytest.mark.parametrize(
    "record",
    [
        {"input_ids": [1, 2]},
        {"input_ids": [1, 2], "loss_mask": [1]},
        {"input_ids": ["a"], "loss_mask": [1]},
        {"tokens": [1], "masks": [1], "scores": [1.0]},
        {"messages": [{"role": "user", "content": "x"}]},
    ],
)
def test_other_records_are_not_claimed(record: dict[str, Any]) -> None:
    assert Pretokenized().recognise(record) is None


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"input_ids": [], "loss_mask": []}, "input_ids is empty or missing"),
        ({"input_ids": [1]}, "no loss mask: none of loss_mask, completion_mask, assistant_masks, labels"),
        ({"input_ids": [1, 2], "loss_mask": [0, 0]}, "the mask marks no token as the model's"),
        ({"input_ids": [1, 2], "loss_mask": [0]}, "1 mask values for 2 token ids"),
        (
            {"input_ids": [1, 2], "labels": [2, -100]},
            r"labels\[0\] is 2, expected 1 or -100; shifted labels are not read",
        ),
        ({"input_ids": [1, 2], "loss_mask": [0, 1], "labels": [1, 2]}, "loss_mask and labels differ"),
        ({**OURS, "input_ids": [5, 6]}, "segments tell of 4 tokens, input_ids has 2; was the row cut"),
        ({**OURS, "segments": [{"part": "action", "step": 4, "length": 4}]}, r"segments\[0\] is 'action' of step 4"),
    ],
)
def test_what_cannot_be_understood_is_refused(record: dict[str, Any], reason: str) -> None:
    with pytest.raises(RejectedRecordError, match=reason):
        read(record)


FOREIGN = {"input_ids": [5, 6, 7], "loss_mask": [0, 1, 0], "labels": [-100, 6, -100], "logprobs": [0.0, -1.0, 0.0]}


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_damage_is_read_or_refused(data: st.DataObject) -> None:
    record = data.draw(broken([OURS, FOREIGN])) if data.draw(st.booleans()) else damaged(OURS, data)
    with contextlib.suppress(RejectedRecordError, ValidationError):
        assert read(record)
