"""Format `pretokenized`: exact lists, the round trip, and TRL's trainer counting exactly the model's tokens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from typer.testing import CliRunner

from purify.cleaning import clean
from purify.datasets import Dataset
from purify.exporting import ExportConfig, export
from purify.importing import import_dump
from purify_cli.main import app
from purify_schemas import Provenance, Scores, StaleFrom, Trajectory
from tests.exporting.round_trip import exported, imported, plain, rows, unedited
from tests.support import call, dump, step, trajectory, write_dataset

TOY = Path(__file__).parents[2] / "purify/demo/toy/model"


def two_turns(**more: Any) -> Trajectory:
    turns = (
        step(
            call("1/0", "error"), result="boom", raw="<call>", reasoning_ids=[7, 8], action_ids=[9], observation_ids=[4]
        ),
        step(think="42", reasoning_ids=[10], action_ids=[]),
    )
    return trajectory(*turns, prompt_ids=[5, 6], reward=1.0).model_copy(update=more)


def single(*values: float) -> list[float]:
    return [Scores(logprobs=[value]).logprobs[0] for value in values]  # type: ignore[index]


def test_every_list_is_as_long_as_the_ids() -> None:
    ((record,), tally) = exported("pretokenized", two_turns())
    told = json.loads(record.pop("trajectory"))
    assert record == {
        "input_ids": [5, 6, 7, 8, 9, 4, 10],
        "labels": [-100, -100, 7, 8, 9, -100, 10],
        "loss_mask": [0, 0, 1, 1, 1, 0, 1],
        "logprobs": [None, None, *single(-0.07, -0.08, -0.09), None, *single(-0.1)],
        "scored_logprobs": None,
        "segments": [
            {"part": "prompt", "step": -1, "length": 2},
            {"part": "reasoning", "step": 0, "length": 2},
            {"part": "action", "step": 0, "length": 1},
            {"part": "observation", "step": 0, "length": 1},
            {"part": "reasoning", "step": 1, "length": 1},
        ],
        "reward": 1.0,
        "temperature": None,
        "trajectory_id": "t0",
        "task_id": "g0",
        "group_id": "g0",
    }
    assert told["steps"][0]["action"] == {"text": "<call>"} and told["steps"][1]["action"] == {
        "token_ids": [],
        "logprobs": [],
    }
    assert not tally.lost and not tally.skipped


def test_stale_log_probs_are_null_and_scored_ones_stand_beside() -> None:
    stale = Provenance(method="saar", config_digest="c", stale_from=StaleFrom(step=0, part="action"))
    row = two_turns(provenance=stale, scores=Scores(logprobs=[-1.0, -2.0, -3.0, -4.0]))
    ((record,), tally) = exported("pretokenized", row)
    assert record["logprobs"] == [None, None, *single(-0.07, -0.08), None, None, None]
    assert record["scored_logprobs"] == [None, None, -1.0, -2.0, -3.0, None, -4.0]
    assert tally.lost == {"stale_logprobs": 1, "scores": 1}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"prompt_token_ids": None}, "no token ids of the prompt"),
        ({"steps": []}, "no turn of the model"),
        ({"steps": [step(observation_ids=[1]), step(reasoning_ids=[2])]}, "no token ids of some turns"),
        (
            {"steps": [step(reasoning_ids=[1]), step(reasoning_ids=[2])]},
            "no token ids of what came back after some turns",
        ),
        ({"prompt_token_ids": None, "steps": [step()]}, "no token ids"),
    ],
)
def test_rows_without_all_ids_are_skipped_with_the_reason(change: dict[str, Any], reason: str) -> None:
    records, tally = exported("pretokenized", two_turns(**change))
    assert records == [] and tally.skipped == {reason: 1}


def without_losses(row: Trajectory) -> Trajectory:
    """Stale log-probs, edits and scores are not kept; all else is."""
    stale = row.provenance.stale_from if row.provenance is not None else None
    steps = []
    for index, turn in enumerate(row.steps):
        sides = {}
        for name in ("reasoning", "action"):
            side = getattr(turn, name)
            if stale is not None and (index, name == "action") >= (stale.step, stale.part == "action"):
                side = side.model_copy(update={"logprobs": None}) if side.token_ids else side
            sides[name] = side
        steps.append(turn.model_copy(update=sides))
    return plain(row.model_copy(update={"steps": steps}))


@settings(deadline=None, max_examples=150)
@given(rows())
def test_an_exported_row_comes_back(row: Trajectory) -> None:
    records, tally = exported("pretokenized", row)
    assert len(records) + tally.skipped.total() == 1
    if records and records[0]["input_ids"]:
        assert imported("pretokenized", records) == [without_losses(row)]
        assert tally.lost or without_losses(row) == unedited(row), "a loss that is not told"


def test_real_rows_with_ids_come_back(tmp_path: Path) -> None:
    import_dump(dump("nemo-gym"), tmp_path / "raw")
    purified = clean(tmp_path / "raw", tmp_path / "purified")
    report = export(tmp_path / "purified", tmp_path / "out", ExportConfig(to="pretokenized"))
    assert (report.records, report.skipped) == (5, {"no token ids": 20})
    back = import_dump(tmp_path / "out/data", tmp_path / "back").dataset
    assert list(back) == [without_losses(row) for row in purified if row.prompt_token_ids is not None]


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    rows = [two_turns(trajectory_id=f"t{number}") for number in range(3)]
    write_dataset(tmp_path / "raw", [*rows, two_turns(trajectory_id="bare", prompt_token_ids=None)], shards=2)
    run = CliRunner().invoke(
        app, ["export", str(tmp_path / "raw"), "-o", str(tmp_path / "out"), "--to", "pretokenized"]
    )
    assert run.exit_code == 0, run.output
    assert "no record for 1 trajectories: no token ids of the prompt" in run.output
    return tmp_path / "out"


def test_through_the_command_line_and_back(tokens: Path, tmp_path: Path) -> None:
    back = import_dump(tokens / "data", tmp_path / "back").dataset
    raw = list(Dataset.open(tmp_path / "raw"))
    assert list(back) == [row for row in raw if row.trajectory_id != "bare"]
    again = export(tmp_path / "raw", tmp_path / "again", ExportConfig(to="pretokenized"), workers=2)
    assert [file.sha256 for file in again.files] == [
        file["sha256"] for file in json.loads((tokens / "export.json").read_text())["files"]
    ]


@pytest.mark.filterwarnings("ignore:`gradient_checkpointing:FutureWarning")
def test_trl_counts_exactly_the_models_tokens(tokens: Path, tmp_path: Path) -> None:
    pytest.importorskip("trl")
    from datasets import load_dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    data = load_dataset(str(tokens), split="train", cache_dir=str(tmp_path / "cache"))
    assert data[0]["trajectory"]["trajectory_id"] == "t0" and data[0]["logprobs"][:2] == [None, None]
    config = SFTConfig(
        output_dir=str(tmp_path / "trained"),
        max_steps=1,
        per_device_train_batch_size=2,
        report_to=[],
        use_cpu=True,
        save_strategy="no",
        bf16=False,
        disable_tqdm=True,
    )
    trainer = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(TOY),
        args=config,
        train_dataset=data,
        processing_class=AutoTokenizer.from_pretrained(TOY),
    )
    batch = next(iter(trainer.get_train_dataloader()))
    assert batch["input_ids"].tolist() == [[5, 6, 7, 8, 9, 4, 10]] * 2
    assert batch["labels"].tolist() == [[-100, -100, 7, 8, 9, -100, 10]] * 2
    assert trainer.train().global_step == 1
