from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from purify.datasets import Dataset
from purify.errors import RejectedRecordError
from purify.failures import Rules
from purify.importing import import_dump
from purify.importing.base import RecordContext
from purify.importing.formats.inspect_archive import read_inspect_archive
from purify.importing.formats.inspect_logs import InspectLog
from purify_schemas import Call, Message, Observation, Reward, Segment, Step, ToolState, Trajectory
from tests.importing.damage import damaged, outcome, put
from tests.support import dump

CONTEXT = RecordContext("log.json", 0, Rules.load("inspect"))
OK: dict[str, Any] = {"status": "ok", "status_source": "no_rule"}


def asks(text: str = "6 x 7?", **message: Any) -> dict[str, Any]:
    return {"role": "user", "content": text, **message}


def says(content: Any, *calls: dict[str, Any], **message: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, "source": "generate", "tool_calls": list(calls), **message}


def calls(call_id: str, function: str = "bash", **arguments: Any) -> dict[str, Any]:
    return {"id": call_id, "function": function, "arguments": arguments, "type": "function"}


def gives(call_id: str, content: str, function: str = "bash", **message: Any) -> dict[str, Any]:
    return {"role": "tool", "content": content, "tool_call_id": call_id, "function": function, **message}


def sample(*messages: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"id": 3, "epoch": 1, "input": "6 x 7?", "target": "42", "messages": list(messages), **fields}


def log(*samples: dict[str, Any], **evaluation: Any) -> dict[str, Any]:
    return {
        "version": 2,
        "status": "success",
        "eval": {"task": "sums", "model": "openai/gpt", "model_generate_config": {}, **evaluation},
        "samples": list(samples),
    }


def read(*samples: dict[str, Any], **evaluation: Any) -> list[Trajectory]:
    return InspectLog().read(log(*samples, **evaluation), CONTEXT)


def test_a_sample_becomes_a_trajectory() -> None:
    (row,) = read(
        sample(
            {"role": "system", "content": "Use bash."},
            asks(source="input"),
            says(
                [{"type": "reasoning", "reasoning": "easy"}, {"type": "text", "text": "I run it."}], calls("a", cmd="x")
            ),
            gives("a", "bash: line 1: x: command not found"),
            asks("Go on."),
            says("", calls("b", cmd="echo 42")),
            gives("b", "42"),
            says("42"),
            scores={"match": {"value": "C", "answer": "42", "explanation": "42"}},
            output={"model": "gpt-1", "choices": [{"stop_reason": "stop"}], "completion": "it is 42"},
            epoch=2,
        ),
        model_generate_config={"temperature": 0.5, "top_p": 0.9, "seed": None},
    )
    assert row.messages == [
        Message(role="system", content="Use bash."),
        Message(role="user", content="6 x 7?", extra='{"source":"input"}'),
    ]
    assert row.steps[0] == Step(
        reasoning=Segment(text="easyI run it."),
        thinking_chars=4,
        calls=[
            Call(
                id="a",
                name="bash",
                arguments='{"cmd":"x"}',
                status="error",
                error_type="command_not_found",
                status_source="rule:shell/not_found",
            )
        ],
        observation=Observation(
            messages=[
                Message(role="tool", name="bash", content="bash: line 1: x: command not found", call_id="a"),
                Message(role="user", content="Go on."),
            ]
        ),
        extra=json.dumps(
            {
                "source": "generate",
                "content": [{"type": "reasoning", "reasoning": "easy"}, {"type": "text", "text": "I run it."}],
            },
            separators=(",", ":"),
        ),
    )
    assert row.steps[1].calls == [Call(id="b", name="bash", arguments='{"cmd":"echo 42"}', **OK)]
    assert row.steps[2] == Step(reasoning=Segment(text="42"), extra='{"source":"generate"}')
    assert row.tool_state == [ToolState(name="bash", state="external")]
    assert (row.task_id, row.sample_index, row.answer, row.reference) == ("sums/3", 1, "42", "42")
    assert (row.reward, row.rewards, row.finish_reason) == (1.0, [Reward(name="match", value=1.0)], "stop")
    assert (row.source.framework, row.source.format, row.source.model) == ("inspect_ai", "inspect", "openai/gpt")
    assert (row.source.temperature, row.source.sampling) == (0.5, '{"top_p":0.9}')
    extra = json.loads(row.extra or "")
    assert extra["log"]["status"] == "success"
    assert extra["scores"]["match"]["explanation"] == "42"
    assert "messages" not in extra


