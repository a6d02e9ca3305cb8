"""What users do with an export before they import it again: change messages, add columns, change columns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from purify.errors import RejectedRecordError
from purify.exporting.base import RowData
from purify.exporting.config import ExportFormat
from purify.importing import ImportConfig, import_dump
from purify_schemas import Call, Message, Observation, Segment, Step, Trajectory
from tests.exporting.chat_rows import failing_row, in_chat
from tests.exporting.round_trip import exported, imported
from tests.support import call, step, trajectory


def as_objects(records: list[RowData]) -> list[Any]:
    """Records as `load_dataset` gives them: JSON leaves are objects."""

    def leaf(name: str, value: Any) -> Any:
        if name == "purify":
            return json.loads(value)
        if isinstance(value, list) and value and isinstance(value[0], str):
            return [json.loads(item) for item in value]
        return value

    return [{name: leaf(name, value) for name, value in record.items()} for record in records]


def imported_lines(
    records: list[Any], folder: Path, config: ImportConfig | None = None, back: str = "back"
) -> list[Trajectory]:
    folder.joinpath("d.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return list(import_dump(folder / "d.jsonl", folder / back, config).dataset)


@pytest.mark.parametrize("to", ["messages", "verl", "sharegpt", "sts", "atif", "kto"])
def test_changed_messages_are_refused_with_advice(to: ExportFormat) -> None:
    row = failing_row(reward=1.0)
    if to == "kto":
        from purify.exporting.base import Tally
        from purify.exporting.config import ExportConfig
        from purify.exporting.formats.kto import KTO

        records = list(KTO({"g0": 0.5}).records(row, ExportConfig(to="kto"), Tally()))
    else:
        records = exported(to, row)[0]
    (record,) = records

    def changed(value: Any) -> Any:
        if isinstance(value, dict):
            kept = ("purify", "metadata")
            return {name: item if name in kept else changed(item) for name, item in value.items()}
        if isinstance(value, list):
            return [changed(item) for item in value]
        return value.replace("print(a * 7)", "print(EDITED)") if isinstance(value, str) else value

    assert changed(record) != record
    with pytest.raises(RejectedRecordError, match="the messages were changed after purify exported them; remove the"):
        imported(to, [changed(record)])


def test_without_the_member_purify_changed_messages_are_read_as_they_are() -> None:
    (record,), _ = exported("messages", failing_row())
    record["messages"] = [one.replace("print(a * 7)", "print(EDITED)") for one in record["messages"]]
    (back,) = imported("messages", [{**record, "purify": None}])
    assert [call.arguments for turn in back.steps for call in turn.calls][-1] == '{"code":"print(EDITED)"}'


def test_columns_are_read_and_added_ones_survive(tmp_path: Path) -> None:
    row = failing_row(reward=1.0, extra='{"a":1}')
    (record,) = as_objects(exported("messages", row)[0])
    record |= {"quality": 5, "reward": 0.0, "task_id": "other", "reference": "43", "note": None}
    assert imported_lines([record], tmp_path) == [
        in_chat(row).model_copy(
            update={"extra": '{"a":1,"quality":5}', "reward": 0.0, "task_id": "other", "reference": "43"}
        )
    ]


@pytest.mark.parametrize("to", ["messages", "pretokenized"])
def test_options_win_over_what_a_record_carries(to: ExportFormat, tmp_path: Path) -> None:
    failed = call("numbr", "error", error_type="NameError")
    row = trajectory(
        step(failed, reasoning_ids=[2], action_ids=[3], observation_ids=[4]),
        prompt_ids=[1],
    )
    records = as_objects(exported(to, row)[0])
    if to == "pretokenized":
        records = [{**record, "trajectory": json.loads(record["trajectory"])} for record in records]
    (told,) = imported_lines(records, tmp_path)
    assert (told.group_id, told.task_id, told.source.revision) == (row.group_id, row.task_id, None)
    assert (told.tool_state[0].state, told.steps[0].calls) == ("stateless", [failed])

    config = ImportConfig(tool_state={"python": "external"}, policy="step-9", task_by="prompt")
    (asked,) = imported_lines(records, tmp_path, config, "asked")
    assert [(state.name, state.state) for state in asked.tool_state] == [("python", "external")]
    assert (asked.trajectory_id, asked.source.revision) == (row.trajectory_id, "step-9")
    assert row.task_id != asked.task_id and asked.group_id not in (row.group_id, asked.task_id)


def test_columns_of_token_ids_are_read_and_added_ones_survive(tmp_path: Path) -> None:
    row = trajectory(step(think="42", reasoning_ids=[10, 11]), prompt_ids=[5], reward=1.0)
    (record,), _ = exported("pretokenized", row)
    record = {**record, "trajectory": json.loads(record["trajectory"]), "reward": 0.0, "quality": 5}
    assert imported_lines([record], tmp_path) == [row.model_copy(update={"reward": 0.0, "extra": '{"quality":5}'})]
    masked = {**record, "labels": [-100, -100, 11], "loss_mask": [0, 0, 1]}
    with pytest.raises(RejectedRecordError, match="the mask was changed after purify exported it; remove the members"):
        imported("pretokenized", [{**masked, "trajectory": json.dumps(masked["trajectory"])}])


def test_a_session_keeps_what_was_added_to_its_header() -> None:
    row = failing_row()
    (record,), _ = exported("sts", row)
    record["lines"][0]["reviewer"] = "me"
    assert imported("sts", [record]) == [in_chat(row).model_copy(update={"extra": '{"reviewer":"me"}'})]


@pytest.mark.parametrize("to", ["messages", "verl", "sharegpt"])
@pytest.mark.parametrize("text", ["Here:\n```python\nx=1\n```", "Use <code>x</code>.", 'See <tool_call>{"name":"x"}'])
def test_texts_that_look_like_other_formats_are_read_by_the_right_one(to: ExportFormat, text: str) -> None:
    row = trajectory(step(think=text))
    records, _ = exported(to, row)
    (back,) = imported(to, records)
    assert back == row or to == "sharegpt"
    assert back.steps[0].calls == []


def answered(*messages: Message, ids: tuple[str, ...] = ("a",)) -> Trajectory:
    calls = [Call(id=each, name="f", arguments="{}", status="ok") for each in ids]
    first = Step(
        reasoning=Segment(text="So"), calls=calls, observation=Observation(messages=list(messages)), thinking_chars=0
    )
    return trajectory(first, step(think="done"))


@pytest.mark.parametrize("to", ["messages", "verl", "sts", "atif"])
@pytest.mark.parametrize(
    "row",
    [
        answered(Message(role="tool", content="1")),
        answered(Message(role="tool", content="1", call_id="purify_call_9_9"), ids=("purify_call_9_9",)),
        answered(Message(role="tool", content="1", call_id="a"), Message(role="assistant", content="sub-agent")),
        trajectory(step(think="2")).model_copy(
            update={"messages": [Message(role="user", content="1+0?"), Message(role="assistant", content="1")]}
        ),
    ],
    ids=["result without id", "id like a made one", "another's turn between", "demonstration"],
)
def test_come_back_exactly(to: ExportFormat, row: Trajectory) -> None:
    records, tally = exported(to, row)
    assert imported(to, records) == [row]
    others = [*row.messages, *row.steps[0].observation.messages]
    not_sampled = any(message.role == "assistant" for message in others)
    assert tally.lost == ({"not_sampled": 1} if not_sampled and to in ("messages", "verl") else {})


def test_calls_without_raw_text_keep_their_names() -> None:
    bad = Call(id="b", name="search", arguments="{oops", status="malformed")
    row = trajectory(step(call("1").model_copy(update={"id": "a"}), bad, think="So: "))
    messages = [Message(role="tool", content="1", call_id="a"), Message(role="tool", content="bad", call_id="b")]
    row = row.model_copy(
        update={"steps": [row.steps[0].model_copy(update={"observation": Observation(messages=messages)})]}
    )
    (record,), tally = exported("messages", row)
    assert [json.loads(one) for one in record["messages"][1:]] == [
        {
            "role": "assistant",
            "content": 'So: {"name": "python", "arguments": {"code": "1"}}\n{"name": "search", "arguments": "{oops"}',
        },
        {"role": "tool", "content": "1"},
        {"role": "tool", "content": "bad"},
    ]
    assert tally.lost == {"malformed_calls": 1}


TOOLS_LOST = ("python(code)", "[1]", "[null]", '["python"]', '"x"')


@pytest.mark.parametrize("to", ["messages", "verl", "sharegpt", "sts", "atif"])
@pytest.mark.parametrize("tools", [*TOOLS_LOST, '[{"type":"function","function":"x"}]'])
def test_tools_that_are_none_are_a_loss(to: ExportFormat, tools: str) -> None:
    row = trajectory(step(think="1")).model_copy(update={"tools": tools})
    records, tally = exported(to, row)
    lost = tools in TOOLS_LOST and to not in ("sts", "atif")
    assert ("tools" in tally.lost) == lost
    (back,) = imported(to, records)
    assert back.tools == (None if lost else tools)


@pytest.mark.parametrize("to", ["messages", "verl", "sts", "atif"])
@pytest.mark.parametrize("calls", ['[{"id":"x"}]', "[3]", '[{"function":{"arguments":"{}"}}]', "oops"])
def test_a_prompt_call_without_a_name_is_text(to: ExportFormat, calls: str) -> None:
    shown = Message(role="assistant", content="So ", tool_calls=calls)
    row = trajectory(step(think="1"))
    row = row.model_copy(update={"messages": [*row.messages, shown]})
    records, tally = exported(to, row)
    (back,) = imported(to, records)
    assert back.steps == row.steps
    if to == "atif":
        assert back == row and not tally.lost
    else:
        assert (back.messages[1].content, back.messages[1].tool_calls) == (f"So {calls}", None)
        assert "malformed_calls" in tally.lost
