"""Two processes under torchrun train as one does, and save what one would."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.tiny import tiny_model
from tests.training.support import draw_rows, with_scores, write

ROOT = Path(__file__).parents[2]
OPTIONS = ["--batch-size", "8", "--pack-tokens", "128", "--learning-rate", "1e-3", "--warmup", "1", "--updates", "4"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("parallel")
    model = tiny_model(path / "model", scale=0.1)
    write(path / "scored", with_scores(draw_rows(), model))
    return path


def train(
    folder: Path, out: str, processes: int, *more: str, check: bool = True, source: str = "scored"
) -> subprocess.CompletedProcess[str]:
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command = [*(launch if processes > 1 else [sys.executable]), "-m", "purify.train", source, "-o", out]
    paths = os.pathsep.join([str(ROOT), str(ROOT / "cli"), str(ROOT / "schemas")])
    done = subprocess.run(
        [*command, "--model", "model", *OPTIONS, *more],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert not check or done.returncode == 0, done.stderr
    return done


def result(folder: Path, out: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    from safetensors.torch import load_file

    from purify.training.metrics import read_metrics

    return load_file(folder / out / "checkpoints/step-000004/model.safetensors"), read_metrics(folder / out)


def assert_same(one: tuple[dict[str, Any], Any], other: tuple[dict[str, Any], Any]) -> None:
    assert one[0].keys() == other[0].keys()
    for name, value in one[0].items():
        assert (value - other[0][name]).abs().max() < 1e-4, name
    for a, b in zip(one[1], other[1], strict=True):
        for key in ("loss", "grad_norm", "entropy", "approx_kl", "trained_tokens", "reward_mean"):
            assert a[key] == pytest.approx(b[key], rel=1e-3, abs=1e-5), key


@pytest.mark.parametrize(
    "more", [(), ("--lora", "4"), ("--kl-coef", "0.1", "--reference", "model", "--algorithm", "gspo")]
)
def test_two_processes_equal_one(folder: Path, more: tuple[str, ...]) -> None:
    name = "-".join(more).replace("--", "") or "plain"
    train(folder, f"{name}-one", 1, *more)
    shown = train(folder, f"{name}-two", 2, *more).stdout
    assert shown.count("4 updates") == 1  # the first process speaks for all
    assert_same(result(folder, f"{name}-one"), result(folder, f"{name}-two"))


def test_two_processes_go_on_with_what_one_began(folder: Path) -> None:
    train(folder, "whole", 1, "--save-every", "2")
    train(folder, "begun", 1, "--save-every", "2")
    (folder / "begun/report.json").unlink()
    import shutil

    shutil.rmtree(folder / "begun/checkpoints/step-000004")
    train(folder, "begun", 2, "--save-every", "2", "--resume")
    assert_same(result(folder, "whole"), result(folder, "begun"))


def test_a_loss_that_is_no_number_in_one_process_stops_all(folder: Path) -> None:
    rows = with_scores(draw_rows(), folder / "model")
    scores = rows[0].scores
    assert scores is not None and scores.logprobs is not None
    scores = scores.model_copy(update={"logprobs": [-1000.0] * len(scores.logprobs)})
    write(folder / "scored-wrong", [rows[0].model_copy(update={"scores": scores, "reward": 0.0}), *rows[1:]])
    done = train(folder, "nan", 2, "--pack-tokens", "64", check=False, source="scored-wrong")
    assert done.returncode != 0
    assert "purify: the loss is inf, in the pack of rows 0" in done.stderr


def test_half_precision_keeps_temperatures_whole(folder: Path) -> None:
    rows = with_scores(draw_rows(), folder / "model", temperature=0.3)  # half precision has 0.3008
    write(folder / "cold", rows)
    for processes in (1, 2):
        train(folder, f"cold-{processes}", processes, "--dtype", "bfloat16", "--algorithm", "dapo", source="cold")
    one, two = (result(folder, f"cold-{processes}")[1][0] for processes in (1, 2))
    assert two["entropy"] == pytest.approx(one["entropy"], abs=2e-3)


def test_a_problem_in_one_process_stops_all(folder: Path) -> None:
    done = train(folder, "taken", 2, "--algorithm", "dpo", check=False)
    assert done.returncode != 0
    assert "dpo learns from what edits replaced" in done.stderr
