"""Formats `preference` and `kto`: exact records, the way back, and a step of TRL's trainers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from typer.testing import CliRunner

from purify.cleaning import clean
from purify.datasets import Dataset
from purify.exporting import ExportConfig, export
from purify.exporting.base import Tally
from purify.exporting.formats.kto import KTO
from purify.importing import import_dump
from purify.saar import SaarConfig, purify_trajectory, restore_trajectory
from purify_cli.main import app
from purify_schemas import Edit, Message, Observation, Provenance, Reward, Segment, Trajectory
from tests.exporting.chat_rows import TOOLS, chat_rows, cleaned, failing_row, in_chat, rendered
from tests.exporting.chat_rows import toy as toy
from tests.exporting.round_trip import exported, imported
from tests.schemas.test_round_trip import TEXT
from tests.support import call, dump, step, trajectory, write_dataset


def turn(text: str, code: str) -> dict[str, Any]:
    function = {"name": "python", "arguments": {"code": code}}
    return {"role": "assistant", "content": text, "tool_calls": [{"type": "function", "function": function}]}


def result(text: str) -> dict[str, str]:
    return {"role": "tool", "content": text}


PROMPT = [{"role": "user", "content": "What is 6 times 7?"}, turn("Set up.", "a = 6"), result("6")]
FAILED = [turn("I think.", "print(a * 7"), result("SyntaxError: '(' unclosed")]
END = [{"role": "assistant", "content": "It is 42."}]


def purified(row: Trajectory, **options: Any) -> Trajectory:
    return purify_trajectory(row, SaarConfig(fraction=1.0, **options))[0]


@pytest.mark.parametrize(("gamma", "thought"), [(0.5, "I think."), (1.0, "Close it.")])
def test_they_part_at_the_failed_turn(gamma: float, thought: str) -> None:
    row = purified(failing_row(reward=1.0), gamma=gamma)
    ((record,), tally) = exported("preference", row)
    fixed = [turn("Close it.", "print(a * 7)"), result("42")]
    told = json.loads(record.pop("purify"))
    assert {name: rendered(record.pop(name)) for name in ("prompt", "chosen", "rejected", "tools")} == {
        "prompt": PROMPT,
        "chosen": [turn(thought, "print(a * 7)"), result("42"), *END],
        "rejected": [*FAILED, *fixed, *END],
        "tools": TOOLS,
    }
    assert record == {
        "trajectory_id": "t0",
        "group_id": "g0",
        "task_id": "g0",
        "reward": 1.0,
        "final_answer": None,
        "reference": "42",
    }
    assert [len(told[side]["calls"]) for side in ("chosen", "rejected")] == [3, 4]
    assert tally.lost == {"provenance": 1}


def test_the_cut_is_before_a_turn_even_if_it_is_the_same_in_both() -> None:
    flaky = (step(call("f()", "timeout"), result="timed out"), step(call("f()"), result="1"), step(think="1"))
    ((record,), _) = exported("preference", purified(trajectory(*flaky)))
    assert [message["role"] for message in rendered(record["prompt"])] == ["user"]
    assert rendered(record["chosen"])[0] == rendered(record["rejected"])[0] == turn("thinking", "f()")


def test_rows_without_a_pair_say_why() -> None:
    online = Provenance(method="saar", config_digest="c", online=True, edits=[Edit(raw_steps=[1, 2], accepted=True)])
    first = purified(failing_row()).model_copy(update={"messages": []})
    promptless = purified(trajectory(*failing_row().steps[1:]).model_copy(update={"messages": []}))
    found = {
        "raw": failing_row(),
        "good": purified(trajectory(step(think="42"))),
        "online": failing_row(provenance=online),
        "promptless": promptless,
    }
    assert {name: next(iter(exported("preference", row)[1].skipped)) for name, row in found.items()} == {
        "raw": "no accepted edit: purified and raw are the same",
        "good": "no accepted edit: purified and raw are the same",
        "online": "edited while generating: no raw rollout exists",
        "promptless": "nothing comes before the first difference",
    }
    assert len(exported("preference", first)[0]) == 1  # its prompt is the turn before


def chosen(row: Trajectory, value: float = 1.0) -> Trajectory:
    """A row as it comes back: import adds which side of the pair it was."""
    parts = [part for part in in_chat(row).rewards if part.name != "preference"]
    return in_chat(row).model_copy(update={"rewards": [*parts, Reward(name="preference", value=value)]})


def rejected(row: Trajectory) -> Trajectory:
    """The raw row as it comes back: a dataset has an id once, and the purified row keeps it."""
    return chosen(row, 0.0).model_copy(update={"trajectory_id": f"{row.trajectory_id}/rejected"})


@pytest.mark.parametrize(("reward", "labels"), [(1.0, [True, False]), (0.5, [True, False]), (0.0, [False])])
def test_kto_does_not_want_a_purified_wrong_answer(reward: float, labels: list[bool]) -> None:
    tally = Tally()
    records = list(KTO({"g0": 0.5}).records(purified(failing_row(reward=reward)), ExportConfig(to="kto"), tally))
    assert [record["label"] for record in records] == labels
    assert tally.lost == {"provenance": 1} | ({} if len(labels) == 2 else {"below_mean": 1}) and not tally.skipped


def test_kto_takes_a_reward_near_a_mean_of_zero_for_the_mean() -> None:
    means = {"g0": 1.9e-09}  # of 0.1, 0.2, -0.3 and 0, which are float32
    tally = Tally()
    assert list(KTO(means).records(trajectory(step(think="x"), reward=0.0), ExportConfig(to="kto"), tally)) == []
    assert list(tally.skipped) == ["no raw one to compare with, and its reward is the mean of its group"]


def test_kto_says_that_a_row_without_edits_has_no_prompt() -> None:
    row = trajectory(step(think="x"), reward=1.0).model_copy(update={"messages": []})
    tally = Tally()
    assert list(KTO({"g0": 0.5}).records(row, ExportConfig(to="kto"), tally)) == []
    assert tally.skipped == {"no prompt": 1}


def test_a_demonstration_in_the_prompt_is_no_loss_but_one_between_the_turns_is() -> None:
    shown = Message(role="assistant", content="Like this.")
    row = failing_row()
    before = row.model_copy(update={"messages": [*row.messages, shown]})
    last = row.steps[-2]
    told = Observation(messages=[*last.observation.messages, shown])
    between = row.model_copy(
        update={"steps": [*row.steps[:-2], last.model_copy(update={"observation": told}), row.steps[-1]]}
    )
    lost = [exported("preference", purified(one))[1].lost for one in (before, between)]
    assert ["not_sampled" in one for one in lost] == [False, True]


@settings(deadline=None, max_examples=40)
@given(chat_rows(), TEXT, TEXT, st.sampled_from([0.0, 1.0]))
def test_both_sides_come_back(drawn: Trajectory, first: str, second: str, gamma: float) -> None:
    failing = failing_row(first=first).steps
    turns = [*drawn.steps, *failing[:2], failing[2].model_copy(update={"reasoning": Segment(text=second)}), failing[3]]
    turns = [turn.model_copy(update={"calls": []}) if turn in drawn.steps and turn.failed else turn for turn in turns]
    messages = failing_row().messages
    row = drawn.model_copy(update={"steps": turns, "messages": messages, "provenance": None, "scores": None})
    row = Trajectory.model_validate(row.model_dump())
    pair = purified(row, gates=(), gamma=gamma)
    assert [edit.accepted for edit in pair.provenance.edits] == [True]  # type: ignore[union-attr]
    (record,), _ = exported("preference", pair)
    assert imported("preference", [record]) == [chosen(pair), rejected(row)]


@pytest.mark.parametrize("name", ["adp", "mathcoder", "mint"])
def test_real_rollouts_come_back(name: str, tmp_path: Path) -> None:
    raw = import_dump(dump(name), tmp_path / "raw").dataset
    clean(raw.path, tmp_path / "purified", SaarConfig(fraction=1.0))
    rows = list(Dataset.open(tmp_path / "purified"))
    edited = [row for row in rows if any(edit.accepted for edit in row.provenance.edits)]  # type: ignore[union-attr]
    report = export(tmp_path / "purified", tmp_path / "out", ExportConfig(to="preference"))
    assert report.records == len(edited) == {"adp": 2, "mathcoder": 33, "mint": 27}[name]
    assert sum(report.skipped.values()) == len(rows) - len(edited)
    back = list(import_dump(tmp_path / "out/data", tmp_path / "back").dataset)
    pairs = ((chosen(row), rejected(restore_trajectory(row))) for row in edited)
    assert back == [side for both in pairs for side in both]
    assert len({row.trajectory_id for row in back}) == len(back)


def test_kto_has_both_of_an_edited_row_and_judges_the_others_by_their_group(tmp_path: Path) -> None:
    plain = [
        trajectory(step(think=f"{at}"), id=f"p{at}", group="g1", reward=reward)
        for at, reward in enumerate((1.0, 0.1, 0.55))
    ]
    same = [trajectory(step(think="x"), id=f"s{at}", group="g2", reward=0.1) for at in range(3)]
    alone = trajectory(step(think="x"), id="alone", group="g3", reward=1.0)
    silent = trajectory(step(think="x"), id="silent", group="g1")
    source = cleaned(tmp_path, [failing_row(reward=1.0), *plain, *same, alone, silent], shards=3)
    report = export(source, tmp_path / "out", ExportConfig(to="kto"), workers=2)
    import datasets

    data = datasets.load_dataset(str(tmp_path / "out"), split="train", cache_dir=str(tmp_path / "cache"))
    assert [(one["trajectory_id"], one["label"]) for one in data] == [
        ("t0", True),
        ("t0/rejected", False),
        ("p0", True),
        ("p1", False),
    ]
    assert data[0]["prompt"] == data[1]["prompt"] == PROMPT
    assert data[1]["completion"][:2] == FAILED and data[0]["completion"][-1:] == END
    assert data[2]["prompt"] == PROMPT[:1] and data[2]["completion"] == [{"role": "assistant", "content": "0"}]
    assert report.skipped == {
        "no raw one to compare with, and its reward is the mean of its group": 4,
        "no raw one to compare with, nor a rewarded one of its group": 1,
        "no raw one to compare with, and no reward says whether it is wanted": 1,
    }


def test_kto_judges_what_was_edited_while_generating_by_its_reward() -> None:
    online = Provenance(method="saar", config_digest="c", online=True, edits=[Edit(raw_steps=[1, 2], accepted=True)])
    tally = Tally()
    rows = [failing_row(provenance=online, reward=reward) for reward in (1.0, 0.0)]
    records = [record for row in rows for record in KTO({"g0": 0.5}).records(row, ExportConfig(to="kto"), tally)]
    assert [record["label"] for record in records] == [True, False] and not tally.skipped
    assert rendered(records[0]["prompt"]) == PROMPT[:1]


def test_kto_comes_back_as_what_it_was(tmp_path: Path) -> None:
    source = cleaned(tmp_path, [failing_row()])
    export(source, tmp_path / "out", ExportConfig(to="kto"))
    back = list(import_dump(tmp_path / "out/data", tmp_path / "back").dataset)
    (row,) = Dataset.open(source)
    raw = failing_row()
    labelled = [in_chat(row), in_chat(raw.model_copy(update={"trajectory_id": f"{raw.trajectory_id}/rejected"}))]
    assert [one.model_copy(update={"extra": None}) for one in back] == labelled
    assert [one.extra for one in back] == ['{"label":true}', '{"label":false}']


@pytest.mark.filterwarnings("ignore:`(is_)?gradient_checkpointing:FutureWarning")
@pytest.mark.parametrize("kind", ["preference", "kto"])
def test_trl_takes_a_step(kind: Any, tmp_path: Path, toy: Any) -> None:
    import datasets
    from trl import DPOConfig, DPOTrainer, KTOConfig, KTOTrainer

    source = cleaned(tmp_path, [failing_row(id=f"t{at}") for at in range(2)])
    export(source, tmp_path / "out", ExportConfig(to=kind))
    data = datasets.load_dataset(str(tmp_path / "out"), split="train", cache_dir=str(tmp_path / "cache"))
    model, tokenizer = toy
    options: dict[str, Any] = {
        "output_dir": str(tmp_path / "run"),
        "max_steps": 1,
        "per_device_train_batch_size": 2,
        "use_cpu": True,
        "bf16": False,
        "report_to": [],
        "save_strategy": "no",
        "disable_tqdm": True,
    }
    trainer: Any
    sides: tuple[str, ...]
    if kind == "preference":
        trainer = DPOTrainer(model=model, args=DPOConfig(**options), train_dataset=data, processing_class=tokenizer)
        sides = ("chosen", "rejected")
    else:
        trainer = KTOTrainer(model=model, args=KTOConfig(**options), train_dataset=data, processing_class=tokenizer)
        sides = ("completion",)
    wanted = []
    for record in data:
        for side in sides:
            whole = tokenizer.apply_chat_template(
                record["prompt"] + record[side], tools=record["tools"], tokenize=False
            )
            start = tokenizer.apply_chat_template(
                record["prompt"], tools=record["tools"], tokenize=False, add_generation_prompt=True
            )
            wanted.append((start, whole.removeprefix(start), record.get("label", side == "chosen")))
    assert [("SyntaxError" in completion, good) for _, completion, good in wanted] == [(False, True), (True, False)] * 2
    batches = list(trainer.get_train_dataloader())
    found = [row for batch in batches for row in collated(batch, tokenizer, kind)]
    assert sorted(found) == sorted(wanted)
    assert trainer.train().global_step == 1


def collated(batch: dict[str, Any], tokenizer: Any, kind: str) -> list[tuple[str, str, bool]]:
    """(prompt, what is counted, whether it is wanted) of each sequence that the trainer is given."""
    ids, counts, seen = (batch[name].tolist() for name in ("input_ids", "completion_mask", "attention_mask"))
    goods = batch["label"] if kind == "kto" else [True] * (len(ids) // 2) + [False] * (len(ids) // 2)
    rows = []
    for tokens, counted, attended, good in zip(ids, counts, seen, goods, strict=True):
        own = [token for token, one in zip(tokens, counted, strict=True) if one]
        rest = [token for token, one, at in zip(tokens, counted, attended, strict=True) if at and not one]
        rows.append((tokenizer.decode(rest), tokenizer.decode(own), bool(good)))
    return rows


@pytest.mark.parametrize("kind", ["preference", "kto"])
def test_from_the_command_line(kind: str, tmp_path: Path) -> None:
    source = cleaned(tmp_path, [failing_row(), trajectory(step(think="42"), id="t1")])
    result = CliRunner().invoke(app, ["export", str(source), "-o", str(tmp_path / "out"), "--to", kind])
    assert result.exit_code == 0, result.output
    assert f"{1 if kind == 'preference' else 2} records in 1 file(s) from 2 trajectories" in result.output
    assert "no record for 1 trajectories" in result.output


def test_a_raw_dataset_has_no_preferences(tmp_path: Path) -> None:
    write_dataset(tmp_path / "raw", [failing_row()])
    arguments = ["export", str(tmp_path / "raw"), "-o", str(tmp_path / "out"), "--to", "preference"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1 and "no accepted edit" in str(result.exception)
