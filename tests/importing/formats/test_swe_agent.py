from __future__ import annotations

import copy
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from purify.errors import RejectedRecordError
from purify.failures import Rules
from purify.importing import import_dump
from purify.importing.base import RecordContext
from purify.importing.formats.swe_agent import SWEAgent
from purify_schemas import Call, Message, Observation, Segment, Step, ToolState, Trajectory
from tests.importing.damage import damaged, outcome, put
from tests.support import dump

CONTEXT = RecordContext("runs/django-1.traj", 0, Rules.load("swe-agent"))
OK: dict[str, Any] = {"status": "ok", "status_source": "no_rule"}
SYSTEM = {"role": "system", "content": "COMMANDS:\nopen:\n  docstring: opens a file\n", "agent": "main"}
TASK = {"role": "user", "content": "Fix it.", "agent": "main"}
BLOCK = "I look.\n```\nopen a.py\n```"


def read(record: dict[str, Any]) -> Trajectory:
    (row,) = SWEAgent().read(record, CONTEXT)
    return row


def step(action: str, observation: str | None, response: str, **fields: Any) -> dict[str, Any]:
    thought = response.split("```")[0]
    return {"action": action, "observation": observation, "response": response, "thought": thought, **fields}


def turn(step: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {
        "role": "assistant",
        "content": step["response"],
        "thought": step["thought"],
        "action": step["action"],
    } | fields


def seen(text: str, **fields: Any) -> dict[str, Any]:
    return {"role": "user", "content": text, **fields}


def run(*steps: dict[str, Any], history: list[dict[str, Any]], **record: Any) -> dict[str, Any]:
    return {"trajectory": list(steps), "history": [SYSTEM, TASK, *history], "info": {}, **record}


def test_commands_in_text_before_1_0() -> None:
    first = step("open a.py\n", "[File: a.py]", BLOCK, state='{"open_file": "n/a"}')
    second = step("python a.py\n", "ValueError: no", "I run it.\n```\npython a.py\n```\nThen I wait.")
    last = step("submit\n", "\ndiff --git", "Done.\n```\nsubmit\n```")
    got = read(
        run(
            first,
            second,
            last,
            history=[
                turn(first),
                seen("[File: a.py]\n(Open file: a.py)\nbash-$"),
                turn(second),
                seen("ValueError: no\n(Open file: a.py)\nbash-$"),
                turn(last),
            ],
            info={"exit_status": "submitted", "submission": "\ndiff --git", "model_stats": {"api_calls": 3}},
            environment="swe_main",
        )
    )
    assert got.messages == [
        Message(role="system", content=SYSTEM["content"], extra='{"agent":"main"}'),
        Message(role="user", content="Fix it.", extra='{"agent":"main"}'),
    ]
    assert got.steps == [
        Step(
            reasoning=Segment(text="I look.\n"),
            action=Segment(text="```\nopen a.py\n```"),
            calls=[Call(name="open", arguments='{"command": "open a.py"}', **OK)],
            observation=Observation(
                messages=[
                    Message(role="tool", content="[File: a.py]\n(Open file: a.py)\nbash-$", extra='{"role":"user"}')
                ]
            ),
            extra='{"state":"{\\"open_file\\": \\"n/a\\"}"}',
        ),
        Step(
            reasoning=Segment(text="I run it.\n"),
            action=Segment(text="```\npython a.py\n```\nThen I wait."),
            calls=[
                Call(
                    name="bash",
                    arguments='{"command": "python a.py"}',
                    status="error",
                    error_type="ValueError",
                    status_source="rule:exceptions/exception",
                )
            ],
            observation=Observation(
                messages=[
                    Message(role="tool", content="ValueError: no\n(Open file: a.py)\nbash-$", extra='{"role":"user"}')
                ]
            ),
        ),
        Step(
            reasoning=Segment(text="Done.\n"),
            action=Segment(text="```\nsubmit\n```"),
            calls=[Call(name="submit", arguments='{"command": "submit"}', **OK)],
            observation=Observation(messages=[Message(role="tool", content="\ndiff --git")]),
        ),
    ]
    assert got.tool_state == [ToolState(name=name, state="external") for name in ("bash", "open", "submit")]
    assert (got.task_id, got.answer, got.finish_reason) == ("django-1", "\ndiff --git", "stop")
    assert json.loads(got.extra or "") == {
        "environment": "swe_main",
        "info": {"exit_status": "submitted", "model_stats": {"api_calls": 3}},
    }


def test_function_calls_since_1_0() -> None:
    used = step("ls", "a.py", "I look.", execution_time=0.5, state={}, extra_info={}, reasoning_content="Hm. ")
    call = {"id": "c1", "type": "function", "function": {"name": "bash", "arguments": '{"command":"ls"}'}}
    got = read(
        run(
            used,
            history=[
                turn(used, tool_calls=[call], message_type="action", thinking_blocks=None),
                {"role": "tool", "content": "a.py\nbash-$", "tool_call_ids": ["c1"], "message_type": "observation"},
            ],
            replay_config=json.dumps(
                {
                    "agent": {"model": {"name": "gpt-4o", "temperature": 0.0, "top_p": 1.0, "stop": []}},
                    "problem_statement": {"id": "repo-7"},
                }
            ),
        )
    )
    assert got.steps == [
        Step(
            reasoning=Segment(text="Hm. I look."),
            thinking_chars=4,
            calls=[Call(id="c1", name="bash", arguments='{"command":"ls"}', duration_s=0.5, **OK)],
            observation=Observation(messages=[Message(role="tool", content="a.py\nbash-$", call_id="c1")]),
            extra='{"thinking_blocks":null}',
        )
    ]
    assert (got.source.model, got.source.temperature, got.source.sampling) == ("gpt-4o", 0.0, '{"top_p":1.0}')
    assert got.task_id == "repo-7"


def test_a_turn_asked_again_is_in_the_trajectory_only_and_the_complaint_in_the_next_query() -> None:
    bad = step("", "", "I do not know.")
    blocked = step("vim a.py", "", "I edit.\n```\nvim a.py\n```")
    good = step("open a.py", "text", BLOCK)

    def asked(of: dict[str, Any], complaint: str) -> list[dict[str, Any]]:
        return [
            SYSTEM,
            TASK,
            {"role": "assistant", "content": of["response"], "message_type": "assistant"},
            {"role": "user", "content": complaint, "message_type": "user"},
        ]

    bad["query"] = [SYSTEM, TASK]
    blocked["query"] = asked(bad, "Your output was not formatted correctly.")
    good["query"] = asked(blocked, "Operation 'vim a.py' is not supported by this environment.")
    got = read(run(bad, blocked, good, history=[turn(good), seen("text")]))
    assert [step.calls for step in got.steps] == [
        [Call(status="malformed", error_type="unparsable_call", status_source="source:action")],
        [
            Call(
                name="bash",
                arguments='{"command": "vim a.py"}',
                status="rejected",
                error_type="not_supported",
                status_source="rule:swe-agent/not_supported",
            )
        ],
        [Call(name="open", arguments='{"command": "open a.py"}', **OK)],
    ]
    assert [[message.content for message in step.observation.messages] for step in got.steps] == [
        ["Your output was not formatted correctly."],
        ["Operation 'vim a.py' is not supported by this environment."],
        ["text"],
    ]
    # At these places the history has the good turn and what followed.
    assert json.loads(got.steps[2].extra or "")["query"].keys() == {"2", "3"}
    assert got.steps[0].extra is None


def test_a_turn_that_equals_a_later_one_does_not_take_its_reply() -> None:
    idle, look = step("", "", "I do not know."), step("open a.py", "text", BLOCK)
    again = step("", "told", "I do not know.")
    history = [turn(look), seen("text\nbash-$"), turn(again), seen("told\nbash-$")]
    got = read(run(idle, look, again, history=history))
    assert [[message.content for message in step.observation.messages] for step in got.steps] == [
        [""],
        ["text\nbash-$"],
        ["told\nbash-$"],
    ]
    assert got.extra is None


def test_of_equal_turns_the_history_holds_the_last_and_others_are_kept_aside() -> None:
    look, last = step("open a.py", "text", BLOCK), step("submit", "diff", "```\nsubmit\n```")
    other = {"role": "assistant", "content": "Unheard.", "action": "x"}
    got = read(run(look, look, last, history=[turn(look), seen("shown: text"), other, turn(last), seen("diff")]))
    assert [[message.content for message in step.observation.messages] for step in got.steps] == [
        ["text"],
        ["shown: text"],
        ["diff"],
    ]
    assert json.loads(got.extra or "")["history"] == [other]


def test_a_run_that_the_harness_ended_has_no_turn_of_its_own_for_that() -> None:
    used = step("open a.py", "text", BLOCK)
    end = step("", "Exited (autosubmitted)", "Exit due to cost limit")
    got = read(
        run(
            used,
            end,
            history=[turn(used), seen("text"), turn(end), seen("Exited (autosubmitted)")],
            info={"exit_status": "submitted (exit_cost)", "submission": "diff"},
        )
    )
    assert (len(got.steps), got.answer, got.finish_reason) == (1, "diff", "max_turns")
    extra = json.loads(got.extra or "")
    assert extra["exit_step"] == end
    assert [entry["content"] for entry in extra["history"]] == ["Exit due to cost limit"]


def test_a_file_with_history_alone_and_a_demonstration_before_it() -> None:
    shown = {"role": "assistant", "content": "x", "action": "ls", "is_demo": True}
    call = {"id": "c", "type": "function", "function": {"name": "open", "arguments": '{"path":"a"}'}}
    said = {"role": "assistant", "content": "I look.", "thought": "I look.", "action": "open a", "tool_calls": [call]}
    result = {"role": "tool", "content": "No file open.", "tool_call_ids": ["c"]}
    record = {"history": [SYSTEM, shown, TASK, said, result]}
    assert SWEAgent().recognise(record) == "history with actions"
    got = read(record)
    assert [message.role for message in got.messages] == ["system", "assistant", "user"]
    (one,) = got.steps
    assert [(call.id, call.name, call.status, call.error_type) for call in one.calls] == [
        ("c", "open", "error", "tool_error")
    ]
    assert (got.answer, got.extra) == (None, None)


@pytest.mark.parametrize(
    ("response", "action", "reasoning", "raw"),
    [
        ("Go.\n<command>\nls\n</command>", "ls", "Go.\n", "<command>\nls\n</command>"),
        ("ls -l", "ls -l", "", "ls -l"),
        ("Run `ls`.\n```bash\nls\n```", "ls", "Run `ls`.\n", "```bash\nls\n```"),
        ("I list all.", "ls", "I list all.", None),
    ],
)
def test_where_the_call_starts(response: str, action: str, reasoning: str, raw: str | None) -> None:
    (one,) = read(run(step(action, "x", response), history=[])).steps
    assert (one.reasoning.text, one.action.text) == (reasoning, raw)


@pytest.mark.parametrize(
    ("status", "finish"),
    [
        ("submitted", "stop"),
        ("exit_context", "length"),
        ("submitted (exit_context)", "length"),
        ("exit_cost", "max_turns"),
        ("exit_format", "error"),
        ("submitted (exit_error)", "error"),
        ("something new", "unknown"),
        (None, "unknown"),
    ],
)
def test_exit_status(status: str | None, finish: str) -> None:
    got = read(run(step("ls", "", "```\nls\n```"), history=[], info={"exit_status": status}))
    assert got.finish_reason == finish


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        (("trajectory",), {"a": 1}, "trajectory is an object, expected a list"),
        (("trajectory", 0), 3, "trajectory[0] is a number, expected an object"),
        (("trajectory", 0, "action"), 3, "trajectory[0].action is a number, expected a string or null"),
        (("trajectory", 0, "observation"), [], "trajectory[0].observation is a list, expected a string or null"),
        (("trajectory", 0, "query"), "x", "trajectory[0].query is a string, expected a list"),
        (("history", 2), "x", "history[2] is a string, expected an object"),
        (("history", 2, "role"), None, "history[2].role is null, expected a string"),
        (("history", 3, "content"), 7, "history[3].content is a number, expected a string, null or a list of parts"),
        (("info",), "x", "info is a string, expected an object"),
    ],
)
def test_rejected_records_name_the_place(path: tuple[Any, ...], value: object, reason: str) -> None:
    record = copy.deepcopy(BASE)
    put(record, path, value)
    with pytest.raises(RejectedRecordError) as error:
        read(record)
    assert str(error.value) == reason