def test_epochs_of_a_sample_are_one_group_and_other_samples_another() -> None:
    first, again, other = read(
        sample(asks(), says("42")),
        sample(asks(), says("41"), epoch=2),
        sample(asks(), says("a"), id="x", target=["a", "b"]),
    )
    assert first.group_id == again.group_id != other.group_id
    assert len({row.trajectory_id for row in (first, again, other)}) == 3
    assert (again.sample_index, other.task_id, other.reference) == (1, "sums/x", '["a","b"]')


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("parsing", "malformed"),
        ("timeout", "timeout"),
        ("unicode_decode", "error"),
        ("permission", "error"),
        ("file_not_found", "error"),
        ("is_a_directory", "error"),
        ("limit", "error"),
        ("output_limit", "error"),
        ("unknown", "error"),
        ("approval", "rejected"),
        ("sandbox_unavailable", "infra"),
        ("cancelled", "unknown"),
    ],
)
def test_a_structured_tool_error_decides(kind: str, status: str) -> None:
    error = {"type": kind, "message": "..."}
    (row,) = read(sample(asks(), says("", calls("a")), gives("a", "all is well", error=error)))
    (call,) = row.steps[0].calls
    assert (call.status, call.error_type, call.status_source) == (status, kind, "source:error")
    assert json.loads(row.steps[0].observation.messages[0].extra or "") == {"error": error}


def test_a_call_that_inspect_could_not_parse_is_malformed() -> None:
    (row,) = read(sample(asks(), says("", calls("a") | {"parse_error": "no JSON"})))
    (call,) = row.steps[0].calls
    assert (call.status, call.status_source) == ("malformed", "source:parse_error")


def test_a_submission_that_basic_agent_refuses_is_rejected() -> None:
    again = "Your submission was incorrect. Please proceed and attempt to find the correct answer."
    (row,) = read(
        sample(
            asks(),
            says("", calls("a", "submit", answer="41")),
            gives("a", "41", "submit"),
            asks(again),
            says("", calls("b", "submit", answer="42")),
            gives("b", "42", "submit"),
        )
    )
    assert [(call.status, call.error_type) for step in row.steps for call in step.calls] == [
        ("rejected", "wrong_answer"),
        ("ok", None),
    ]
    assert row.steps[0].observation.messages[1] == Message(role="user", content=again)


def test_attachments_are_resolved_in_messages_wherever_they_stand() -> None:
    (row,) = read(
        sample(
            asks("attachment://aa"),
            says("", calls("a", cmd="attachment://bb")),
            gives("a", "attachment://none"),
            attachments={"aa": "What?", "bb": "ls"},
        )
    )
    assert row.messages[0].content == "What?"
    assert row.steps[0].calls[0].arguments == '{"cmd":"ls"}'
    assert row.steps[0].observation.messages[0].content == "attachment://none"


def test_a_hosted_tools_call_inside_the_content_and_a_users_payload_for_calls_are_kept() -> None:
    hosted = {
        "type": "tool_use",
        "tool_type": "web_search",
        "id": "w",
        "name": "search",
        "arguments": "x",
        "result": "y",
    }
    (row,) = read(sample(asks(), says([hosted, {"type": "text", "text": "Found."}]), asks("p", tool_call_id=["a"])))
    (step,) = row.steps
    assert step.reasoning.text == "Found."
    assert json.loads(step.extra or "")["content"] == [hosted, {"type": "text", "text": "Found."}]
    assert step.observation.messages == [Message(role="user", content="p", extra='{"tool_call_ids":["a"]}')]


def test_demonstrations_of_the_input_stay_in_the_prompt() -> None:
    (shown,) = read(sample(asks("1?"), says("1", source="input"), asks("2?"), says("2")))
    assert [message.role for message in shown.messages] == ["user", "assistant", "user"]
    assert [step.reasoning.text for step in shown.steps] == ["2"]


