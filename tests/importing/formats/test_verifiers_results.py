from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from purify.errors import RejectedRecordError
from purify.failures import Rules
from purify.importing import import_dump
from purify.importing.base import RecordContext
from purify.importing.formats.openai_messages import OpenAIMessages
from purify.importing.formats.verifiers import Verifiers
from purify_schemas import Call, Message, Observation, Reward, Segment, Step, Trajectory, from_table, to_table
from tests.importing.damage import damaged, outcome, put
from tests.importing.formats.verifiers_records import ARGUMENTS, FAILED, RESULT

CONTEXT = RecordContext("results.jsonl", 1, Rules.load("tool"))


def read(record: dict[str, Any]) -> Trajectory:
    (row,) = Verifiers().read(record, CONTEXT)
    return row


def tokens(prompt: list[int], sampled: list[int]) -> dict[str, Any]:
    made = {"prompt_ids": prompt, "completion_ids": sampled, "completion_logprobs": [-i / 8 for i in sampled]}
    return {"tokens": {**made, "prompt_mask": [0] * len(prompt), "is_truncated": False}, "reward": None}


def result(**more: Any) -> dict[str, Any]:
    """A rollout of one failed call, as verifiers 0.2 writes it: calls as JSON strings, metrics twice."""
    called = json.dumps({"id": "c1", "name": "python", "arguments": ARGUMENTS})
    completion = [
        {"role": "assistant", "content": "I see.", "tool_calls": [called], "reasoning_content": "hm"},
        {"role": "tool", "tool_call_id": "c1", "content": "ZeroDivisionError: division by zero"},
        {"role": "assistant", "content": "2"},
    ]
    made: dict[str, Any] = {
        "example_id": 3,
        "prompt": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "1 + 1?"}],
        "completion": completion,
        "answer": "2",
        "info": {"level": 1},
        "reward": 1.5,
        "error": None,
        "timing": {"total_ms": 2.0},
        "is_completed": True,
        "is_truncated": False,
        "stop_condition": "no_tools_called",
        "metrics": {"correct": 1.0, "num_turns": 2.0},
        "tool_defs": [{"name": "python", "description": "run", "parameters": {}}],
        "correct": 1.0,
        "num_turns": 2.0,
    }
    return made | more


def test_prompt_and_completion_become_a_row() -> None:
    got = read(result())
    assert got.messages == [Message(role="system", content="Be brief."), Message(role="user", content="1 + 1?")]
    assert got.steps == [
        Step(
            reasoning=Segment(text="hmI see."),
            thinking_chars=2,
            calls=[FAILED],
            observation=Observation(messages=[RESULT]),
        ),
        Step(reasoning=Segment(text="2")),
    ]
    assert (got.task_id, got.sample_index, got.finish_reason) == ("3", None, "stop")
    assert (got.answer, got.reference, got.reward) == (None, "2", 1.5)
    assert got.rewards == [Reward(name="correct", value=1.0), Reward(name="num_turns", value=2.0)]
    function = {"name": "python", "description": "run", "parameters": {}}
    assert json.loads(got.tools or "") == [{"type": "function", "function": function}]
    assert json.loads(got.extra or "") == {
        "info": {"level": 1},
        "timing": {"total_ms": 2.0},
        "is_completed": True,
        "is_truncated": False,
        "stop_condition": "no_tools_called",
    }
    assert list(from_table(to_table([got]))) == [got]


def test_the_first_version_pads_with_nulls_and_has_metrics_only_beside_its_times() -> None:
    called = json.dumps({"id": "c", "type": "function", "function": {"name": "python", "arguments": "{}"}})
    completion = [
        {"role": "assistant", "content": None, "tool_calls": [called], "tool_call_id": None},
        {"role": "tool", "content": "1", "tool_calls": None, "tool_call_id": "c"},
        {"role": "assistant", "content": "1", "tool_calls": None, "tool_call_id": None},
    ]
    record = {
        "example_id": 0, "prompt": [{"role": "user", "content": "q"}], "completion": completion, "task": "sums",
        "reward": 1.0, "generation_ms": 5.0, "scoring_ms": 1.0, "total_ms": 6.0, "right": 1.0, "turn": 2,
    }  # fmt: skip
    got = read(record)
    assert got.steps == [
        Step(
            calls=[Call(id="c", name="python", arguments="{}", status="ok", status_source="no_rule")],
            observation=Observation(messages=[Message(role="tool", content="1", call_id="c")]),
        ),
        Step(reasoning=Segment(text="1")),
    ]
    assert (got.task_id, got.rewards, got.finish_reason) == ("sums/0", [Reward(name="right", value=1.0)], "unknown")
    assert json.loads(got.extra or "") == {"generation_ms": 5.0, "scoring_ms": 1.0, "total_ms": 6.0, "turn": 2}


