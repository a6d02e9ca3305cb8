from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from purify.errors import RejectedRecordError
from purify.failures import Rules
from purify.importing import import_dump
from purify.importing.base import RecordContext
from purify.importing.formats.mini_swe_agent import MiniSWEAgent
from purify.importing.formats.mini_swe_agent_turns import fenced
from purify.importing.formats.openai_messages import OpenAIMessages
from purify.importing.records import plan_units, read_segment
from purify_schemas import Call, Message, Observation, Segment, Step, ToolState, Trajectory
from tests.importing.damage import damaged, outcome, put
from tests.importing.hostile import survives
from tests.support import dump

CONTEXT = RecordContext("runs/django-1/django-1.traj.json", 0, Rules.load("swe-agent"))
OK: dict[str, Any] = {"status": "ok", "status_source": "no_rule"}
PROMPT = [{"role": "system", "content": "Use bash."}, {"role": "user", "content": "Fix it."}]
DONE = "echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT"
NOT_EXECUTED = {"raw_output": "", "returncode": -1, "exception_info": "action was not executed"}


def read(*messages: dict[str, Any], **record: Any) -> Trajectory:
    (row,) = MiniSWEAgent().read(file(*messages, **record), CONTEXT)
    return row


def file(*messages: dict[str, Any], **record: Any) -> dict[str, Any]:
    return {"info": {}, "messages": [*PROMPT, *messages], "trajectory_format": "mini-swe-agent-1", **record}


