from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from purify.errors import RejectedRecordError
from purify.failures import Rules
from purify.importing import ImportConfig, import_dump
from purify.importing.base import RecordContext
from purify.importing.formats.atropos import Atropos
from purify.importing.formats.openai_messages import OpenAIMessages
from purify_schemas import Call, Message, Observation, Segment, Step, Trajectory, from_table, to_table
from tests.importing.damage import damaged, outcome, put

RULES = Rules.load("tool")
CALL = '<tool_call>\n{"name": "python", "arguments": {"code": "1/0"}}\n</tool_call>'
LLAMA3 = (
    "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n1 + 1?<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n<think>hm</think>2<|eot_id|>"
)


def read(record: dict[str, Any], **config: Any) -> list[Trajectory]:
    context = RecordContext("groups.jsonl", 2, RULES, ImportConfig(**config))
    return Atropos().read(record, context)


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text, "reward": None}


def said(text: str, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": text, **more}


def group(**more: Any) -> dict[str, Any]:
    """Two samples of one task: a failed call and a second turn, and a plain answer."""
    results = "<tool_response>\nZeroDivisionError: division by zero\n</tool_response>"
    made: dict[str, Any] = {
        "tokens": [[1, 2, 3, 4, 5, 6], [1, 2, 7]],
        "masks": [[-100, -100, 3, 4, -100, 6], [-100, -100, 7]],
        "scores": [1.0, -1],
        "inference_logprobs": [[1.0, 1.0, -0.5, 0.0, 1.0, -0.25], [1.0, 1.0, -1.0]],
        "messages": [
            [user("1 + 1?"), said(f"I see. {CALL}"), {"role": "tool", "content": results}, said("2", reward=0.5)],
            [user("1 + 1?"), said("3")],
        ],
        "advantages": [[0.5] * 6, [-0.5] * 3],
        "ref_logprobs": None,
        "overrides": [{}, {"set_advantage_to_zero": True}],
        "group_overrides": {"group_size": 2},
        "images": [],
        "generation_params": {"temperature": 0.8, "top_p": 0.9},
        "env_id": 0,
    }
    return made | more


def test_each_sample_of_a_group_is_a_trajectory() -> None:
    first, second = read(group())
    assert first.messages == second.messages == [Message(role="user", content="1 + 1?")]
    failed = Call(
        name="python",
        arguments='{"code": "1/0"}',
        status="error",
        error_type="ZeroDivisionError",
        status_source="rule:exceptions/exception",
    )
    back = Message(role="tool", content=group()["messages"][0][2]["content"])
    assert first.steps == [
        Step(
            reasoning=Segment(text="I see. ", token_ids=[3, 4], logprobs=[-0.5, 0.0]),
            action=Segment(text=CALL),
            calls=[failed],
            observation=Observation(token_ids=[5], messages=[back]),
            boundary="unknown",
        ),
        Step(
            reasoning=Segment(text="2", token_ids=[6], logprobs=[-0.25]),
            observation=Observation(token_ids=[]),
            extra='{"reward":0.5}',
        ),
    ]
    assert second.steps == [
        Step(reasoning=Segment(text="3", token_ids=[7], logprobs=[-1.0]), observation=Observation(token_ids=[]))
    ]
    assert [row.prompt_token_ids for row in (first, second)] == [[1, 2], [1, 2]]
    assert [row.reward for row in (first, second)] == [1.0, -1.0]
    assert [row.sample_index for row in (first, second)] == [0, 1]
    assert first.group_id == second.group_id
    assert first.trajectory_id != second.trajectory_id
    assert (first.source.framework, first.source.temperature, first.source.sampling) == (
        "Atropos", 0.8, '{"top_p":0.9}',
    )  # fmt: skip
    assert json.loads(second.extra or "") == {
        "advantages": [-0.5] * 3,
        "overrides": {"set_advantage_to_zero": True},
        "group_overrides": {"group_size": 2},
        "env_id": 0,
    }
    assert list(from_table(to_table([first, second]))) == [first, second]


def test_two_groups_of_one_prompt_have_ids_of_their_own() -> None:
    groups = [
        Atropos().read(group(), RecordContext("g.jsonl", row, RULES, ImportConfig(task_by="prompt"))) for row in (0, 1)
    ]
    rows = [row for rows in groups for row in rows]
    assert len({row.group_id for row in rows}) == 1 and len({row.trajectory_id for row in rows}) == 4


def test_without_messages_the_runs_of_the_mask_are_the_turns() -> None:
    first, second = read(group(messages=None))
    assert [step.reasoning for step in first.steps] == [
        Segment(token_ids=[3, 4], logprobs=[-0.5, 0.0]),
        Segment(token_ids=[6], logprobs=[-0.25]),
    ]
    assert (first.messages, len(second.steps)) == ([], 1)
    assert read(group(messages=[]))[0].steps == first.steps


def test_decoded_text_is_cut_at_its_templates_marks() -> None:
    _, second = read(group(messages=["no marks", LLAMA3]))
    assert second.messages == [Message(role="user", content="1 + 1?")]
    (step,) = second.steps
    assert (step.reasoning.text, step.thinking_chars, step.reasoning.token_ids) == ("<think>hm</think>2", 17, [7])


def test_decoded_text_without_marks_is_kept_aside() -> None:
    first, _ = read(group(messages=["no marks", LLAMA3]))
    assert (first.messages, [step.reasoning.text for step in first.steps]) == ([], [None, None])
    assert json.loads(first.extra or "")["text"] == "no marks"
    worded = "user\n1 + 1?\nassistant\n2"
    assert json.loads(read(group(messages=[worded, LLAMA3]))[0].extra or "")["text"] == worded
    _, second = read(group(messages=["no marks", LLAMA3]), template="none")
    assert json.loads(second.extra or "")["text"] == LLAMA3


def test_a_mask_of_the_last_turn_alone_does_not_fit_the_messages() -> None:
    masks = [[-100] * 5 + [6], [-100, -100, 7]]
    first, second = read(group(masks=masks))
    assert (first.prompt_token_ids, any(step.has_ids for step in first.steps)) == (None, False)
    assert json.loads(first.extra or "")["token_ids_dropped"] == "1 runs of the mask for 2 turns of the messages"
    assert second.prompt_token_ids == [1, 2]


def test_a_mask_of_other_values_is_none() -> None:
    first, _ = read(group(masks=[[0, 0, 1, 1, 0, 1], [-100, -100, 7]]))
    assert json.loads(first.extra or "")["token_ids_dropped"] == "masks[0][0] is 0, neither -100 nor the token 1"
    with pytest.raises(RejectedRecordError) as error:
        read(group(masks=[[0, 0, 1, 1, 0, 1], [-100, -100, 7]], messages=None))
    assert str(error.value) == (
        "sample 0 has no turn of the model: no messages, and masks[0][0] is 0, neither -100 nor the token 1"
    )


@pytest.mark.parametrize(
    ("logprobs", "first", "note"),
    [
        (None, [None, None], None),
        ([], [None, None], None),
        ([[1.0, 1.0, -0.5, 1.0, 1.0, -0.25], []], [None, [-0.25]], None),
        ([[1.0, 1.0, -0.5, None, 1.0, 0.0], []], [None, [0.0]], None),
        ([[-0.5, -0.25], []], [None, None], "inference_logprobs[0] has 2 values for 6 tokens"),
    ],
)
def test_a_log_prob_above_zero_is_none(logprobs: Any, first: list[Any], note: str | None) -> None:
    got = read(group(inference_logprobs=logprobs))[0]
    assert [step.reasoning.logprobs for step in got.steps] == first
    assert json.loads(got.extra or "").get("logprobs_dropped") == note


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        (("scores",), [1.0], "2 tokens, 2 masks, 1 scores: must be equal"),
        (("scores", 0), "high", "scores[0] is a string, expected a finite float32 or null"),
        (("tokens", 0), 3, "tokens[0] is a number, expected a list"),
        (("tokens", 0, 1), -1, "tokens[0][1] is a number, expected a token id"),
        (("masks", 0), [-100], "masks[0] has 1 values for 6 tokens"),
        (("messages", 0), 3, "messages[0] is a number, expected a list"),
        (("messages", 0), [user("q")], "messages[0] has no turn of the model"),
        (("messages", 0, 1, "content"), 3, "messages[0][1].content is a number, expected a string, null or a list of"),
        (("inference_logprobs", 0), 3, "inference_logprobs[0] is a number, expected a list"),
    ],
)
def test_rejected_records_name_the_place(path: tuple[Any, ...], value: object, reason: str) -> None:
    record = group()
    put(record, path, value)
    with pytest.raises(RejectedRecordError) as error:
        read(record)
    assert str(error.value).startswith(reason)


