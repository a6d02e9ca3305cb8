"""Formats `verl` and `verl-prompts`, read the way verl 0.9 reads them.

verl itself needs Ray and an older transformers, so its reading is made again here from
verl/utils/dataset/multiturn_sft_dataset.py (`_read_files_and_process`, `_process_single_message`,
`_build_messages`) and verl/utils/dataset/rl_dataset.py (`_read_files_and_tokenize`, `__getitem__`).
"""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pytest
from hypothesis import given, settings
from typer.testing import CliRunner

from purify.datasets import Dataset
from purify.exporting import ExportConfig, export
from purify.importing import import_dump
from purify.json_text import dump_json
from purify_cli.main import app
from purify_schemas import Message, Observation, Source, Trajectory
from tests.exporting.chat_rows import TOOLS, chat_rows, cleaned, failing_row, in_chat, thinking_row
from tests.exporting.chat_rows import toy as toy
from tests.exporting.round_trip import exported, imported, unedited
from tests.support import dump, step, trajectory, write_dataset


def as_verl_reads(folder: Path, *, decoded: bool = True) -> list[tuple[list[dict[str, Any]], Any]]:
    """(messages, tools) of each record: structs as dicts, tools decoded as the module's `JsonTools` does."""
    files = sorted((folder / "data").glob("*.parquet"))
    frame = pd.concat([pd.read_parquet(path, dtype_backend="pyarrow") for path in files])
    tools = frame["tools"].tolist()
    if decoded:
        tools = [json.loads(text) if text else None for text in tools]
    rows = [frame.iloc[at].to_dict()["messages"] for at in range(len(frame))]
    return list(zip(rows, tools, strict=True))


def test_messages_are_structs_and_arguments_text(tmp_path: Path) -> None:
    write_dataset(tmp_path / "raw", [thinking_row(), trajectory(step(think="Hi."), id="t1")])
    report = export(tmp_path / "raw", tmp_path / "out", ExportConfig(to="verl"))
    (messages, tools), (plain, none) = as_verl_reads(tmp_path / "out")
    assert tools == TOOLS and none is None and report.lost == {"null_texts": 1}
    nothing = {"reasoning_content": None, "name": None, "tool_calls": None, "tool_call_id": None}
    assert messages[1] == {
        "role": "assistant",
        "content": "Let me see.",
        "reasoning_content": "I divide.",
        "name": None,
        "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "python", "arguments": '{"code":"1/0"}'}},
            {"id": "c2", "type": "function", "function": {"name": "search", "arguments": '{"query":"π"}'}},
        ],
        "tool_call_id": None,
    }
    assert plain == [
        {"role": "user", "content": "What is 6 times 7?", **nothing},
        {"role": "assistant", "content": "Hi.", **nothing},
    ]


class MultiTurnSFTDataset:
    """What the class of that name, on which `JsonTools` builds, does with a file."""

    def __init__(self, folder: Path) -> None:
        self._read = as_verl_reads(folder, decoded=False)
        self._read_files_and_process()

    def _read_files_and_process(self) -> None:
        self.tools: list[Any] = [tools for _, tools in self._read]

    def _build_messages(self, example: dict[str, Any]) -> Any:
        return example["messages"]


@pytest.mark.parametrize("template", ["qwen3_5_think", "glm4moe", "qwen2_5"])
def test_the_dataset_class_of_the_docstring_gives_objects(template: str, tmp_path: Path, toy: Any) -> None:
    import trl

    from purify.exporting.formats import verl

    given: dict[str, Any] = {"json": json, "MultiTurnSFTDataset": MultiTurnSFTDataset}
    code = (verl.__doc__ or "").split("    class JsonTools")[1].split("    purify export")[0]
    exec(textwrap.dedent("    class JsonTools" + code), given)
    write_dataset(tmp_path / "raw", [thinking_row(), trajectory(step(think="Hi."), id="t1")])
    export(tmp_path / "raw", tmp_path / "out", ExportConfig(to="verl"))
    data = given["JsonTools"](tmp_path / "out")
    assert data.tools == [TOOLS, None]
    messages = data._build_messages({"messages": as_verl_reads(tmp_path / "out")[0][0]})
    assert [call["function"]["arguments"] for call in messages[1]["tool_calls"]] == [{"code": "1/0"}, {"query": "π"}]
    source = (Path(trl.__file__).parent / f"chat_templates/{template}.jinja").read_text()
    text = toy[1].apply_chat_template(messages, tools=TOOLS, chat_template=source, tokenize=False)
    assert "1/0" in text and '\\"' not in text


def test_each_message_is_rendered_alone(tmp_path: Path, toy: Any) -> None:
    source = cleaned(tmp_path, [failing_row()])
    export(source, tmp_path / "out", ExportConfig(to="verl"))
    ((messages, tools),) = as_verl_reads(tmp_path / "out")
    pieces = [
        toy[1].apply_chat_template([message], tools=tools if at == 0 else None, tokenize=False)
        for at, message in enumerate(messages)
    ]
    assert "".join(pieces) == toy[1].apply_chat_template(messages, tools=tools, tokenize=False)
    assert pieces[1] == (
        '<|im_start|>assistant\nSet up.\n<tool_call>\n{"name": "python", "arguments": {"code":"a = 6"}}\n</tool_call>'
        "<|im_end|>\n"
    )
    assert "SyntaxError" not in "".join(pieces)


