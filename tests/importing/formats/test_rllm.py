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
from purify.importing.formats.rllm import RLLM
from purify_schemas import Call, Message, Observation, Reward, Segment, Step, Trajectory, from_table, to_table
from tests.importing.damage import damaged, outcome, put

RULES = Rules.load("tool")
CALL = '<tool_call>\n{"name": "python", "arguments": {"code": "1/0"}}\n</tool_call>'
SYSTEM, USER = {"role": "system", "content": "Use tools."}, {"role": "user", "content": "1 + 1?"}
FAILED = "Error: ZeroDivisionError - division by zero"
UNJUDGED: dict[str, Any] = {"status": "unknown", "status_source": "no_result"}


def read(record: dict[str, Any], file: str = "episodes.jsonl") -> list[Trajectory]:
    return RLLM().read(record, RecordContext(file, 2, RULES))


def action(*calls: tuple[str, str, Any]) -> list[dict[str, Any]]:
    return [
        {"id": name, "type": "function", "function": {"name": tool, "arguments": arguments}}
        for name, tool, arguments in calls
    ]


def said(content: str | None, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **more}


def step(chat: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """A step as `Step.to_dict` writes it."""
    made: dict[str, Any] = {"prompt_ids": [], "response_ids": [], "logprobs": [], "chat_completions": chat}
    made |= {"observation": None, "thought": "", "action": None, "model_response": chat[-1]["content"] if chat else ""}
    made |= {"model_output": None, "info": {}, "reward": 0.0, "done": False, "mc_return": 0.0, "advantage": None}
    return made | more


def trajectory(*steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"uid": "u", "name": "solver", "task": {"question": "1 + 1?"}, "steps": list(steps), "reward": 1.0, **more}


def episode(*trajectories: dict[str, Any], **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"id": "task-7:3", "task": {"question": "1 + 1?"}, "termination_reason": "env_done"}
    made |= {"is_correct": True, "trajectories": list(trajectories), "metrics": {}, "info": {}}
    return made | more


def tool_agent() -> dict[str, Any]:
    """What rLLM's tool agent keeps: the text in the history, what it parsed in `action`, results by those ids."""
    asked = [SYSTEM, USER, said(f"I see. {CALL}")]
    answered = [*asked, {"role": "tool", "content": FAILED, "tool_call_id": "c1"}, said("2")]
    return episode(
        trajectory(
            step(
                asked,
                action=action(("c1", "python", '{"code": "1/0"}')),
                observation={"question": "1 + 1?"},
                prompt_ids=[1, 2],
                response_ids=[3, 4],
                logprobs=[-0.5, 0.0],
            ),
            step(
                answered,
                action=action(("c2", "finish", {"response": "2"})),
                observation={"tool_outputs": {"c1": FAILED}},
                prompt_ids=[1, 2, 3, 4, 5],
                response_ids=[6],
                logprobs=[-0.25],
                reward=1.0,
                done=True,
            ),
        )
    )


def test_growing_histories_become_turns() -> None:
    (got,) = read(tool_agent())
    assert got.messages == [Message(role="system", content="Use tools."), Message(role="user", content="1 + 1?")]
    failed = Call(
        id="c1",
        name="python",
        arguments='{"code": "1/0"}',
        status="error",
        error_type="tool_error",
        status_source="rule:error_prefix/error_prefix",
    )
    assert [step.model_copy(update={"extra": None}) for step in got.steps] == [
        Step(
            reasoning=Segment(text="I see. ", token_ids=[3, 4], logprobs=[-0.5, 0.0]),
            action=Segment(text=CALL),
            calls=[failed],
            observation=Observation(token_ids=[5], messages=[Message(role="tool", content=FAILED, call_id="c1")]),
            boundary="unknown",
        ),
        Step(reasoning=Segment(text="2", token_ids=[6], logprobs=[-0.25])),
    ]
    assert json.loads(got.steps[0].extra or "") == {
        "observation": {"question": "1 + 1?"}, "reward": 0.0, "done": False, "mc_return": 0.0,
    }  # fmt: skip
    assert json.loads(got.steps[1].extra or "")["action"] == action(("c2", "finish", {"response": "2"}))
    assert (got.prompt_token_ids, got.task_id, got.sample_index) == ([1, 2], "task-7", 3)
    assert (got.reward, got.rewards, got.finish_reason) == (1.0, [Reward(name="is_correct", value=1.0)], "stop")
    assert json.loads(got.extra or "") == {
        "id": "task-7:3", "task": {"question": "1 + 1?"}, "termination_reason": "env_done",
        "trajectory": {"uid": "u", "name": "solver"},
    }  # fmt: skip
    assert list(from_table(to_table([got]))) == [got]


def test_calls_of_the_message_itself() -> None:
    calls = action(("c1", "python", '{"code": "1"}'))
    first = [USER, said(None, reasoning="hm", tool_calls=calls)]
    second = [USER, said("", tool_calls=calls), {"role": "tool", "content": "1", "tool_call_id": "c1"}, said("1")]
    (got,) = read(episode(trajectory(step(first, thought="hm", action=calls), step(second))))
    call = Call(id="c1", name="python", arguments='{"code": "1"}', status="ok", status_source="no_rule")
    assert (got.steps[0].reasoning.text, got.steps[0].thinking_chars, got.steps[0].calls) == ("hm", 2, [call])
    assert "action" not in (got.steps[0].extra or "") and "thought" not in (got.steps[0].extra or "")
    assert got.steps[0].observation.messages == [Message(role="tool", content="1", call_id="c1")]


def test_calls_of_another_notation_come_from_the_action() -> None:
    history = [USER, said("[python(1)]")]
    (got,) = read(episode(trajectory(step(history, action=action(("c", "python", {"code": "1"}))))))
    assert got.steps[0].calls == [Call(id="c", name="python", arguments='{"code":"1"}', **UNJUDGED)]
    assert got.steps[0].reasoning.text == "[python(1)]"
    (got,) = read(episode(trajectory(step(history, action=action(("c", "finish", {"response": "x"}))))))
    assert got.steps[0].calls == []
    (got,) = read(episode(trajectory(step(history, action="left"))))
    assert json.loads(got.steps[0].extra or "")["action"] == "left"


def test_histories_that_are_written_anew() -> None:
    first = [SYSTEM, USER, said("<think>long</think>a")]
    second = [SYSTEM, USER, said("a"), {"role": "user", "content": "wrong"}, said("b")]
    (got,) = read(episode(trajectory(step(first), step(second))))
    assert [message.content for message in got.messages] == ["Use tools.", "1 + 1?"]
    assert got.steps[0].observation.messages == [Message(role="user", content="wrong")]
    assert [s.reasoning.text for s in got.steps] == ["<think>long</think>a", "b"]
    assert json.loads(got.steps[1].extra or "")["chat_completions"] == second
    assert json.loads(got.extra or "")["histories"].startswith("a step's chat_completions do not extend")


def test_fields_of_an_earlier_turn_that_are_not_resent_do_not_make_a_new_history() -> None:
    first = [USER, said("a", reasoning="hm")]
    (got,) = read(episode(trajectory(step(first), step([USER, said("a"), USER, said("b")]))))
    assert "histories" not in json.loads(got.extra or "")
    assert "chat_completions" not in json.loads(got.steps[1].extra or "")


def test_steps_without_a_history_have_input_and_output() -> None:
    steps = [
        {"id": "s", "input": "1 + 1?", "output": "2", "action": None, "reward": 0.0, "done": False, "metadata": None},
        {"id": "r", "input": [USER, said("2"), USER], "output": "two"},
        {"id": "q", "input": {"x": 1}, "output": {"y": 1}},
    ]
    record = {"id": "e", "task": {"id": "t"}, "is_correct": False, "termination_reason": None, "trajectories": []}
    (got,) = read({**record, "trajectories": [{"name": "agent", "steps": steps, "reward": None}]})
    assert got.messages == [Message(role="user", content="1 + 1?")]
    assert [s.reasoning.text for s in got.steps] == ["2", "two"]
    assert got.steps[0].observation.messages == [Message(role="user", content="1 + 1?")]
    assert json.loads(got.extra or "")["steps_without_a_turn"] == [steps[2]]
    assert (got.task_id, got.sample_index, got.reward) == ("t", None, None)


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        ({"prompt_ids": [1, 2, 9], "response_ids": [6]}, "the prompt of turn 1 does not extend the prompt and"),
        ({}, "turn 1 has no token ids"),
        ({"prompt_ids": [1, {"image": 1}], "response_ids": [6]}, "turn 1 has no token ids"),
    ],
)  # fmt: skip
def test_unproven_ids_are_dropped_with_the_reason(second: dict[str, Any], reason: str) -> None:
    record = tool_agent()
    record["trajectories"][0]["steps"][1] |= {"prompt_ids": [], "response_ids": [], "logprobs": []} | second
    (got,) = read(record)
    assert (got.prompt_token_ids, any(s.has_ids for s in got.steps)) == (None, False)
    assert json.loads(got.extra or "")["token_ids_dropped"].startswith(reason)