def test_a_sample_without_a_turn_is_no_row_and_kept_with_the_first() -> None:
    broken = sample(asks(), error={"message": "no sandbox", "traceback": "..."})
    first, second = read(broken, sample(asks(), says("1")), sample(asks(), says("2")))
    assert json.loads(first.extra or "")["samples_without_a_turn"] == [broken]
    assert "samples_without_a_turn" not in json.loads(second.extra or "")
    assert first.trajectory_id == read(sample(asks(), says("0")), sample(asks(), says("1")))[1].trajectory_id
    with pytest.raises(RejectedRecordError, match=r"^no turn of the model in 2 samples$"):
        read(broken, broken)


def test_what_a_log_lists_of_all_its_samples_stands_in_the_first_row() -> None:
    record = log(*(sample(asks(), says("1"), id=n) for n in range(3)), dataset={"name": "d", "sample_ids": [0, 1, 2]})
    record["reductions"] = [{"scorer": "match", "samples": [{"value": 1, "sample_id": n} for n in range(3)]}]
    first, *others = (json.loads(row.extra or "")["log"] for row in InspectLog().read(record, CONTEXT))
    assert first == {key: value for key, value in record.items() if key != "samples"}
    assert len(others) == 2
    for rest in others:
        assert "reductions" not in rest
        assert rest["eval"] == {**record["eval"], "dataset": {"name": "d"}}


def test_events_give_tools_and_durations_and_are_kept_without_the_conversation() -> None:
    bash = {"name": "bash", "description": "Runs.", "parameters": {"type": "object", "properties": {}}}
    events = [
        {"event": "model", "input": [asks()], "tools": [bash], "call": {"request": {}}, "config": {}},
        {"event": "model", "input": [asks()], "tools": [bash, {"name": "submit"}]},
        {"event": "tool", "id": "a", "working_time": 1.5},
    ]
    (row,) = read(sample(asks(), says("", calls("a"), calls("b")), gives("a", "x"), gives("b", "y"), events=events))
    assert json.loads(row.tools or "") == [
        {"type": "function", "function": bash},
        {"type": "function", "function": {"name": "submit"}},
    ]
    assert [call.duration_s for call in row.steps[0].calls] == [1.5, None]
    assert json.loads(row.extra or "")["events"] == [
        {"event": "model", "tools": [bash], "config": {}},
        {"event": "model", "tools": [bash, {"name": "submit"}]},
        {"event": "tool", "id": "a", "working_time": 1.5},
    ]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("C", [("s", 1.0)]),
        ("I", [("s", 0.0)]),
        ("P", [("s", 0.5)]),
        ("N", [("s", 0.0)]),
        ("Yes", [("s", 1.0)]),
        ("false", [("s", 0.0)]),
        ("0.25", [("s", 0.25)]),
        (True, [("s", 1.0)]),
        (7, [("s", 7.0)]),
        ("NaN", []),
        ("c", []),
        (None, []),
        ([1], []),
        ({"a": "C", "b": 0.5, "c": "?"}, [("s.a", 1.0), ("s.b", 0.5)]),
    ],
)
def test_scores_become_rewards(value: Any, expected: list[tuple[str, float]]) -> None:
    (row,) = read(sample(asks(), says("42"), scores={"s": {"value": value}}))
    assert [(reward.name, reward.value) for reward in row.rewards] == expected
    assert row.reward == (expected[0][1] if expected else None)


@pytest.mark.parametrize(
    ("fields", "finish"),
    [
        ({"limit": {"type": "message", "limit": 50}}, "max_turns"),
        ({"limit": {"type": "turn", "limit": 5}}, "max_turns"),
        ({"limit": {"type": "token", "limit": 5}}, "length"),
        ({"limit": {"type": "context", "limit": 5}}, "length"),
        ({"limit": {"type": "time", "limit": 5}, "output": {"choices": [{"stop_reason": "stop"}]}}, "unknown"),
        ({"error": {"message": "down"}, "limit": {"type": "message"}}, "error"),
        ({"output": {"choices": [{"stop_reason": "tool_calls"}]}}, "stop"),
        ({"output": {"choices": [{"stop_reason": "model_length"}]}}, "length"),
        ({"output": {"choices": [{"stop_reason": "content_filter"}]}}, "unknown"),
        ({}, "unknown"),
    ],
)
def test_how_a_sample_ended(fields: dict[str, Any], finish: str) -> None:
    (row,) = read(sample(asks(), says("42"), **fields))
    assert row.finish_reason == finish


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        (("samples",), {}, "samples is an object, expected a list"),
        (("samples", 0), 3, "samples[0] is a number, expected an object"),
        (("samples", 0, "messages"), None, "samples[0].messages is null, expected a list"),
        (("samples", 0, "messages", 1), "x", "samples[0].messages[1] is a string, expected an object"),
        (("samples", 0, "messages", 1, "role"), 3, "samples[0].messages[1].role is a number, expected a string"),
        (("samples", 0, "messages", 1, "content"), 3, "samples[0].messages[1].content is a number, expected"),
        (("samples", 0, "events"), True, "samples[0].events is a boolean, expected a list"),
        (("samples", 0, "scores"), [], "samples[0].scores is a list, expected an object or null"),
        (("eval",), 3, "eval is a number, expected an object"),
    ],
)
def test_rejected_records_name_the_place(path: tuple[Any, ...], value: object, reason: str) -> None:
    record = log(sample(asks(), says("42")))
    put(record, path, value)
    with pytest.raises(RejectedRecordError) as error:
        InspectLog().read(record, CONTEXT)
    assert str(error.value).startswith(reason)