@settings(deadline=None, max_examples=40)
@given(chat_rows())
def test_rows_come_back(row: Trajectory) -> None:
    records, tally = exported("verl", row)
    assert imported("verl", records) == [in_verl(row)]
    assert tally.lost or in_verl(row) == unedited(row)


def in_verl(row: Trajectory) -> Trajectory:
    """As in a chat, but for the arguments of others' calls, which are text."""
    row = in_chat(row)
    steps = []
    for turn in row.steps:
        messages = [_texts(message) for message in turn.observation.messages]
        steps.append(turn.model_copy(update={"observation": Observation(messages=messages)}))
    return row.model_copy(update={"steps": steps, "messages": [_texts(message) for message in row.messages]})


def _texts(message: Message) -> Message:
    if message.tool_calls is None:
        return message
    calls = [
        {
            **({"id": one["id"]} if "id" in one else {}),
            "type": "function",
            "function": {**one["function"], "arguments": dump_json(one["function"]["arguments"]) or "{}"},
        }
        for one in json.loads(message.tool_calls)
    ]
    return message.model_copy(update={"tool_calls": dump_json(calls)})


@pytest.mark.parametrize("name", ["mint", "tau-bench", "sharegpt"])
def test_real_rollouts_come_back(name: str, tmp_path: Path) -> None:
    raw = import_dump(dump(name), tmp_path / "raw").dataset
    export(tmp_path / "raw", tmp_path / "out", ExportConfig(to="verl"))
    read = as_verl_reads(tmp_path / "out")
    assert len(read) == len(raw) and all(isinstance(message["content"], str) for row, _ in read for message in row)
    assert list(import_dump(tmp_path / "out/data", tmp_path / "back").dataset) == [in_chat(row) for row in raw]


def task(id: str, task_id: str, reference: str | None = "42", **more: Any) -> Trajectory:
    return trajectory(step(think="42"), id=id, group=task_id).model_copy(update={"reference": reference, **more})


def prompts(folder: Path) -> list[dict[str, Any]]:
    """As verl loads them: `datasets`, file by file."""
    files = sorted((folder / "data").glob("*.parquet"))
    parts = [
        datasets.load_dataset("parquet", data_files=str(path), split="train", cache_dir=str(folder.parent / "cache"))
        for path in files
    ]
    return list(datasets.concatenate_datasets(parts))


def test_one_prompt_for_each_task_over_all_shards(tmp_path: Path) -> None:
    rows = [
        task("a0", "a", None),
        task("b0", "b"),
        task("a1", "a", "7", tools=json.dumps(TOOLS)),  # the first of its task with a reference
        task("c0", "c", None),
        task("b0", "b"),  # the same sample twice
        task("a2", "a", "8"),
        task("d0", "b", source=Source(framework="other")),  # another source's task of that name
    ]
    write_dataset(tmp_path / "raw", rows, shards=3)
    reports = [
        export(tmp_path / "raw", tmp_path / f"out{workers}", ExportConfig(to="verl-prompts"), workers=workers)
        for workers in (1, 2)
    ]
    assert reports[0] == reports[1]
    assert reports[0].skipped == {
        "another sample of a task that has its record": 3,
        "no reference answer, which verl's rewards compare with": 1,
    }
    found = prompts(tmp_path / "out1")
    assert [(one["data_source"], one["reward_model"]["ground_truth"]) for one in found] == [
        ("unknown", "42"),
        ("unknown", "7"),
        ("other", "42"),
    ]
    assert found[1] == {
        "data_source": "unknown",
        "prompt": [{"role": "user", "content": "What is 6 times 7?"}],
        "ability": "tools",
        "reward_model": {"style": "rule", "ground_truth": "7"},
        "extra_info": {
            "split": "train",
            "index": 0,
            "task_id": "a",
            "samples": 3,
            "need_tools_kwargs": False,
            "tools": json.dumps(TOOLS),
        },
    }
    assert sorted(one["extra_info"]["index"] for one in found) == [0, 1, 3]


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([], "no prompt"),
        ([Message(role="user")], "a prompt that is not text alone (calls, tool results, images)"),
        (
            [Message(role="user", content="x"), Message(role="tool", content="x")],
            "a prompt that is not text alone (calls, tool results, images)",
        ),
    ],
)
def test_what_no_prompt_holds_is_said(messages: list[Message], reason: str, tmp_path: Path) -> None:
    write_dataset(tmp_path / "raw", [task("a", "a"), task("b", "b", messages=messages)])
    report = export(tmp_path / "raw", tmp_path / "out", ExportConfig(to="verl-prompts"))
    assert report.records == 1 and report.skipped == {reason: 1}


def test_real_tasks(tmp_path: Path) -> None:
    raw = import_dump(dump("nemo-gym"), tmp_path / "raw").dataset
    report = export(tmp_path / "raw", tmp_path / "out", ExportConfig(to="verl-prompts"))
    assert report.records == 15 and report.records + sum(report.skipped.values()) == len(Dataset.open(raw.path))


@pytest.mark.parametrize("kind", ["verl", "verl-prompts"])
def test_from_the_command_line(kind: str, tmp_path: Path) -> None:
    write_dataset(tmp_path / "raw", [failing_row()])
    result = CliRunner().invoke(app, ["export", str(tmp_path / "raw"), "-o", str(tmp_path / "out"), "--to", kind])
    assert result.exit_code == 0, result.output
    assert "1 records in 1 file(s) from 1 trajectories" in result.output
    assert len(datasets.load_dataset(str(tmp_path / "out"), split="train", cache_dir=str(tmp_path / "cache"))) == 1