def test_ids_of_the_model_output() -> None:
    output = {"text": "2", "prompt_ids": [1], "completion_ids": [2], "logprobs": [-0.5], "finish_reason": "stop"}
    (got,) = read(episode(trajectory(step([USER, said("2")], model_output=output))))
    assert (got.prompt_token_ids, got.steps[0].reasoning) == (
        [1], Segment(text="2", token_ids=[2], logprobs=[-0.5]),
    )  # fmt: skip
    assert json.loads(got.steps[0].extra or "")["model_output"] == {"text": "2", "finish_reason": "stop"}


def test_roles_of_an_episode_are_compared_among_their_own() -> None:
    answer = step([USER, said("2")])
    solvers = [trajectory(answer), trajectory(answer), trajectory(answer, name="judge"), trajectory()]
    rows = read(episode(*solvers))
    assert [(row.task_id, row.sample_index) for row in rows] == [
        ("task-7/solver", None), ("task-7/solver", None), ("task-7/judge", 3),
    ]  # fmt: skip
    assert len({row.trajectory_id for row in rows}) == 3
    assert json.loads(rows[1].extra or "")["trajectory"] == {"uid": "u", "name": "solver", "index": 1, "of": 4}


@pytest.mark.parametrize(
    ("name", "told", "task", "sample"),
    [
        ("swe:django-1:0", None, "swe:django-1", 0),
        ("swe:flask-2:10", None, "swe:flask-2", 10),
        ("gsm8k:17:0", None, "gsm8k:17", 0),
        ("gsm8k:17:0", "gsm8k:17", "gsm8k:17", 0),
        ("gsm8k:17:1", "gsm8k", "gsm8k", 17),  # the SDK engine's: the last is the attempt
        ("swe:django-1", None, "swe:django-1", None),
        ("run:x", "django-1", "django-1", None),
        (":3", None, ":3", None),
        ("a:123456789", None, "a:123456789", None),
    ],
)
def test_an_id_is_split_at_its_last_colon(name: str, told: str | None, task: str, sample: int | None) -> None:
    (row,) = read(episode(trajectory(step([USER, said("2")])), id=name, task={"id": told}))
    assert (row.task_id, row.sample_index) == (task, sample)