def test_other_records_are_not_recognised() -> None:
    assert InspectLog().recognise(log()) == "inspect log: eval, status, samples"
    others: list[dict[str, Any]] = [{}, {"eval": {}, "samples": []}, log() | {"eval": "x"}, log() | {"samples": None}]
    assert not any(InspectLog().recognise(record) for record in others)


BASE = log(
    sample(
        asks(source="input"),
        says([{"type": "text", "text": "t"}], calls("a", cmd="attachment://aa")),
        gives("a", "x", error={"type": "timeout", "message": "m"}),
        asks("Your submission was incorrect"),
        says("42"),
        scores={"s": {"value": "C", "answer": "42"}},
        output={"choices": [{"stop_reason": "stop"}], "completion": "42"},
        limit={"type": "message", "limit": 3},
        attachments={"aa": "ls"},
        events=[{"event": "model", "tools": [{"name": "bash"}]}, {"event": "tool", "id": "a", "working_time": 1.0}],
    ),
    model_generate_config={"temperature": 1.0},
)


@settings(deadline=None)
@given(st.data())
def test_a_damaged_record_is_read_or_rejected(data: st.DataObject) -> None:
    outcome(InspectLog(), damaged(BASE, data), CONTEXT)


# Real logs.


def test_the_real_log_of_tool_errors() -> None:
    """It holds no turn of a model; with the turn that made the calls in front, every error is found."""
    record = json.loads(dump("inspect/log_tool_call_error.json").read_bytes())
    with pytest.raises(RejectedRecordError, match=r"^no turn of the model in 1 samples$"):
        InspectLog().read(record, CONTEXT)

    messages = record["samples"][0]["messages"]
    turn = says("", *(calls(message["tool_call_id"]) for message in messages))
    record["samples"][0]["messages"] = [turn, *messages]
    (row,) = InspectLog().read(record, CONTEXT)
    (step,) = row.steps
    assert row.sample_index == 3
    assert [call.status for call in step.calls] == [
        "malformed", "timeout", "malformed", "error", "error", "error", "error", "error", "rejected", "error", "error",
    ]  # fmt: skip
    assert [message.call_id for message in step.observation.messages] == [f"bash_{n}" for n in range(1, 12)]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> list[Trajectory]:
    return list(import_dump(dump("inspect/log.eval"), tmp_path_factory.mktemp("inspect") / "raw").dataset)


