"""Importer `atif`: documents of Harbor's agents, of every version, become rows; damage is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from atif import Trajectory as AtifTrajectory
from hypothesis import given, settings
from hypothesis import strategies as st

from purify.errors import RejectedRecordError
from purify.failures import load_rules
from purify.importing.base import RecordContext
from purify.importing.formats.atif import Atif
from purify_schemas import Call, Message, Segment, Trajectory
from purify_schemas.carried import conversation_digest
from tests.importing.damage import broken, outcome

SHELL = {"type": "function", "function": {"name": "bash", "parameters": {"type": "object"}}}


def agent(step_id: int, message: str, **more: Any) -> dict[str, Any]:
    return {"step_id": step_id, "source": "agent", "message": message, **more}


def run(*calls: tuple[str, str]) -> list[dict[str, Any]]:
    return [{"tool_call_id": name, "function_name": "bash", "arguments": {"command": line}} for name, line in calls]


def keyed(*calls: tuple[str, str]) -> list[dict[str, Any]]:
    """Calls of Terminus 2."""
    return [
        {"tool_call_id": name, "function_name": "bash_command", "arguments": {"keystrokes": keys, "duration": 0.1}}
        for name, keys in calls
    ]


def document(*steps: dict[str, Any], version: str = "1.6", **more: Any) -> dict[str, Any]:
    given = {"step_id": 1, "source": "user", "message": "Create hello.txt."}
    return {
        "schema_version": f"ATIF-v{version}",
        "session_id": "s-1",
        "agent": {"name": "terminus-2", "version": "2.0.0", "model_name": "m", "extra": {"parser": "json"}},
        "steps": [given, *steps],
        **more,
    }


# Two commands, of which the second fails, and one block of output without a call: as terminals write them.
TERMINAL = document(
    agent(
        2,
        "Analysis: empty.",
        timestamp="2025-10-11T10:30:02Z",
        reasoning_content="I list first.",
        tool_calls=run(("c1", "ls"), ("c2", "cat x")),
        observation={
            "results": [
                {"source_call_id": "c1", "content": "a"},
                {"source_call_id": "c2", "content": "bash: cat: command not found", "extra": {"is_error": True}},
            ]
        },
        metrics={"prompt_tokens": 520, "completion_tokens": 80, "cost_usd": 0.1},
    ),
    agent(3, "Done.", observation={"results": [{"content": "Task complete."}]}),
    notes="n",
    final_metrics={"total_steps": 3},
    extra={"reward": 1.0},
)


def ids(prompt: list[int], completion: list[int], **more: Any) -> dict[str, Any]:
    return {"prompt_token_ids": prompt, "completion_token_ids": completion, **more}


def read(record: dict[str, Any]) -> list[Trajectory]:
    return Atif().read(record, RecordContext("job/trajectory.json", 0, load_rules("tool")))


def test_a_terminal_run() -> None:
    AtifTrajectory.model_validate(TERMINAL)
    assert Atif().recognise(TERMINAL) == "schema_version ATIF-v1.6"
    (row,) = read(TERMINAL)
    assert row.messages == [Message(role="user", content="Create hello.txt.")]
    assert (row.source.framework, row.source.model, row.reward) == ("terminus-2", "m", 1.0)
    first, last = row.steps
    assert first.reasoning == Segment(text="I list first.Analysis: empty.") and first.thinking_chars == 13
    assert [(call.name, call.arguments, call.status, call.status_source) for call in first.calls] == [
        ("bash", '{"command":"ls"}', "ok", "no_rule"),
        ("bash", '{"command":"cat x"}', "error", "source:is_error"),
    ]
    assert [message.call_id for message in first.observation.messages] == ["c1", "c2"]
    assert first.extra is not None and json.loads(first.extra) == {
        "timestamp": "2025-10-11T10:30:02Z",
        "metrics": {"prompt_tokens": 520, "completion_tokens": 80, "cost_usd": 0.1},
    }
    assert last.calls == [] and last.observation.messages == [Message(role="tool", content="Task complete.")]
    assert row.extra is not None and json.loads(row.extra) == {
        "session_id": "s-1",
        "notes": "n",
        "final_metrics": {"total_steps": 3},
        "agent": {"version": "2.0.0", "extra": {"parser": "json"}},
    }


@pytest.mark.parametrize("version", [f"1.{minor}" for minor in range(9)])
def test_every_version_is_read(version: str) -> None:
    (row,) = read(document(agent(2, "4"), version=version))
    assert [step.reasoning.text for step in row.steps] == ["4"]


def test_a_turn_that_terminus_could_not_parse_is_a_malformed_call() -> None:
    refused = (
        "Previous response had parsing errors:\nERROR: No valid JSON found in response\n\nPlease fix these issues."
    )
    warned = "Previous response had warnings:\nWARNINGS: - Extra text\n\nNew Terminal Output:\n"
    record = document(
        agent(2, "I wait.", reasoning_content="hm", observation={"results": [{"content": refused}]}),
        agent(3, "Again.", tool_calls=run(("c1", "ls")), observation={"results": [{"content": warned}]}),
        agent(4, "Nothing to do.", observation={"results": [{"content": warned}]}),
    )
    record["agent"]["extra"]["temperature"] = 0.7
    (row,) = read(record)
    first, second, third = row.steps
    assert first.calls == [Call(status="malformed", error_type="unparsable_call", status_source="source:action")]
    assert (first.reasoning.text, first.thinking_chars) == ("hmI wait.", 2)
    assert first.observation.messages == [Message(role="tool", content=refused)]
    assert [call.status for call in second.calls] == ["ok"] and third.calls == []
    assert row.source.temperature == 0.7


def test_one_screen_that_answers_several_commands() -> None:
    typed = [("c1", "ls -la\n"), ("c2", "python3 -c 'import x'\n"), ("c3", "pwd\n")]
    calls = keyed(*typed)
    done = {"tool_call_id": "c4", "function_name": "mark_task_complete", "arguments": {}}
    failed = (
        'Traceback (most recent call last):\n  File "<string>", line 1, in <module>\n'
        "ModuleNotFoundError: No module named 'x'"
    )
    echo = "root@1:/app# "
    screen = f"{echo}ls -la\nx.py\n{echo}python3 -c 'import x'\n{failed}\n{echo}pwd\n/app\n{echo}\n"
    shown = {"results": [{"content": screen}]}
    (row,) = read(document(agent(2, "All.", tool_calls=[*calls, done], observation=shown)))
    (step,) = row.steps
    assert [(call.id, call.status, call.error_type) for call in step.calls] == [
        ("c1", "ok", None),
        ("c2", "error", "ModuleNotFoundError"),
        ("c3", "ok", None),
        ("c4", "unknown", None),
    ]
    assert step.observation.messages == [Message(role="tool", content=screen)]

    unseen = {"results": [{"content": screen.replace("pwd", "id")}]}  # not all were echoed: nothing tells them apart
    (row,) = read(document(agent(2, "All.", tool_calls=calls, observation=unseen)))
    assert [call.status_source for call in row.steps[0].calls][1:] == ["no_result", "no_result"]
    assert row.steps[0].observation.messages == [
        Message(role="tool", content=screen.replace("pwd", "id"), call_id="c1")
    ]


FAILED = "Traceback (most recent call last):\nNameError: name 'x' is not defined"


@pytest.mark.parametrize(
    ("typed", "screen"),
    [
        # A full screen that still shows the run before the mend.
        (
            ("python t.py\n", "ls\n"),
            f"$ python t.py\n{FAILED}\n$ sed -i s/x/1/ t.py\n$ python t.py\nok\n$ ls\nt.py\n$ ",
        ),
        # A file that quotes a terminal.
        (("cat notes\n", "make\n"), f"$ cat notes\n$ make\n{FAILED}\n$ make\nok\n$ "),
        # Echoes in another order than typed.
        (("make\n", "ls\n"), f"$ ls\nt.py\n$ make\n{FAILED}\n$ "),
    ],
)
def test_a_screen_that_leaves_a_doubt_is_not_cut(typed: tuple[str, str], screen: str) -> None:
    calls = keyed(("c1", typed[0]), ("c2", typed[1]))
    (row,) = read(document(agent(2, "Both.", tool_calls=calls, observation={"results": [{"content": screen}]})))
    (step,) = row.steps
    assert [(call.status, call.status_source) for call in step.calls][1] == ("unknown", "no_result")
    assert step.observation.messages == [Message(role="tool", content=screen, call_id="c1")]


def test_commands_that_begin_alike_are_told_apart() -> None:
    screen = f"$ python t.py\nok\n$ python t.py -x\n{FAILED}\n$ python t.py\nok\n$ "
    calls = keyed(("c1", "python t.py\n"), ("c2", "python t.py -x\n"), ("c3", "python t.py\n"))
    (row,) = read(document(agent(2, "All.", tool_calls=calls, observation={"results": [{"content": screen}]})))
    assert [call.status for call in row.steps[0].calls] == ["ok", "error", "ok"]


def test_a_wait_does_not_take_the_screen_of_the_one_command() -> None:
    calls = keyed(("c1", ""), ("c2", "python t.py\n"))
    screen = f"$ python t.py\n{FAILED}"
    (row,) = read(document(agent(2, "Now.", tool_calls=calls, observation={"results": [{"content": screen}]})))
    (step,) = row.steps
    assert [(call.id, call.status, call.error_type) for call in step.calls] == [
        ("c1", "unknown", None),
        ("c2", "error", "NameError"),
    ]
    assert step.observation.messages == [Message(role="tool", content=screen, call_id="c2")]

    refused = {"results": [{"content": "wrong", "extra": {"is_error": True}}]}  # the source's own verdict, too
    (row,) = read(document(agent(2, "Now.", tool_calls=calls, observation=refused)))
    assert [call.status_source for call in row.steps[0].calls] == ["no_result", "source:is_error"]


def test_calls_in_the_text_of_an_agent_that_lists_none() -> None:
    said = "I write.\n<function=bash>\n<parameter=command>ls</parameter>\n</function>"
    called = agent(2, said, reasoning_content="hm", observation={"results": [{"content": "ls: not found"}]})
    (row,) = read(document(called, agent(3, "Done.")))
    first, last = row.steps
    assert [(call.name, call.arguments) for call in first.calls] == [("bash", '{"command": "ls"}')]
    assert (first.reasoning.text, first.thinking_chars) == ("hmI write.\n", 2)
    assert first.action.text == said.removeprefix("I write.\n") and last.calls == []

    (row,) = read(document(called, agent(3, "x", tool_calls=run(("c1", "ls")))))  # it lists calls: that was no call
    assert row.steps[0].calls == [] and row.steps[0].reasoning.text == f"hm{said}"


@pytest.mark.parametrize("answer", [{}, {"observation": {"results": [{"content": "ls: not found"}]}}])
def test_prose_about_calls_is_no_call(answer: dict[str, Any]) -> None:
    said = "You write `<function=ls>` to call it. Thanks."
    (row,) = read(document(agent(2, said, **answer)))
    (step,) = row.steps
    assert (step.calls, step.reasoning.text, step.action.text) == ([], said, None)


def test_only_a_call_that_was_answered_is_taken_from_text() -> None:
    called = "<function=bash>\n<parameter=command>ls</parameter>\n</function>"
    said = f"<think>Not </think>As `<function=ls>`:\n{called}"
    answer = {"observation": {"results": [{"content": "t.py"}]}}
    (row,) = read(document(agent(2, said, **answer), agent(3, said)))
    first, last = row.steps
    assert [(call.name, call.status) for call in first.calls] == [("bash", "ok")]
    assert (first.reasoning.text, first.action.text) == (said.removesuffix(called), called)
    assert first.thinking_chars == len("<think>Not </think>")
    assert (last.calls, last.reasoning.text, last.action.text) == ([], said, None)


def test_token_ids_of_turns_that_form_one_sequence() -> None:
    turns = (
        agent(2, "a", tool_calls=run(("c1", "ls")), metrics=ids([1, 2], [3, 4], logprobs=[-0.5, -1.0])),
        agent(3, "b", metrics=ids([1, 2, 3, 4, 5], [6], prompt_tokens=5)),
    )
    (row,) = read(document(*turns))
    assert row.prompt_token_ids == [1, 2]
    assert row.steps[0].reasoning == Segment(text="a", token_ids=[3, 4], logprobs=[-0.5, -1.0])
    assert row.steps[0].observation.token_ids == [5] and row.steps[0].boundary == "unknown"
    assert row.steps[1].reasoning == Segment(text="b", token_ids=[6])

    (other,) = read(document(turns[0], agent(3, "b", metrics=ids([9], [6]))))
    assert other.prompt_token_ids is None and not any(step.has_ids for step in other.steps)
    assert other.extra is not None and "does not extend" in json.loads(other.extra)["token_ids_dropped"]


def test_metrics_of_several_calls_of_the_model_give_no_ids() -> None:
    (row,) = read(document(agent(2, "a", llm_call_count=2, metrics=ids([1], [2, 3])), version="1.7"))
    assert row.prompt_token_ids is None and not row.steps[0].has_ids


def test_copied_and_dispatched_steps_are_context() -> None:
    record = document(
        agent(
            2,
            "earlier",
            is_copied_context=True,
            tool_calls=run(("c0", "ls")),
            observation={"results": [{"source_call_id": "c0", "content": "a"}]},
        ),
        agent(3, "mine"),
        agent(4, "", llm_call_count=0, tool_calls=run(("c9", "date"))),
        {
            "step_id": 5,
            "source": "system",
            "message": "Context was cut.",
            "observation": {"results": [{"content": "ok"}]},
        },
        {"step_id": 6, "source": "user", "message": "Go on."},
        agent(7, "and mine"),
        version="1.7",
    )
    AtifTrajectory.model_validate(record)
    (row,) = read(record)
    assert [(message.role, message.content) for message in row.messages] == [
        ("user", "Create hello.txt."),
        ("assistant", "earlier"),
        ("tool", "a"),
    ]
    assert json.loads(row.messages[1].tool_calls or "") == [
        {"id": "c0", "type": "function", "function": {"name": "bash", "arguments": '{"command":"ls"}'}}
    ]
    assert [step.reasoning.text for step in row.steps] == ["mine", "and mine"]
    assert [message.role for message in row.steps[0].observation.messages] == ["assistant", "system", "tool", "user"]


def test_sub_agents_are_rows_of_their_own() -> None:
    inner = document(agent(2, "sub work"), version="1.7", trajectory_id="sub-1")
    reference = {
        "content": "see there",
        "subagent_trajectory_ref": [{"trajectory_id": "sub-1"}],
        "source_call_id": "c1",
    }
    outer = document(
        agent(2, "delegate", tool_calls=run(("c1", "go")), observation={"results": [reference]}),
        version="1.7",
        trajectory_id="main",
        subagent_trajectories=[inner],
    )
    AtifTrajectory.model_validate(outer)
    main, sub = read(outer)
    assert (main.steps[0].reasoning.text, sub.steps[0].reasoning.text) == ("delegate", "sub work")
    assert main.trajectory_id != sub.trajectory_id and main.group_id != sub.group_id
    assert sub.extra is not None and json.loads(sub.extra)["subagent_of"] == "main"
    (result,) = main.steps[0].observation.messages
    assert result.extra is not None and json.loads(result.extra) == {
        "subagent_trajectory_ref": [{"trajectory_id": "sub-1"}]
    }


def test_a_sub_agent_of_the_same_task_and_sample_has_an_id_of_its_own() -> None:
    told = {"task_id": "t", "trial": 0}
    inner = document(agent(2, "y"), trajectory_id="sub-1", extra=told)
    main, sub = read(document(agent(2, "x"), extra=told, subagent_trajectories=[inner]))
    assert (main.task_id, main.sample_index, sub.task_id, sub.sample_index) == ("t", 0, "t", None)
    assert main.trajectory_id != sub.trajectory_id and json.loads(sub.extra or "")["extra"] == {"trial": 0}


def test_parts_that_are_not_text() -> None:
    image = {"type": "image", "source": {"media_type": "image/png", "path": "images/a.png"}}
    seen = {"results": [{"source_call_id": "c1", "content": [{"type": "text", "text": "shot"}, image]}]}
    record = document(agent(2, "look", tool_calls=run(("c1", "shot")), observation=seen))
    AtifTrajectory.model_validate(record)
    (message,) = read(record)[0].steps[0].observation.messages
    assert message.content == "shot" and json.loads(message.parts or "") == [image]


def test_tools_and_calls() -> None:
    record = document(agent(2, "x", tool_calls=run(("c1", "ls"))))
    record["agent"]["tool_definitions"] = [SHELL]
    (row,) = read(record)
    assert json.loads(row.tools or "") == [SHELL]
    assert row.state_of("bash") == "external"
    assert row.steps[0].calls == [
        Call(id="c1", name="bash", arguments='{"command":"ls"}', status="unknown", status_source="no_result")
    ]


@pytest.mark.parametrize(
    "record", [{"schema_version": "1.4", "steps": []}, {"steps": []}, {"schema_version": "ATIF-v1.4", "steps": None}]
)
def test_other_records_are_not_claimed(record: dict[str, Any]) -> None:
    assert Atif().recognise(record) is None


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (document(agent(2, "x"), version="2.0"), "schema_version is 'ATIF-v2.0', this importer reads"),
        (document(agent(2, "x"), version="1.99"), r"schema_version is 'ATIF-v1.99', .* ATIF-v1.0 to ATIF-v1.8$"),
        (document(agent(2, "x"), version="1.x"), "schema_version is 'ATIF-v1.x', this importer reads"),
        (
            document(agent(2, "x"), subagent_trajectories=[document(agent(2, "y"), version="1.9")]),
            r"subagent_trajectories\[0\].schema_version is 'ATIF-v1.9'",
        ),
        (document(), "steps has no step of the agent's own"),
        (document({"step_id": 2, "source": "robot", "message": ""}), r"steps\[1\].source is 'robot', expected system"),
        (document(agent(2, "x", tool_calls=[{"arguments": [1]}])), r"tool_calls\[0\] is a list, expected an object"),
    ],
)
def test_what_cannot_be_understood_is_refused(record: dict[str, Any], reason: str) -> None:
    with pytest.raises(RejectedRecordError, match=reason):
        read(record)


OURS = document(
    agent(
        2,
        "so",
        tool_calls=run(("c1", "ls")),
        metrics=ids([1], [2, 3], logprobs=[0.0, -1.0]),
        observation={"results": [{"source_call_id": "c1", "extra": {"purify": {"content": None, "name": "x"}}}]},
        extra={"purify": {"action": "<call>", "tokens": [1, 1], "with_logprobs": [True, True]}},
    ),
    extra={
        "purify": {
            "trajectory_id": "t",
            "task_id": "k",
            "group_id": "g",
            "calls": [[{"id": "c1", "name": "bash", "arguments": "{}"}]],
        }
    },
)
OURS["extra"]["purify"] |= {"format": "atif", "digest": conversation_digest(OURS, "atif")}


def test_our_own_document_is_the_row_it_was() -> None:
    (row,) = read(OURS)
    added = '{"session_id":"s-1","agent":{"extra":{"parser":"json"}}}'  # no member that export writes
    assert row.trajectory_id == "t" and row.extra == added
    (step,) = row.steps
    assert step.action == Segment(text="<call>", token_ids=[3], logprobs=[-1.0])
    assert step.observation.messages == [Message(role="tool", name="x", call_id="c1")]
    assert step.calls == [Call(id="c1", name="bash", arguments="{}")]


@settings(deadline=None, max_examples=400)
@given(st.data())
def test_damage_is_read_or_refused(data: st.DataObject) -> None:
    sub = document(agent(2, "y"), trajectory_id="s")
    record = data.draw(broken([OURS, TERMINAL, {**TERMINAL, "subagent_trajectories": [sub]}]))
    outcome(Atif(), record, RecordContext("job/trajectory.json", 0, load_rules("tool")))