def test_completions_without_chat_are_text() -> None:
    got = read(result(prompt="1 + 1 =", completion=" 2"))
    assert got.messages == [Message(role="user", content="1 + 1 =")]
    assert got.steps == [Step(reasoning=Segment(text=" 2"))]


def test_demonstrations_stay_in_the_prompt() -> None:
    shown = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    got = read(result(prompt=shown))
    assert [message.role for message in got.messages] == ["user", "assistant"]
    assert len(got.steps) == 2


def test_the_column_trajectory_gives_ids() -> None:
    got = read(result(trajectory=[tokens([1, 2], [3]), tokens([1, 2, 3, 4], [5])]))
    assert got.prompt_token_ids == [1, 2]
    assert [(s.reasoning.token_ids, s.reasoning.logprobs, s.observation.token_ids) for s in got.steps] == [
        ([3], [-0.375], [4]),
        ([5], [-0.625], None),
    ]
    kept = {"tokens": {"prompt_mask": [0, 0], "is_truncated": False}, "reward": None}
    assert json.loads(got.extra or "")["trajectory"][0] == kept


@pytest.mark.parametrize(
    ("trajectory", "reason"),
    [
        (
            [tokens([1], [3]), tokens([9], [5])],
            "the prompt of turn 1 does not extend the prompt and generation of turn 0",
        ),
        ([tokens([1], [3])], "1 generations for 2 turns"),
        ([tokens([1], [3]), {"tokens": None}], "turn 1 has no token ids"),
    ],
)
def test_unproven_ids_are_dropped_with_the_reason(trajectory: list[Any], reason: str) -> None:
    got = read(result(trajectory=trajectory))
    assert got.prompt_token_ids is None
    assert not any(step.has_ids for step in got.steps)
    extra = json.loads(got.extra or "")
    assert (extra["token_ids_dropped"], extra["trajectory"]) == (reason, trajectory)


@pytest.mark.parametrize(
    ("members", "finish"),
    [
        ({"stop_condition": "max_turns_reached"}, "max_turns"),
        ({"stop_condition": "prompt_too_long"}, "length"),
        ({"stop_condition": "has_error"}, "error"),
        ({"stop_condition": "of_the_task"}, "stop"),
        ({"stop_condition": None, "is_truncated": True}, "length"),
        ({"stop_condition": None, "error": {"error": "ModelError"}}, "error"),
        ({"stop_condition": None, "is_completed": False}, "unknown"),
    ],
)
def test_finish_reason(members: dict[str, Any], finish: str) -> None:
    assert read(result(**members)).finish_reason == finish


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        (("completion",), None, "completion is null, expected a list"),
        (("completion",), [], "completion has no assistant message"),
        (("completion", 0), 3, "completion[0] is a number, expected an object"),
        (("completion", 0, "tool_calls"), ["{"], "completion[0].tool_calls[0] is not the JSON of a call"),
        (("completion", 0, "tool_calls"), ["3"], "completion[0].tool_calls[0] is a number, expected an object"),
        (("prompt",), [3], "prompt[0] is a number, expected an object"),
        (("example_id",), None, "example_id is null, expected a number or a string"),
        (("reward",), "high", "reward is a string, expected a finite float32 or null"),
        (("metrics",), [1], "metrics is a list, expected an object"),
    ],
)
def test_rejected_records_name_the_place(path: tuple[Any, ...], value: object, reason: str) -> None:
    record = result()
    put(record, path, value)
    with pytest.raises(RejectedRecordError) as error:
        read(record)
    assert str(error.value) == reason


