from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from purify.digests import digest
from purify.errors import RejectedRecordError
from purify.failures import Rules
from purify.importing import ImportConfig, import_dump
from purify.importing.base import RecordContext
from purify.importing.formats.verl import Verl
from purify.importing.registry import lossy_note, recognise
from purify_schemas import Call, Message, Observation, Reward, Segment, Source, Step, ToolState, Trajectory
from tests.importing.damage import broken, outcome
from tests.tiny import tiny_model

RULES = Rules.load("verl")
CALL = '<tool_call>\n{"name": "jupyter_code", "arguments": {"code": "x"}}\n</tool_call>'
FAILURE = "Tool call failure\nreason: unspecified\nstderr: NameError at line 1: name 'x' is not defined\n  x"


def context(**config: Any) -> RecordContext:
    return RecordContext("rollouts/7.jsonl", 3, RULES, ImportConfig(**config))


def read(record: dict[str, Any], **config: Any) -> Trajectory:
    (row,) = Verl().read(record, context(**config))
    return row


def record(output: str = "", **more: Any) -> dict[str, Any]:
    asked = "system\nBe.\nuser\nWhat is x?\nassistant\n"
    return {"input": asked, "output": output, "gts": "2", "score": 1.0, "step": 7} | more


# Special tokens are skipped, so the agent loop's user part begins right behind the call.
ROLLOUT = record(
    f"<think>\nhm\n</think>\n\nLet me.\n{CALL}user\n<tool_response>\n{FAILURE}\n</tool_response>\nassistant\n"
    f"Again.\n{CALL}user\n<tool_response>\nTool call success\nstdout: 2\n</tool_response>\nassistant\nIt is 2.",
    acc=True, pred="2", request_id="r", format_reward=0.5, num_turns=6,
)  # fmt: skip


def called(**outcome: Any) -> Call:
    return Call(name="jupyter_code", arguments='{"code": "x"}', **outcome)


def told(text: str) -> Observation:
    return Observation(messages=[Message(role="tool", content=text)])


def test_a_rollout() -> None:
    task = digest(ROLLOUT["input"], "2")
    assert read(ROLLOUT) == Trajectory(
        trajectory_id=digest("rollouts/7.jsonl", 3, 0),
        task_id=task,
        group_id=digest("verl", "rollouts/7.jsonl", task, 7),
        messages=[Message(role="system", content="Be."), Message(role="user", content="What is x?")],
        tool_state=[ToolState(name="jupyter_code", state="python_kernel")],
        steps=[
            Step(
                reasoning=Segment(text="<think>\nhm\n</think>\n\nLet me.\n"),
                thinking_chars=19,
                action=Segment(text=CALL),
                calls=[called(status="error", error_type="NameError", status_source="rule:verl/judge_error_at_line")],
                observation=told(FAILURE),
            ),
            Step(
                reasoning=Segment(text="Again.\n"),
                action=Segment(text=CALL),
                calls=[called(status="ok", status_source="no_rule")],
                observation=told("Tool call success\nstdout: 2"),
            ),
            Step(reasoning=Segment(text="It is 2.")),
        ],
        answer="2",
        reference="2",
        reward=1.0,
        rewards=[Reward(name="acc", value=1.0), Reward(name="format_reward", value=0.5)],
        source=Source(framework="verl", format="verl", file="rollouts/7.jsonl", row=3, round=7),
        extra=json.dumps(
            {"request_id": "r", "num_turns": 6, "lossy": Verl.lossy, "template": "roles"},
            separators=(",", ":"),
        ),
    )
    assert lossy_note("verl") == Verl.lossy
    assert lossy_note("openai") is None


def test_rows_of_one_step_with_the_same_prompt_are_a_group() -> None:
    one, other = read(record("2")), read(record("3", score=0.0))
    assert (one.group_id, one.sample_index) == (other.group_id, None)
    assert read(record("2", step=8)).group_id != one.group_id
    assert read(record("2", gts="3")).group_id != one.group_id


def test_marks_that_are_kept_also_tell_that_a_turn_ended() -> None:
    whole = {"input": "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n", "output": "a<|im_end|>"}
    cut = whole | {"output": "a"}
    assert read(record() | whole).finish_reason == "stop"
    assert read(record() | cut).finish_reason == "unknown"
    assert read(record() | whole).steps == [Step(reasoning=Segment(text="a"))]


def test_a_named_template_wins() -> None:
    text = record("I am an\nassistant\nyou see.")
    with pytest.raises(RejectedRecordError, match="name it: --template"):
        read(text)
    row = read(text, template="none")
    assert row.messages == [Message(role="user", content=text["input"])]
    assert row.steps == [Step(reasoning=Segment(text="I am an\nassistant\nyou see."))]