def test_records_of_other_formats_are_not_recognised() -> None:
    assert Atropos().recognise(group()) == "group of tokens, masks and scores"
    assert OpenAIMessages().recognise(group()) is None
    others: list[dict[str, Any]] = [
        {"tokens": [1, 2], "masks": [0, 1], "scores": [1.0, 1.0]},
        {"tokens": [[1]], "masks": [[1]], "score": 1.0},
        {"tokens": [[1]], "masks": [[1]], "scores": []},
        {"tokens": [], "masks": [], "scores": []},
        {"messages": [], "scores": []},
        {},
    ]
    assert not any(Atropos().recognise(record) for record in others)


@settings(deadline=None)
@given(st.data())
def test_a_damaged_record_is_read_or_rejected(data: st.DataObject) -> None:
    outcome(Atropos(), damaged(group(), data), RecordContext("groups.jsonl", 2, RULES))


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 99), st.booleans()), min_size=1, max_size=12))
def test_the_ids_of_a_row_are_those_of_its_sample(tokens: list[tuple[int, bool]]) -> None:
    if not any(mine for _, mine in tokens):
        return
    ids, masks = [token for token, _ in tokens], [token if mine else -100 for token, mine in tokens]
    (row,) = read({"tokens": [ids], "masks": [masks], "scores": [0.0]})
    found = [(token, False) for token in row.prompt_token_ids or []]
    for step in row.steps:
        found += [(token, True) for token in step.reasoning.token_ids or []]
        found += [(token, False) for token in step.observation.token_ids or []]
    assert found == tokens


def test_a_file_from_end_to_end(tmp_path: Path) -> None:
    lines = [group(), group(scores=[1.0]), group(messages=None)]
    (tmp_path / "groups.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    report = import_dump(tmp_path / "groups.jsonl", tmp_path / "raw")
    assert [entry.format for entry in report.formats] == ["atropos"]
    manifest = report.dataset.manifest
    assert (manifest.records_in, manifest.rejected, manifest.rows) == (3, 1, 4)
    assert (manifest.counts["steps"], manifest.counts["calls_error"]) == (6, 1)