def test_a_result_is_no_chat_record() -> None:
    assert Verifiers().recognise(result()) == "vf-eval result: prompt, completion, reward, example_id"
    assert OpenAIMessages().recognise(result()) is None
    without = {key: value for key, value in result().items() if key != "example_id"}
    assert Verifiers().recognise(without) is None
    assert OpenAIMessages().recognise(without) == "completion with roles and tool_calls"
    with pytest.raises(RejectedRecordError, match="no verifiers episode, trace or result: example_id missing"):
        read(without)


def first_version(row: int, **more: Any) -> dict[str, Any]:
    """A rollout as verifiers 0.1.2 wrote it: `id` counts rows, not examples."""
    asked = [{"role": "user", "content": "1 + 1?"}]
    said = [{"role": "assistant", "content": "2"}]
    return {"id": row, "prompt": asked, "completion": said, "task": "default", "reward": 1.0, "answer": "2"} | more


def test_rollouts_of_the_first_versions_belong_together_by_what_was_asked() -> None:
    first, again = read(first_version(0)), read(first_version(7, reward=0.0))
    other = read(first_version(0, answer="3"))
    assert first.task_id == again.task_id and first.group_id == again.group_id != other.group_id
    assert json.loads(first.extra or "") == {"id": 0, "task": "default"}
    assert first.reward == 1.0 and first.steps == [Step(reasoning=Segment(text="2"))]


def test_a_row_number_of_the_first_versions_is_no_metric() -> None:
    got = read(first_version(0, id=7.0, right=0.5))
    assert got.rewards == [Reward(name="right", value=0.5)]
    assert json.loads(got.extra or "") == {"id": 7.0, "task": "default"}


def test_tools_that_an_environment_told_in_its_info() -> None:
    tool = {"type": "function", "function": {"name": "python", "parameters": {}}}
    got = read(first_version(0, info={"oai_tools": [tool]}))
    assert json.loads(got.tools or "") == [tool] and json.loads(got.extra or "")["info"] == {"oai_tools": [tool]}
    assert read(first_version(0, info={"oai_tools": "x"})).tools is None


def test_a_task_called_default_does_not_name_the_environment(tmp_path: Path) -> None:
    context = RecordContext("results.jsonl", 0, CONTEXT.rules, root=tmp_path)
    metadata = {"env": "sums", "model": "m", "rollouts_per_example": 3}
    (tmp_path / "metadata.json").write_text(json.dumps(metadata))
    (old,) = Verifiers().read(first_version(0), context)
    assert old.source.model == "m" and old.task_id.startswith("sums/")
    (got,) = Verifiers().read(result(task="default"), context)
    assert got.task_id == "sums/3" and json.loads(got.extra or "")["task"] == "default"
    (got,) = Verifiers().read(result(task="algebra"), context)
    assert got.task_id == "algebra/3" and "task" not in json.loads(got.extra or "")


def test_a_prompt_that_the_completion_repeats_is_read_once() -> None:
    completion = result()["completion"]
    asked = {"role": "user", "content": "1 + 1?", "tool_calls": None}  # padded, as their writer does
    got = read(result(completion=[asked, *completion]))
    assert (got.messages, got.steps) == (read(result()).messages, read(result()).steps)
    note = "the completion began with the last 1 messages of the prompt"
    assert json.loads(got.extra or "")["prompt_repeated"] == note
    other = read(result(completion=[asked | {"content": "2 + 2?"}, *completion]))
    assert [message.content for message in other.messages] == ["Be brief.", "1 + 1?", "2 + 2?"]


def sample(**more: Any) -> dict[str, Any]:
    """What prime-rl sends to the platform: messages and metrics as JSON texts."""
    whole = result()
    return {
        "run_id": "r",
        "step": 40,
        "problem_id": 4,
        "sample_id": 8,
        "env_name": "owner/sums",
        "task": "default",
        "prompt": json.dumps(whole["prompt"]),
        "completion": json.dumps(whole["completion"]),
        "metrics": '{"correct": 1.0}',
        "timing": '{"total": 0.5}',
        "info": "",
        "answer": "2",
        "reward": 1.5,
        "advantage": 0.25,
    } | more