def test_files_of_the_episode_logger_share_groups() -> None:
    """One episode a file; the folder names the step of the policy."""
    history = [USER, said("2")]
    rows = []
    for sample in (0, 1):
        record = {
            "training_step": 4, "epoch": 0, "episode_id": f"task-7:{sample}", "task": {"ground_truth": "2"},
            "task_hash": "ab", "is_correct": False, "termination_reason": "max_turns_exceeded", "metrics": {},
            "timing": {}, "trajectories": [
                {"name": "solver", "uid": "u", "reward": 0.0, "num_steps": 1, "timing": {}, "steps": [
                    {"observation": "1 + 1?", "thought": "", "action": "2", "reward": 0.0, "done": True,
                     "model_response": "2", "chat_completions": history, "timing": {}}]}],
        }  # fmt: skip
        rows += read(record, f"train_step_4_epoch_0/episode_{sample}.json")
    assert (rows[0].source.revision, rows[0].source.round) == ("train_step_4_epoch_0", 4)
    assert (rows[0].reference, rows[0].finish_reason) == ("2", "max_turns")
    assert rows[0].group_id == rows[1].group_id
    assert rows[0].trajectory_id != rows[1].trajectory_id
    assert json.loads(rows[0].steps[0].extra or "") == {"action": "2", "reward": 0.0, "done": True}