def says(command: str, fence: str = "bash", **fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": f"I go.\n\n```{fence}\n{command}\n```", **fields}


def user(text: str, **extra: Any) -> dict[str, Any]:
    return {"role": "user", "content": text, **({"extra": extra} if extra else {})}


def calls(*commands: str) -> dict[str, Any]:
    """A turn of the tool-calling model."""
    made = [
        {
            "id": f"c{at}",
            "type": "function",
            "function": {"name": "bash", "arguments": json.dumps({"command": command})},
        }
        for at, command in enumerate(commands)
    ]
    return {"role": "assistant", "content": "I go.", "tool_calls": made}


def tool(at: int, text: str, **extra: Any) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": f"c{at}", "content": text, **({"extra": extra} if extra else {})}


def exits(status: str, submission: str = "") -> dict[str, Any]:
    return {"role": "exit", "content": submission, "extra": {"exit_status": status, "submission": submission}}


def outcomes(row: Trajectory) -> list[tuple[str, str | None, str | None]]:
    return [(call.status, call.error_type, call.status_source) for step in row.steps for call in step.calls]


def test_version_1() -> None:
    got = read(
        says("cat x"),
        user("<returncode>1</returncode>\n<output>\ncat: x: No such file or directory\n</output>"),
        says(f"{DONE} && git diff"),
        user("diff --git"),
        info={
            "exit_status": "Submitted",
            "submission": "diff --git",
            "mini_version": "1.9",
            "config": {"model": {"model_name": "gpt", "model_kwargs": {"temperature": 0.0, "drop_params": True}}},
        },
        instance_id="django-7",
    )
    assert got.messages == [Message(role="system", content="Use bash."), Message(role="user", content="Fix it.")]
    assert got.steps[0] == Step(
        reasoning=Segment(text="I go.\n\n"),
        action=Segment(text="```bash\ncat x\n```"),
        calls=[
            Call(
                name="bash",
                arguments='{"command": "cat x"}',
                status="error",
                error_type="no_such_file",
                status_source="rule:shell/no_such_file",
            )
        ],
        observation=Observation(
            messages=[
                Message(
                    role="tool",
                    content="<returncode>1</returncode>\n<output>\ncat: x: No such file or directory\n</output>",
                    extra='{"role":"user"}',
                )
            ]
        ),
    )
    assert outcomes(got)[1] == ("ok", None, "source:exit_status")
    assert (got.answer, got.finish_reason, got.task_id) == ("diff --git", "stop", "django-7")
    assert (got.source.model, got.source.temperature, got.source.sampling) == ("gpt", 0.0, '{"drop_params":true}')
    assert got.tool_state == [ToolState(name="bash", state="external")]
    extra = json.loads(got.extra or "")
    assert (extra["info"]["mini_version"], extra["trajectory_format"]) == ("1.9", "mini-swe-agent-1")
    assert "submission" not in extra["info"]


def test_version_1_turns_that_end_otherwise() -> None:
    got = read(
        {"role": "assistant", "content": "I think."},
        user("Please always provide EXACTLY ONE action in triple backticks, found 0 actions."),
        says("sleep 99"),
        user("The last command <command>sleep 99</command> timed out and has been killed.\nThe output was"),
        says("rm -r x"),
        user("Command not executed. The user rejected your command with the following message: no"),
        says("ls"),
        user("Observation: x"),
        user("LimitsExceeded"),
        info={"exit_status": "LimitsExceeded", "submission": ""},
    )
    assert outcomes(got) == [
        ("malformed", "unparsable_call", "source:action"),
        ("timeout", "timeout", "rule:swe-agent/killed"),
        ("rejected", "refused", "rule:swe-agent/not_confirmed"),
        ("ok", None, "no_rule"),
    ]
    assert (got.finish_reason, got.answer) == ("max_turns", None)
    assert [message.role for message in got.steps[3].observation.messages] == ["tool", "user"]


def test_version_2_in_text() -> None:
    got = read(
        says("grep x y", "mswea_bash_command", extra={"actions": [{"command": "grep x y"}], "cost": 0.1}),
        user("Custom: nothing found", raw_output="", returncode=1),
        user("Wrong.", interrupt_type="FormatError", n_actions=0, model_response="I think."),
        says("sleep 9", extra={"actions": [{"command": "sleep 9"}]}),
        user("slow", raw_output="", returncode=-1, exception_info="An error occurred", exception_type="TimeoutExpired"),
        exits("LimitsExceeded"),
        info={"exit_status": "LimitsExceeded"},
    )
    assert outcomes(got) == [
        ("unknown", "exit_code_1", "rule:doubtful/exit_code"),
        ("malformed", "unparsable_call", "source:interrupt_type"),
        ("timeout", "timeout", "source:exception_info"),
    ]
    assert [step.reasoning.text for step in got.steps] == ["I go.\n\n", "I think.", "I go.\n\n"]
    assert json.loads(got.steps[0].extra or "") == {"extra": {"actions": [{"command": "grep x y"}], "cost": 0.1}}
    assert got.steps[2].observation.messages[1].extra == json.dumps(
        {"extra": {"exit_status": "LimitsExceeded", "submission": ""}, "role": "exit"}, separators=(",", ":")
    )


def test_version_2_with_tool_calls() -> None:
    wrong = {"choices": [{"message": {"role": "assistant", "content": "Hm.", "tool_calls": [
        {"id": "w", "function": {"name": "bash", "arguments": "{"}}]}}]}  # fmt: skip
    got = read(
        calls("cat x", "ls"),
        tool(1, "a", raw_output="a", returncode=0),
        tool(0, "e", raw_output="cat: x: No such file or directory", returncode=1),
        user("No tool calls.", interrupt_type="FormatError", response=wrong),
        calls("rm x"),
        tool(0, "no", **NOT_EXECUTED),
        user("Commands not executed. The user rejected", interrupt_type="UserRejection"),
        calls(DONE),
        tool(0, "no", **NOT_EXECUTED),
        exits("Submitted", "diff"),
        info={"exit_status": "Submitted", "submission": "diff"},
    )
    assert outcomes(got) == [
        ("error", "no_such_file", "rule:shell/no_such_file"),
        ("ok", None, "no_rule"),
        ("malformed", "unparsable_call", "source:interrupt_type"),
        ("rejected", "refused", "source:interrupt_type"),
        ("ok", None, "source:exit_status"),
    ]
    assert [call.arguments for step in got.steps for call in step.calls][2] == "{"
    assert [step.observation.has_human for step in got.steps] == [False, False, True, False]
    assert (got.answer, got.finish_reason) == ("diff", "stop")


def test_version_2_with_the_responses_api() -> None:
    response = {
        "object": "response",
        "id": "r1",
        "output": [
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]},
            {"type": "function_call", "call_id": "c0", "name": "bash", "arguments": '{"command": "ls"}'},
        ],
        "extra": {"actions": [{"command": "ls", "tool_call_id": "c0"}]},
    }
    answer = {
        "type": "function_call_output",
        "call_id": "c0",
        "output": "a",
        "extra": {"raw_output": "a", "returncode": 0},
    }
    got = read(response, answer, exits("Submitted", "diff"))
    (step,) = got.steps
    assert (step.reasoning.text, step.thinking_chars) == ("Hm.", 3)
    assert step.calls == [Call(id="c0", name="bash", arguments='{"command": "ls"}', **OK)]
    assert step.observation.messages[0].content == "a"
    assert json.loads(step.extra or "")["id"] == "r1"


def test_a_bare_list_of_messages_is_one_record(tmp_path: Path) -> None:
    path = tmp_path / "x.traj.json"
    messages = [*PROMPT, says("ls", "mswea_bash_command"), user("<returncode>0</returncode>\n<output>\n</output>")]
    path.write_text(json.dumps(messages))
    (row,) = import_dump(path, tmp_path / "raw").dataset
    assert (row.task_id, len(row.steps), row.finish_reason, row.extra) == ("x", 1, "unknown", None)


def test_a_damaged_list_of_messages_keeps_the_files_own_text(tmp_path: Path) -> None:
    path = tmp_path / "x.traj.json"
    path.write_text('[{"role": "user"}, nonsense]')
    (unit,) = plan_units(tmp_path, ["x.traj.json"])
    (broken,) = read_segment(tmp_path, unit[0])
    assert (broken.record, broken.raw) == (None, path.read_bytes())
    assert broken.problem == "not JSON: invalid literal, expected 'null': line 1 column 20 (char 19)"