def test_samples_of_prime_rl() -> None:
    assert Verifiers().recognise(sample()) is not None and OpenAIMessages().recognise(sample()) is None
    got, whole = read(sample()), read(result())
    assert (got.messages, got.steps, got.reference) == (whole.messages, whole.steps, "2")
    assert (got.task_id, got.sample_index, got.source.round) == ("owner/sums/4", 8, 40)
    assert got.source.revision == "r/step_40" and got.rewards == [Reward(name="correct", value=1.0)]
    assert json.loads(got.extra or "") == {"problem": "default", "timing": {"total": 0.5}, "advantage": 0.25}

    everything = json.dumps([*result()["prompt"], *result()["completion"]])
    later = read(sample(prompt="", completion=everything, trajectory='[{"messages": []}]', task='{"idx": 4}'))
    assert (later.messages, later.steps, later.task_id) == (whole.messages, whole.steps, "owner/sums/4")
    assert json.loads(later.extra or "")["branches"] == [{"messages": []}]
    with pytest.raises(RejectedRecordError, match="completion is not JSON"):
        read(sample(completion="["))


def test_members_that_a_sample_has_itself_are_kept() -> None:
    own = {"problem": "1 + 1?", "branches": 2, "example": "e", "example_id": 9}
    got = read(sample(trajectory='[{"messages": []}]', **own))
    assert got.task_id == "owner/sums/4"
    told = {"problem": "1 + 1?", "problem_": "default", "branches": 2, "branches_": [{"messages": []}]}
    extra = json.loads(got.extra or "")
    assert extra == told | {"example": "e", "example_": 9, "timing": {"total": 0.5}, "advantage": 0.25}
    assert json.loads(read(sample(branches=2)).extra or "")["branches"] == 2


@pytest.mark.parametrize(("member", "kept_as"), [("info", "info"), ("timing", "timing"), ("trajectory", "branches")])
def test_text_that_is_no_json_stays_text_where_the_rollout_does_not_need_it(member: str, kept_as: str) -> None:
    got, whole = read(sample(**{member: "[not"})), read(sample())
    assert (got.messages, got.steps, got.rewards) == (whole.messages, whole.steps, whole.rewards)
    assert json.loads(got.extra or "")[kept_as] == "[not"


@pytest.mark.parametrize("member", ["prompt", "completion", "metrics"])
def test_text_that_is_no_json_is_refused_where_it_is_needed(member: str) -> None:
    with pytest.raises(RejectedRecordError, match=f"^{member} is not JSON$"):
        read(sample(**{member: "[not"}))


BASE = result(trajectory=[tokens([1, 2], [3]), tokens([1, 2, 3, 4], [5])])


@settings(deadline=None)
@given(st.data())
def test_a_damaged_record_is_read_or_rejected(data: st.DataObject) -> None:
    outcome(Verifiers(), damaged(data.draw(st.sampled_from([BASE, first_version(0), sample()])), data), CONTEXT)


def test_a_file_from_end_to_end(tmp_path: Path) -> None:
    lines = [result(), result(completion=None, error={"error": "ModelError"}), result(example_id=4)]
    (tmp_path / "results.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    sampling = {"temperature": 0.6, "max_tokens": 64}
    metadata = {"env_id": "sums", "model": "m", "sampling_args": sampling, "num_examples": 2}
    (tmp_path / "metadata.json").write_text(json.dumps(metadata))
    report = import_dump(tmp_path / "results.jsonl", tmp_path / "raw")
    assert [entry.format for entry in report.formats] == ["verifiers"]
    manifest = report.dataset.manifest
    assert (manifest.records_in, manifest.rejected, manifest.rows, manifest.counts["calls_error"]) == (3, 1, 2, 2)
    first, second = report.dataset
    assert (first.source.model, first.source.temperature, first.source.sampling) == ("m", 0.6, '{"max_tokens":64}')
    assert (first.task_id, second.task_id) == ("sums/3", "sums/4")


@pytest.mark.parametrize("content", ["{", "[]", '{"model": "m"}'])
def test_another_metadata_file_is_not_read(content: str, tmp_path: Path) -> None:
    (tmp_path / "metadata.json").write_text(content)
    context = RecordContext("results.jsonl", 0, CONTEXT.rules, root=tmp_path)
    (got,) = Verifiers().read(result(), context)
    assert (got.source.model, got.task_id) == (None, "3")