def test_other_records_are_not_recognised() -> None:
    assert SWEAgent().recognise(BASE) == "trajectory of actions and observations"
    others: list[dict[str, Any]] = [
        {},
        {"trajectory": [{"role": "user", "content": "x"}]},
        {"trajectory": ["x"], "history": "x"},
        {"history": [{"role": "assistant", "content": "x"}]},
        {"history": [SYSTEM, TASK]},
    ]
    assert not any(SWEAgent().recognise(record) for record in others)


_FIRST = step("open a.py", "text", BLOCK, execution_time=1.0, state={"open_file": "a"}, query=[SYSTEM, TASK])
BASE = run(
    _FIRST,
    step("", "", "Exit due to cost limit"),
    history=[
        turn(_FIRST, tool_calls=[{"id": "c", "function": {"name": "open", "arguments": "{}"}}]),
        {"role": "tool", "content": "text", "tool_call_ids": ["c"]},
    ],
    info={"exit_status": "submitted", "submission": "diff", "model_stats": {}},
    replay_config={"agent": {"model": {"name": "m", "temperature": 1.0}}, "problem_statement": {"id": "x"}},
)


@settings(deadline=None)
@given(st.data())
def test_a_damaged_record_is_read_or_rejected(data: st.DataObject) -> None:
    outcome(SWEAgent(), damaged(BASE, data), CONTEXT)


