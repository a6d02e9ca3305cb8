"""Format `messages`: exact records, the round trip, real chat templates, and a step of TRL's SFTTrainer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from typer.testing import CliRunner

from purify.chat.call_text import read_generated
from purify.cleaning import clean
from purify.datasets import Dataset
from purify.exporting import ExportConfig, export
from purify.generating import GenerateConfig, generate
from purify.importing import import_dump
from purify.json_text import dump_json
from purify.saar import SaarConfig
from purify_cli.main import app
from purify_schemas import Call, Message, Observation, Segment, Step, Trajectory
from tests.exporting.chat_rows import DUMPS, TOOLS, TOY, chat_rows, in_chat, thinking_row
from tests.exporting.chat_rows import toy as toy
from tests.exporting.round_trip import exported, imported, unedited
from tests.sandbox.support import needs_bwrap
from tests.support import call, dump, step, trajectory, write_dataset

CHAT = [
    {"role": "user", "content": "What is 6 times 7?"},
    {
        "role": "assistant",
        "reasoning_content": "I divide.",
        "content": "Let me see.",
        "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "python", "arguments": {"code": "1/0"}}},
            {"id": "c2", "type": "function", "function": {"name": "search", "arguments": {"query": "π"}}},
        ],
    },
    {"role": "tool", "content": "ZeroDivisionError: division by zero", "name": "python", "tool_call_id": "c1"},
    {"role": "tool", "content": "", "name": "search", "tool_call_id": "c2"},
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"id": "c3", "type": "function", "function": {"name": "python", "arguments": {"code": "1/1"}}}],
    },
    {"role": "tool", "content": "1.0"},
    {"role": "assistant", "content": "It is 1."},
]
"""The chat of `thinking_row`."""


def opened(folder: Path, cache: Path) -> list[dict[str, Any]]:
    import datasets

    return list(datasets.load_dataset(str(folder), split="train", cache_dir=str(cache)))


def test_load_dataset_gives_each_message_its_own_members(tmp_path: Path) -> None:
    write_dataset(tmp_path / "raw", [thinking_row(reward=0.5), trajectory(step(think="Hi."), id="t1")])
    export(tmp_path / "raw", tmp_path / "out", ExportConfig(to="messages"))
    first, second = opened(tmp_path / "out", tmp_path / "cache")
    told = first.pop("purify")
    assert first == {
        "messages": CHAT,
        "tools": TOOLS,
        "trajectory_id": "t0",
        "group_id": "g0",
        "task_id": "g0",
        "reward": 0.5,
        "final_answer": "1",
        "reference": None,
        "failed_calls": 1,
    }
    assert told["calls"][0][0] == {
        "id": "c1",
        "name": "python",
        "arguments": '{"code": "1/0"}',
        "status": "error",
        "error_type": "ZeroDivisionError",
    }
    assert second["messages"] == [CHAT[0], {"role": "assistant", "content": "Hi."}] and second["tools"] is None


def test_losses_are_counted_and_a_row_without_a_turn_is_left_out(tmp_path: Path) -> None:
    _, tally = exported("messages", thinking_row())
    assert tally.lost == {"null_texts": 1} and not tally.skipped
    none, tally = exported("messages", trajectory())
    assert none == [] and tally.skipped == {"no turn of the model": 1}


@pytest.mark.parametrize("arguments", ['{"code": 1', "[1]", '{"code": NaN}'])
def test_calls_that_json_cannot_hold_are_text(arguments: str) -> None:
    bad = Call(name="python", arguments=arguments, status="malformed")
    ((record,), tally) = exported("messages", trajectory(step(bad, think="So: ", raw=f"<call>{arguments}")))
    assert json.loads(record["messages"][1]) == {"role": "assistant", "content": f"So: <call>{arguments}"}
    assert tally.lost == {"malformed_calls": 1, "call_text": 1}


def test_half_a_surrogate_pair_and_a_huge_integer_come_back() -> None:
    arguments = '{"text": "\\ud83d", "n": 123456789012345678901234567890}'
    row = trajectory(step(Call(name="python", arguments=arguments)))
    ((record,), tally) = exported("messages", row)
    written = {"text": "\ufffd", "n": 123456789012345678901234567890}
    assert json.loads(record["messages"][1])["tool_calls"][0]["function"]["arguments"] == written
    assert imported("messages", [record]) == [row] and tally.lost == {"surrogates": 1}


def test_demonstrations_stay_in_the_prompt() -> None:
    calls = '[{"id":"d","function":{"name":"python","arguments":"{\\"code\\": \\"1\\"}"}}]'
    shown = [
        Message(role="assistant", content="Like this.", tool_calls=calls),
        Message(role="tool", content="1", call_id="d"),
        Message(role="user", content="Now you."),
    ]
    row = trajectory(step(call("2"), result="2"), step(think="2"))
    row = row.model_copy(update={"messages": [*row.messages, *shown]})
    ((record,), tally) = exported("messages", row)
    demonstrated = [
        {"type": "function", "id": "d", "function": {"name": "python", "arguments": {"code": "1"}}},
    ]
    assert json.loads(record["messages"][1])["tool_calls"] == demonstrated and tally.lost == {
        "spacing": 1,
        "not_sampled": 1,
    }
    (back,) = imported("messages", [record])
    standard = shown[0].model_copy(update={"tool_calls": dump_json(demonstrated)})
    assert back == row.model_copy(update={"messages": [row.messages[0], standard, *shown[1:]]})


@settings(deadline=None, max_examples=60)
@given(chat_rows())
def test_what_is_read_back_lacks_the_losses_and_nothing_else(row: Trajectory) -> None:
    records, tally = exported("messages", row)
    (back,) = imported("messages", records)
    assert back == in_chat(row)
    if not tally.lost:
        assert back == unedited(row)


@pytest.mark.parametrize("name", DUMPS)
def test_real_rollouts_come_back(name: str, tmp_path: Path) -> None:
    raw = import_dump(dump(name), tmp_path / "raw").dataset
    clean(raw.path, tmp_path / "purified", SaarConfig(fraction=1.0))
    for source in ("raw", "purified"):
        report = export(tmp_path / source, tmp_path / f"{source}-chat", ExportConfig(to="messages"))
        rows = [row for row in Dataset.open(tmp_path / source) if row.steps]
        assert report.records == len(rows) == len(raw) - report.skipped.get("no turn of the model", 0)
        back = import_dump(tmp_path / f"{source}-chat/data", tmp_path / f"{source}-back").dataset
        assert list(back) == [in_chat(row) for row in rows]


SAMPLED = (
    "<think>\nI divide.\n</think>\n\nLet me see.\n"
    '<tool_call>\n{"name": "python", "arguments": {"code": "1"}}\n</tool_call>'
)


def test_tags_of_thinking_are_written_once(toy: Any) -> None:
    import trl

    read = read_generated(SAMPLED)
    turn = Step(
        reasoning=Segment(text=read.reasoning),
        thinking_chars=read.thinking_chars,
        action=Segment(text=read.action),
        calls=read.calls,
        observation=Observation(messages=[Message(role="tool", content="1")]),
    )
    ((record,), tally) = exported("messages", trajectory(turn))
    messages = [json.loads(one) for one in record["messages"]]
    assert (messages[1]["reasoning_content"], messages[1]["content"]) == ("I divide.", "Let me see.")
    assert tally.lost == {"call_text": 1, "think_tags": 1}
    source = (Path(trl.__file__).parent / "chat_templates/qwen3.jinja").read_text()
    text = toy[1].apply_chat_template(messages, chat_template=source, tokenize=False)
    assert text.split("<|im_start|>")[2] == f"assistant\n{SAMPLED}<|im_end|>\n"


@needs_bwrap
def test_what_a_model_sampled_is_rendered_as_it_was(tmp_path: Path, toy: Any) -> None:
    """Rollouts of the demo's model: the template writes the chat as the engine's tokens have it."""
    lines = (TOY.parent / "held_out.jsonl").read_text().splitlines()[:4]
    (tmp_path / "tasks.jsonl").write_text("".join(line + "\n" for line in lines))
    config = GenerateConfig(model=str(TOY), group_size=2, seed=0)
    raw = generate(tmp_path / "tasks.jsonl", tmp_path / "raw", config)
    export(raw.path, tmp_path / "out", ExportConfig(to="messages"))
    records = opened(tmp_path / "out", tmp_path / "cache")
    assert len(records) == 8 and any(turn.calls for row in raw for turn in row.steps)
    for record, row in zip(records, raw, strict=True):
        ids = [*(row.prompt_token_ids or ())]
        for turn in row.steps:
            for part in (turn.reasoning, turn.action, turn.observation):
                ids += part.token_ids or ()
        text = toy[1].apply_chat_template(record["messages"], tools=record["tools"], tokenize=False)
        assert text.removesuffix("\n") == toy[1].decode(ids).removesuffix("\n")


# Llama 3.1's and gpt-oss's templates hold one call a turn, and no text beside it; gpt-oss's hides earlier thinking.
@pytest.mark.parametrize(
    ("template", "thinks", "whole"),
    [
        ("qwen2_5", False, True),
        ("qwen3", True, True),
        ("qwen3_5_think", True, True),
        ("glm4moe", True, True),
        ("llama3_1", False, False),
        ("gptoss", False, False),
    ],
)
def test_real_templates_show_everything(template: str, thinks: bool, whole: bool, tmp_path: Path, toy: Any) -> None:
    import trl

    row = thinking_row()
    said = ["What is 6 times 7?", "1/0", "division by zero", "1/1", "It is 1.", "Runs search."]
    if whole:
        said += ["Let me see.", "π"]
    else:
        first = row.steps[0]
        update = {
            "calls": first.calls[:1],
            "reasoning": Segment(text="I divide."),
            "observation": Observation(messages=first.observation.messages[:1]),
        }
        row = row.model_copy(update={"steps": [first.model_copy(update=update), *row.steps[1:]]})
    write_dataset(tmp_path / "raw", [row])
    export(tmp_path / "raw", tmp_path / "out", ExportConfig(to="messages"))
    (record,) = opened(tmp_path / "out", tmp_path / "cache")
    source = (Path(trl.__file__).parent / f"chat_templates/{template}.jinja").read_text()
    text = toy[1].apply_chat_template(record["messages"], tools=record["tools"], chat_template=source, tokenize=False)
    assert [part for part in said if part not in text] == []
    assert "None" not in text and ("I divide." in text) == thinks


@pytest.mark.filterwarnings("ignore:`(is_)?gradient_checkpointing:FutureWarning")
@pytest.mark.parametrize("assistant_only", [False, True])
def test_sft_trainer_takes_a_step(assistant_only: bool, tmp_path: Path, toy: Any) -> None:
    import datasets
    import trl
    from trl import SFTConfig, SFTTrainer

    rows = [thinking_row(trajectory_id=f"t{at}") for at in range(2)]
    write_dataset(tmp_path / "raw", rows)
    export(tmp_path / "raw", tmp_path / "out", ExportConfig(to="messages"))
    model, tokenizer = toy
    if assistant_only:
        tokenizer.chat_template = (Path(trl.__file__).parent / "chat_templates/qwen3.jinja").read_text()
    config = SFTConfig(
        output_dir=str(tmp_path / "run"),
        max_steps=1,
        per_device_train_batch_size=2,
        assistant_only_loss=assistant_only,
        use_cpu=True,
        bf16=False,
        report_to=[],
        save_strategy="no",
        disable_tqdm=True,
    )
    data = datasets.load_dataset(str(tmp_path / "out"), split="train", cache_dir=str(tmp_path / "cache"))
    trainer = SFTTrainer(model=model, args=config, train_dataset=data, processing_class=tokenizer)
    ids = trainer.train_dataset[0]["input_ids"]
    text = tokenizer.decode(ids)
    assert all(part in text for part in ("search", "Let me see.", "1/0", "division by zero", "It is 1."))
    batch = next(iter(trainer.get_train_dataloader()))
    assert batch["input_ids"][0].tolist() == ids
    trained = [one for one in batch["labels"][0].tolist() if one != -100]
    counted = tokenizer.decode(trained)
    if assistant_only:
        assert all(part in counted for part in ("I divide.", "Let me see.", "1/0", "1/1", "It is 1."))
        assert not any(part in counted for part in ("division by zero", "What is 6 times 7?", "Runs search."))
    else:
        assert counted == text  # every token counts
    assert trainer.train().global_step == 1


def test_from_the_command_line(tmp_path: Path) -> None:
    write_dataset(tmp_path / "raw", [thinking_row()])
    result = CliRunner().invoke(app, ["export", str(tmp_path / "raw"), "-o", str(tmp_path / "out"), "--to", "messages"])
    assert result.exit_code == 0, result.output
    assert "1 records in 1 file(s) from 1 trajectories" in result.output
    assert (
        "not kept for 1 trajectories: whether a message without text had an empty one or none (null)" in result.output
    )