def test_the_real_archive(archive: list[Trajectory]) -> None:
    assert [int(row.task_id.removeprefix("inspect_evals/luce_intercode_ctf/")) for row in archive] == [
        15, 19, 31, 47, 50, 56, 61, 64, 65, 72, 78, 83, 86, 93, 97,
    ]  # fmt: skip
    assert [len(row.steps) for row in archive] == [10, 2, 4, 12, 8, 24, 6, 4, 5, 7, 24, 7, 24, 5, 5]
    assert [row.reward for row in archive] == [0, 1, 1, 0, 1, 0, 1, 1, 1, 1, 0, 0, 0, 1, 1]
    assert [row.source.row for row in archive] == list(range(15))
    assert {row.finish_reason for row in archive if len(row.steps) < 24} == {"stop"}
    assert {row.finish_reason for row in archive if len(row.steps) == 24} == {"max_turns"}
    found = sorted(
        f"{call.name} {call.status} {call.error_type} {call.status_source}"
        for row in archive
        for step in row.steps
        for call in step.calls
        if call.status != "ok"
    )
    assert found == [
        *["bash error command_not_found rule:shell/not_found"] * 5,
        "bash error unicode_decode source:error",
        *["python error NameError rule:exceptions/exception"] * 8,
        "python error ValueError rule:exceptions/exception",
        *["python timeout timeout source:error"] * 5,
        "python unknown None no_result",
        *["submit rejected wrong_answer source:basic_agent"] * 10,
    ]
    assert sum(len(step.calls) for row in archive for step in row.steps) == 121
    logs = [json.loads(row.extra or "")["log"] for row in archive]
    assert ["reductions" in one for one in logs] == [True] + [False] * 14
    assert ["sample_ids" in one["eval"]["dataset"] for one in logs] == [True] + [False] * 14
    names = [definition["function"]["name"] for definition in json.loads(archive[0].tools or "")]
    assert names == ["bash", "python", "submit"]


def test_an_archive_and_the_same_log_as_json_are_the_same_rows(archive: list[Trajectory], tmp_path: Path) -> None:
    from inspect_ai.log import read_eval_log, write_eval_log

    whole = read_eval_log(str(dump("inspect/log.eval")))
    write_eval_log(whole, str(tmp_path / "log.json"), format="json")
    rows = list(import_dump(tmp_path / "log.json", tmp_path / "raw").dataset)
    told = {"trajectory_id", "group_id", "source", "extra"}
    by_task = {row.task_id: row.model_dump(exclude=told) for row in rows}
    assert by_task == {row.task_id: row.model_dump(exclude=told) for row in archive}


def test_a_written_archive_with_a_sample_that_is_not_readable(tmp_path: Path) -> None:
    import zipfile

    source, broken = dump("inspect/log.eval"), tmp_path / "broken.eval"
    with zipfile.ZipFile(source) as given, zipfile.ZipFile(broken, "w") as made:
        for name in given.namelist():
            made.writestr(name, "{" if name == "samples/19_epoch_1.json" else given.read(name))
    dataset: Dataset = import_dump(broken, tmp_path / "raw").dataset
    assert (dataset.manifest.records_in, dataset.manifest.rows, dataset.manifest.rejected) == (15, 14, 1)
    reads = list(read_inspect_archive(broken))
    assert [read.row for read in reads if read.problem] == [1]
    assert (reads[1].problem or "").startswith("sample 19 of epoch 1 is not readable (")


def test_an_archive_that_unpacks_to_far_more_than_it_is_is_not_read(tmp_path: Path) -> None:
    import zipfile

    source, bomb = dump("inspect/log.eval"), tmp_path / "bomb.eval"
    with zipfile.ZipFile(source) as given, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as made:
        for name in given.namelist():
            swollen = name == "samples/19_epoch_1.json"
            made.writestr(name, b'{"id":"' + b"A" * (20 * 2**20) + b'"}' if swollen else given.read(name))
    (read,) = read_inspect_archive(bomb)
    assert (read.record, read.raw) == (None, None)
    assert (read.problem or "").startswith(
        "this inspect archive is not read: samples/19_epoch_1.json in it unpacks to 20,971,529 bytes out of "
    )


def test_a_file_that_is_no_archive_is_one_unreadable_record(tmp_path: Path) -> None:
    path = tmp_path / "x.eval"
    path.write_bytes(b"hello")
    (read,) = read_inspect_archive(path)
    assert (read.record, (read.problem or "").startswith("not a readable inspect archive (")) == (None, True)


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    return done.stdout + done.stderr


def test_importing_the_stage_loads_nothing_of_inspect() -> None:
    assert run("import purify.importing.stage, sys; assert 'inspect_ai' not in sys.modules") == ""


def test_without_the_library_the_error_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['inspect_ai'] = None\n"
        "from pathlib import Path\n"
        "from purify.errors import PurifyError\n"
        "from purify.importing.formats.inspect_archive import read_inspect_archive\n"
        "try:\n    next(read_inspect_archive(Path('x.eval')))\nexcept PurifyError as error:\n    print(error)\n"
    )
    assert run(code).strip().endswith("install it with: pip install 'purify-trajectories[inspect]'")