# Real trajectories.

REAL = {
    "ctf__BabyEncryption": (16, {"TypeError": 1, "IndentationError": 2, "F821": 1, "ValueError": 1}),
    "function_calling_simple": (5, {}),
    "marshmallow-1867__function_calling__install-1__marshmallow-code__marshmallow-1867": (11, {"IndentationError": 1}),
    "trajectories__pydicom__pydicom-1458": (12, {"AttributeError": 1, "SyntaxError": 3}),
}


@pytest.mark.parametrize("name", REAL)
def test_real_trajectories(name: str, tmp_path: Path) -> None:
    path = dump(f"swe-agent/{name}.traj")
    (row,) = import_dump(path, tmp_path / "raw").dataset
    steps, failures = REAL[name]
    calls = [call for step in row.steps for call in step.calls]
    assert (len(row.steps), len(calls)) == (steps, steps)
    assert Counter(call.error_type for call in calls if call.failed) == failures
    assert {call.status for call in calls} <= {"ok", "error"}
    assert calls[-1].name == "submit"

    record = json.loads(path.read_bytes())
    told = record.get("trajectory") or [entry for entry in record["history"] if entry["role"] == "assistant"]
    assert [(step.reasoning.text or "") + (step.action.text or "") for step in row.steps] == [
        entry.get("response", entry.get("content")) for entry in told
    ]
    observed = [entry["observation"] for entry in record.get("trajectory", [])]
    shown = ["".join(message.content or "" for message in step.observation.messages) for step in row.steps]
    assert all(text in there for text, there in zip(observed, shown, strict=False))
    assert row.answer == record.get("info", {}).get("submission")
    assert (row.finish_reason == "stop") == ("info" in record)
    if "function_calling" in name:
        assert all(
            call.id and message.call_id == call.id
            for step in row.steps
            for call, message in zip(step.calls, step.observation.messages, strict=True)
        )
    else:
        assert all(step.action.text and step.action.text.startswith("```") for step in row.steps)