@pytest.mark.parametrize(
    ("gts", "reference"), [(None, None), (2, "2"), (["a", 1], '["a",1]'), ({"target": ["x"]}, '{"target":["x"]}')]
)
def test_ground_truth_is_kept_as_text(gts: object, reference: str | None) -> None:
    assert read(record("2", gts=gts)).reference == reference


def test_what_is_no_number_stays_in_extra() -> None:
    row = read(record("2", score="NaN", step="last", acc=None, pred=3))
    assert (row.reward, row.rewards, row.answer, row.source.round) == (None, [], None, None)
    kept = json.loads(row.extra or "")
    assert {key: kept[key] for key in ("score", "step", "acc", "pred")} == {
        "score": "NaN", "step": "last", "acc": None, "pred": 3,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "status", "error_type"),
    [
        (FAILURE, "error", "NameError"),
        ("Tool call failure\nreason: worker_timeout", "timeout", "timeout"),
        ("Tool call failure\nreason: queue_timeout", "infra", "sandbox_unavailable"),
        ("Tool call failure\nreason: unspecified\nstdout: 3", "error", "tool_error"),
        (
            "Tool call failure\nreason: unspecified\nstderr: Traceback (most recent call last):\n"
            '  File "<string>", line 1, in <module>\nZeroDivisionError: division by zero',
            "error",
            "ZeroDivisionError",
        ),
        ("Tool call success\nstderr: NameError at line 1: only printed", "ok", None),
        ("Error when executing tool: 'search'", "error", "tool_error"),
    ],
)
def test_what_the_tools_of_agent_loops_write(text: str, status: str, error_type: str | None) -> None:
    outcome = RULES.judge(text, tool="jupyter_code")
    assert (outcome.status, outcome.error_type) == (status, error_type)


def test_recognised_by_four_keys() -> None:
    assert recognise(ROLLOUT) == ("verl", "has input, output, score, step")
    assert recognise({key: value for key, value in ROLLOUT.items() if key != "gts"}) is not None
    assert recognise({"instruction": "i", "input": "a", "output": "b"}) is None
    assert recognise({"input": ["a"], "output": "b", "score": 1, "step": 1}) is None


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        ({"output": None}, "record.output is null, expected a string"),
        ({"input": 3}, "record.input is a number, expected a string"),
    ],
)
def test_rejected_records_name_the_place(damage: dict[str, Any], reason: str) -> None:
    with pytest.raises(RejectedRecordError, match=f"^{reason}$"):
        read(ROLLOUT | damage)


@settings(deadline=None)
@given(broken([ROLLOUT, record("a <code>1</code><interpreter>1</interpreter>")]))
def test_a_broken_record_is_read_or_rejected(damaged: dict[str, Any]) -> None:
    outcome(Verl(), damaged, context())


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_model(tmp_path_factory.mktemp("tiny")))


@pytest.mark.parametrize("skip", [True, False])
def test_texts_of_a_real_tokenizer_and_template(skip: bool, tokenizer: Any, tmp_path: Path) -> None:
    """Ids put together and decoded as the trainer does it: the same turns, with and without special tokens."""

    def rendered(*messages: dict[str, str]) -> list[int]:
        return list(tokenizer.apply_chat_template(list(messages), add_generation_prompt=True, return_dict=False))

    prompt = rendered({"role": "user", "content": "What is x?"})
    response = tokenizer.encode(f"Let me.\n{CALL}<|im_end|>") + rendered({"role": "tool", "content": FAILURE})
    response += tokenizer.encode("It is 2.<|im_end|>") + [tokenizer.pad_token_id] * 3
    texts = [tokenizer.decode(ids, skip_special_tokens=skip) for ids in (prompt, response)]
    line = record(texts[1], input=texts[0])
    (tmp_path / "7.jsonl").write_text(json.dumps(line) + "\n" + json.dumps(ROLLOUT) + "\n")
    report = import_dump(tmp_path / "7.jsonl", tmp_path / "out")
    row, other = report.dataset
    assert [entry.format for entry in report.formats] == ["verl"]
    assert row.messages == [Message(role="user", content="What is x?")]
    assert [(step.reasoning.text, step.action.text) for step in row.steps] == [("Let me.\n", CALL), ("It is 2.", None)]
    assert row.steps[0].observation == told(FAILURE)
    assert row.steps[0].calls[0].error_type == "NameError"
    assert row.finish_reason == ("unknown" if skip else "stop")
    assert [other] == Verl().read(ROLLOUT, RecordContext("7.jsonl", 1, RULES))
