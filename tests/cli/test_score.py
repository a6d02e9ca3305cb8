"""`purify score`, and the gate that its ratios feed, as a user meets them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.test_commands import good, purify
from tests.scoring.rollouts import rollouts, sampled, update, without_ids
from tests.support import call, step, trajectory, write_dataset
from tests.tiny import tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("tiny"), max_length=512)


@pytest.fixture(scope="module")
def data(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A raw dataset and its purification."""
    folder = tmp_path_factory.mktemp("data")
    write_dataset(folder / "raw", rollouts(model))
    good("clean", folder / "raw", "-o", folder / "purified")
    return folder


def one_line(*arguments: str | Path) -> str:
    """What a command that cannot run says: exit code 2, one line, nothing else."""
    ended = purify(*arguments)
    assert ended.returncode == 2, ended.stderr
    (line,) = (line for line in ended.stderr.splitlines() if not line.startswith("Error in cpuinfo"))
    assert ended.stdout == ""
    return line


def test_the_main_job(data: Path, model: Path, tmp_path: Path) -> None:
    scored, again, back = (tmp_path / name for name in ("scored", "again", "back"))
    ended = purify("score", data / "purified", "-o", scored, "--model", model, "--both", "--entropy")
    assert ended.returncode == 0, ended.stderr
    assert "warning" not in ended.stderr
    assert "3 rows in 1 shard(s)" in ended.stdout and "3 rows scored" in ended.stdout
    assert "importance ratios of 2 edits: mean log-ratio" in ended.stdout and "below 0.5:" in ended.stdout
    assert "finding" not in good("verify", scored, "--parent", data / "purified")
    assert json.loads(good("stats", scored, "--json"))["rows"] == 3
    shown = [json.loads(line) for line in good("inspect", scored, "--json").splitlines()]
    assert all(len(row["scores"]["logprobs"]) == len(row["scores"]["entropy"]) > 0 for row in shown)
    said = good("clean", data / "raw", "-o", again, "--scored", scored, "--min-importance", "1e30")
    assert "importance ratio below 1e+30: 2 edits refused" in said
    assert "identical to the raw dataset" in good("restore", scored, "-o", back)


def test_edits_without_a_ratio_are_pointed_out(data: Path, model: Path, tmp_path: Path) -> None:
    ended = purify("score", data / "purified", "-o", tmp_path / "scored", "--model", model)
    assert "warning: 2 edits have no importance ratio" in ended.stderr and "add --both" in ended.stderr
    ended = purify(
        "clean", data / "raw", "-o", tmp_path / "again", "--scored", tmp_path / "scored", "--min-importance", "0.5"
    )
    assert "warning: 2 edits were made without a measured importance ratio" in ended.stderr


def test_what_is_odd_about_rows_is_said(model: Path, tmp_path: Path) -> None:
    rows = rollouts(model)
    odd = [
        update(rows[0], revision="older", temperature=None),
        update(without_ids(rows[1]), tokenizer_digest="theirs"),
        update(rows[2], tokenizer_digest=None, template_digest="older"),
        trajectory(step(call("{", "malformed", name=None)), id="broken"),
    ]
    write_dataset(tmp_path / "raw", odd)
    ended = purify("score", tmp_path / "raw", "-o", tmp_path / "scored", "--model", model, "--both")
    assert ended.returncode == 0
    for said in (
        "1 rows had only text and were rendered; 1 have turns in the template's words",
        "1 rows were sampled by another revision of the policy",
        "--both: the dataset is raw, so there is only one context to score",
    ):
        assert said in ended.stdout
    for warned in (
        "1 rows could not be scored (1 text that cannot be rendered); each says why in `scores.problem`",
        "1 rows were sampled with another tokenizer",
        "1 rows were sampled with another chat template",
        "1 rows do not say which tokenizer made their token ids",
        "1 rows do not say at which temperature",
    ):
        assert f"warning: {warned}" in ended.stderr


def test_a_dataset_that_is_written_already(data: Path, model: Path, tmp_path: Path) -> None:
    run = ("score", data / "raw", "-o", tmp_path / "scored", "--model", model)
    good(*run)
    assert "already holds a dataset" in one_line(*run)
    assert "is complete, there is nothing to resume" in one_line(*run, "--resume")
    good(*run, "--overwrite")
    assert "choose one" in one_line(*run, "--overwrite", "--resume")
    twice = one_line("score", tmp_path / "scored", "-o", tmp_path / "twice", "--model", model)
    assert "is scored already; score the dataset that it was made from" in twice
    assert "is scored; clean the raw dataset" in one_line("clean", tmp_path / "scored", "-o", tmp_path / "purified")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "--model is required"),
        (["--model", "./nothing"], "./nothing: no such folder; give a model's folder or its Hugging Face name"),
        (["--model", "m", "--temperature", "0"], "--temperature: Input should be greater than 0"),
        (["--model", "m", "--engine", "vllm", "--entropy"], "entropy needs engine transformers"),
        (["--model", "m", "--pack-tokens", "0"], "--pack-tokens: Input should be greater than or equal to 1"),
    ],
)
def test_wrong_options(data: Path, tmp_path: Path, options: list[str], said: str) -> None:
    assert said in one_line("score", data / "raw", "-o", tmp_path / "out", *options)


def test_wrong_input(model: Path, tmp_path: Path) -> None:
    run = ("-o", tmp_path / "out", "--model", model)
    assert "no such directory" in one_line("score", tmp_path / "nothing", *run)
    (tmp_path / "half/.partial").mkdir(parents=True)
    assert "unfinished dataset" in one_line("score", tmp_path / "half", *run)
    write_dataset(tmp_path / "raw", [update(row, tokenizer_digest="theirs") for row in rollouts(model)])
    said = one_line("score", tmp_path / "raw", *run)
    assert "the ids of 3 rows are of tokenizer theirs" in said and "--allow-tokenizer-mismatch" in said
    write_dataset(tmp_path / "long", [trajectory(step(think="word " * 600))])
    assert "no row can be scored with" in one_line("score", tmp_path / "long", *run)


def test_wrong_models(data: Path, model: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(model, bare)
    (bare / "model.safetensors").unlink()
    run = ("score", data / "raw", "-o", tmp_path / "out", "--model", bare)
    assert "the folder has no weights" in one_line(*run)
    (bare / "model.safetensors").write_bytes(b"not weights")
    assert "the model cannot be loaded" in one_line(*run)
    (bare / "tokenizer.json").unlink()
    assert "has no tokenizer" in one_line(*run)


def test_a_context_longer_than_the_models(data: Path, model: Path, tmp_path: Path) -> None:
    run = ("score", data / "raw", "-o", tmp_path / "out", "--model", model)
    assert "--max-model-len 1024 is above the model's 512" in one_line(*run, "--max-model-len", "1024")


def test_sampled_logprobs_are_enough_for_the_gate(model: Path, tmp_path: Path) -> None:
    write_dataset(tmp_path / "raw", [sampled(model, row) for row in rollouts(model)])
    good("clean", tmp_path / "raw", "-o", tmp_path / "purified")
    said = good("score", tmp_path / "purified", "-o", tmp_path / "scored", "--model", model)
    assert "importance ratios of 2 edits" in said
