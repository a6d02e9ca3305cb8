"""Importer `pretokenized`: masks of trainers become steps, and what does not fit is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from purify.errors import RejectedRecordError
from purify.failures import load_rules
from purify.importing.base import RecordContext
from purify.importing.formats.pretokenized import Pretokenized
from purify.importing.registry import recognise
from purify_schemas import Observation, Segment, Step, Trajectory
from tests.importing.damage import broken, outcome

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


PADDED: dict[str, Any] = {
    "input_ids": [0, 0, 5, 6, 7, 8, 0, 0],
    "attention_mask": [0, 0, 1, 1, 1, 1, 0, 0],
    "loss_mask": [0, 0, 0, 1, 0, 1, 0, 0],
    "labels": [-100, -100, -100, 6, -100, 8, -100, -100],
    "logprobs": [None, None, 0.0, -0.5, 0.0, -1.0, None, None],
}


def test_padding_is_cut_off() -> None:
    (row,) = read(PADDED)
    assert (row.prompt_token_ids, row.extra) == ([5], '{"padding_dropped":{"before":2,"after":2}}')
    assert [(step.reasoning.token_ids, step.reasoning.logprobs) for step in row.steps] == [([6], [-0.5]), ([8], [-1.0])]
    assert [step.observation.token_ids for step in row.steps] == [[7], []]
    (whole,) = read({"input_ids": [5, 6], "attention_mask": [1, 1], "loss_mask": [0, 1]})
    assert (whole.prompt_token_ids, whole.extra) == ([5], None)


def test_our_own_record_that_was_padded_is_the_row_it_was() -> None:
    padded = {**OURS, "input_ids": [0, 5, 6, 7, 8], "loss_mask": [0, *OURS["loss_mask"]]}
    padded |= {"logprobs": [None, *OURS["logprobs"]], "attention_mask": [0, 1, 1, 1, 1]}
    assert read(padded) == read(OURS)


CALL = '<tool_call>\n{"name": "python", "arguments": {"code": "1/0"}}\n</tool_call>'
ASKED = {"role": "user", "content": "1 + 1?"}
SAID: list[dict[str, Any]] = [
    {"role": "assistant", "content": f"I see. {CALL}"},
    {"role": "tool", "content": "ZeroDivisionError: division by zero"},
    {"role": "assistant", "content": "2"},
]


@pytest.mark.parametrize(
    "chat",
    [{"messages": [ASKED, *SAID]}, {"conversations": [ASKED, *SAID]}, {"prompt": [ASKED], "completion": SAID}],
)
def test_messages_with_a_turn_for_each_run_are_the_texts(chat: dict[str, Any]) -> None:
    record = {"input_ids": [5, 6, 7, 8], "loss_mask": [0, 1, 0, 1], "system": "Be brief.", **chat}
    assert recognise(record) == ("pretokenized", "input_ids with loss_mask")
    (row,) = read(record)
    assert [message.content for message in row.messages] == ["Be brief.", "1 + 1?"] and row.extra is None
    first, last = row.steps
    assert first.reasoning == Segment(text="I see. ", token_ids=[6]) and first.action == Segment(text=CALL)
    assert [(call.name, call.status) for call in first.calls] == [("python", "error")]
    assert (first.boundary, first.observation.token_ids) == ("unknown", [7])
    assert first.observation.messages[0].content == "ZeroDivisionError: division by zero"
    assert last.reasoning == Segment(text="2", token_ids=[8]) and last.boundary == "exact"


def test_other_messages_stay_apart() -> None:
    record = {"input_ids": [5, 6, 7, 8], "loss_mask": [0, 0, 0, 1], "messages": [ASKED, *SAID], "system": "Be brief."}
    (row,) = read(record)
    assert row.messages == [] and [step.reasoning for step in row.steps] == [Segment(token_ids=[8])]
    assert row.extra is not None and json.loads(row.extra) == {
        "messages": record["messages"],
        "system": "Be brief.",
        "messages_apart": "2 turns of the messages for 1 runs of the mask",
    }
    texts = {"input_ids": [5, 6], "loss_mask": [0, 1], "messages": ["1 + 1?", "2"], "completion": SAID, "prompt": "x"}
    (row,) = read(texts)
    assert row.messages == [] and json.loads(row.extra or "").keys() == {"messages", "completion", "prompt"}


@pytest.mark.parametrize(
    "record",
    [
        {"input_ids": [1, 2]},
        {"input_ids": [1, 2], "loss_mask": [1]},
        {"input_ids": ["a"], "loss_mask": [1]},
        {"input_ids": [], "loss_mask": [], "messages": [{"role": "user", "content": "x"}]},
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
        ({**PADDED, "attention_mask": [0, 0, 1, 0, 1, 1, 0, 0]}, r"attention_mask\[3\] is 0 between tokens that are 1"),
        ({**PADDED, "attention_mask": [0] * 8}, "attention_mask is 0 everywhere"),
        ({**PADDED, "attention_mask": [2] * 8}, r"attention_mask\[0\] is 2, expected 0 or 1"),
        ({**PADDED, "attention_mask": [1, 1]}, "2 values of attention_mask for 8 of input_ids"),
        ({**PADDED, "labels": [1]}, "8 values of attention_mask for 1 of labels"),
        ({**PADDED, "messages": [{"role": "assistant", "content": 3}]}, r"messages\[0\].content is a number"),
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
    record = data.draw(broken([OURS, FOREIGN, PADDED, {**FOREIGN, "messages": [ASKED, *SAID[2:]]}]))
    outcome(Pretokenized(), record, RecordContext("f.jsonl", 0, load_rules("tool")))