AS_THE_HARNESS = re.compile(r"```(?:bash|mswea_bash_command)\s*\n(.*?)\n```", re.DOTALL)
PIECES = ["```bash", "```mswea_bash_command", "\n", "\n```", "```", " ", "ls", "\n\n", "\t\n"]


@settings(deadline=None, max_examples=500)
@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join), st.integers(0, 5))
def test_fences_are_those_that_the_harness_finds(text: str, start: int) -> None:
    assert list(fenced(text, start)) == AS_THE_HARNESS.findall(text, start)


@pytest.mark.parametrize("piece", ["\n", "```bash\n ", "```bash\n", "```bash\n\n", "\n```", "```bash\nls\n```\n"])
def test_fences_are_found_in_linear_time(piece: str) -> None:
    assert survives(lambda text: list(fenced("```bash" + text)), piece)


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        (("messages",), {}, "messages is an object, expected a list"),
        (("messages", 2), 3, "messages[2] is a number, expected an object"),
        (("messages", 2, "role"), None, "messages[2].role is null, expected a string"),
        (("messages", 2, "content"), 3, "messages[2].content is a number, expected a string, null or a list of parts"),
        (("messages", 2, "role"), "user", "messages has no turn of the model"),
        (("info",), [1], "info is a list, expected an object"),
    ],
)
def test_rejected_records_name_the_place(path: tuple[Any, ...], value: object, reason: str) -> None:
    record = file(says("ls"))
    put(record, path, value)
    with pytest.raises(RejectedRecordError) as error:
        MiniSWEAgent().read(record, CONTEXT)
    assert str(error.value) == reason


def test_which_records_are_recognised() -> None:
    importer = MiniSWEAgent()
    assert importer.recognise(file()) == "trajectory_format mini-swe-agent-1"
    assert OpenAIMessages().recognise(file(calls("ls"))) is None
    bare = {"messages": [says("ls", "mswea_bash_command"), user("<returncode>0</returncode>")]}
    assert importer.recognise(bare) == "messages with mini-swe-agent's fences and return codes"
    plain = [says("ls"), user("<returncode>0</returncode>")]  # the first version's
    told = user("To finish, issue `echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT`.")
    assert importer.recognise({"messages": [told, *plain]}) == importer.recognise(bare)
    assert importer.recognise({"messages": plain}) is None and OpenAIMessages().recognise({"messages": plain}) is None
    others: list[dict[str, Any]] = [
        {},
        {"messages": "x", "trajectory_format": "mini-swe-agent-1"},
        {"messages": [], "trajectory_format": "other-1"},
        bare | {"id": 1},
        {"messages": [says("ls"), user("<returncode>0</returncode>")]},
    ]
    assert not any(importer.recognise(record) for record in others)


BASES = [
    file(
        says("ls", extra={"actions": [{"command": "ls"}]}),
        user("x", raw_output="x", returncode=0),
        user("Wrong.", interrupt_type="FormatError", model_response="I think."),
        calls("ls", DONE),
        tool(0, "x", raw_output="x", returncode=0, exception_info="timed out"),
        tool(1, "x", **NOT_EXECUTED),
        exits("Submitted", "diff"),
        info={"exit_status": "Submitted", "config": {"model": {"model_name": "m", "model_kwargs": {"temperature": 1}}}},
    ),
    file(
        {"object": "response", "output": [{"type": "function_call", "call_id": "c", "name": "b", "arguments": "{}"}]},
        {"type": "function_call_output", "call_id": "c", "output": "x", "extra": {}},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "x"}]},
    ),
]


@settings(deadline=None)
@given(st.data())
def test_a_damaged_record_is_read_or_rejected(data: st.DataObject) -> None:
    outcome(MiniSWEAgent(), damaged(data.draw(st.sampled_from(BASES)), data), CONTEXT)


# Real trajectories.


@pytest.mark.parametrize(
    ("name", "failures", "steps"),
    [("github_issue", {0: "no_such_file", 7: "ZeroDivisionError"}, 10), ("local", {}, 2)],
)
def test_real_trajectories(name: str, failures: dict[int, str], steps: int, tmp_path: Path) -> None:
    path = dump(f"mini-swe-agent/{name}.traj.json")
    (row,) = import_dump(path, tmp_path / "raw").dataset
    assert len(row.steps) == sum(len(step.calls) for step in row.steps) == steps
    assert {at: step.calls[0].error_type for at, step in enumerate(row.steps) if step.failed} == failures
    assert {call.status for step in row.steps for call in step.calls} <= {"ok", "error"}
    assert (row.task_id, row.finish_reason) == (name, "stop")
    messages = json.loads(path.read_bytes())
    assert row.answer == messages[-1]["content"]
    back = [text for step in row.steps for text in (
        f"{step.reasoning.text}{step.action.text}", *(message.content for message in step.observation.messages)
    )]  # fmt: skip
    assert back == [message["content"] for message in messages[2:]]