def test_the_evaluators_signals_and_answer() -> None:
    got = read(
        episode(
            trajectory(step([USER, said("2")]), signals={"accuracy": 0.5}),
            artifacts={"answer": "two"},
            termination_reason="sandbox_error",
        )
    )[0]
    assert got.rewards == [Reward(name="accuracy", value=0.5), Reward(name="is_correct", value=1.0)]
    assert (got.answer, got.finish_reason) == ("two", "error")


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("max_prompt_length_exceeded", "length"),
        ("max_response_length_exceeded", "length"),
        ("timeout", "error"),
        ("error", "error"),
        ("unknown", "unknown"),
        (None, "unknown"),
    ],
)
def test_finish_reason(reason: str | None, finish: str) -> None:
    assert read(episode(trajectory(step([USER, said("2")])), termination_reason=reason))[0].finish_reason == finish


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        (("steps",), {}, "trajectories[0].steps is an object, expected a list"),
        (("steps", 0), 3, "trajectories[0].steps[0] is a number, expected an object"),
        (("steps", 0, "chat_completions"), 3, "trajectories[0].steps[0].chat_completions is a number, expected a list"),
        (("steps", 0, "chat_completions", 1), {}, "trajectories[0].steps[0].chat_completions[1].role is missing"),
        (("steps", 0, "prompt_ids", 0), "x", "trajectories[0].steps[0].prompt_ids[0] is a string, expected a token id"),
        (("reward",), "high", "trajectories[0].reward is a string, expected a finite float32 or null"),
    ],
)
def test_rejected_records_name_the_place(path: tuple[Any, ...], value: object, reason: str) -> None:
    record = tool_agent()
    put(record, ("trajectories", 0, *path), value)
    with pytest.raises(RejectedRecordError) as error:
        read(record)
    assert str(error.value).startswith(reason)


def test_records_of_other_formats_are_not_recognised() -> None:
    assert RLLM().recognise(tool_agent()) == "rLLM episode: trajectories with steps, is_correct, termination_reason"
    assert OpenAIMessages().recognise(tool_agent()) is None
    others: list[dict[str, Any]] = [
        {"trajectories": [{"steps": []}]},
        {"trajectories": [{}], "is_correct": True, "termination_reason": None},
        {"trajectory": [], "is_correct": True, "termination_reason": None},
        {},
    ]
    assert not any(RLLM().recognise(record) for record in others)


@settings(deadline=None)
@given(st.data())
def test_a_damaged_record_is_read_or_rejected(data: st.DataObject) -> None:
    outcome(RLLM(), damaged(tool_agent(), data), RecordContext("episodes.jsonl", 2, RULES))


def test_a_folder_from_end_to_end(tmp_path: Path) -> None:
    folder = tmp_path / "logs" / "train_step_4_epoch_0"
    folder.mkdir(parents=True)
    for name, record in (("a", tool_agent()), ("b", episode(trajectory()))):
        (folder / f"{name}.json").write_text(json.dumps(record, indent=2) + "\n")
    report = import_dump(tmp_path / "logs", tmp_path / "raw")
    assert [entry.format for entry in report.formats] == ["rllm", "rllm"]
    manifest = report.dataset.manifest
    assert (manifest.records_in, manifest.rejected, manifest.rows, manifest.counts["calls_error"]) == (2, 1, 1, 1)
