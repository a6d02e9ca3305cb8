"""`purify train` as a user meets it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from purify.errors import PurifyError
from purify_cli.main import app
from tests.tiny import tiny_model
from tests.training.support import draw_rows, with_scores, write


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cli")
    write(path / "scored", with_scores(draw_rows(), tiny_model(path / "model", scale=0.1)))
    return path


def invoke(folder: Path, *arguments: str) -> str:
    paths = [str(folder / "scored"), "-o", str(folder / "run"), "--model", str(folder / "model")]
    result = CliRunner().invoke(app, ["train", *paths, *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_a_run_says_what_it_did(folder: Path) -> None:
    shown = invoke(folder, "--batch-size", "8", "--epochs", "2", "--overwrite")
    assert "4 updates, last checkpoint" in shown and "checkpoints/step-000004" in shown
    assert "16 trajectories in 4 groups" in shown
    assert "last update: loss" in shown and "metrics.jsonl" in shown
    assert "the warm-up was not over: it takes 20 updates (--warmup)" in shown
    # A second run needs a word.
    with pytest.raises(PurifyError, match="already holds a run; add --overwrite"):
        invoke(folder, "--batch-size", "8")


def test_wrong_use_is_one_line(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(PurifyError, match="--overwrite starts again and --resume goes on; choose one"):
        invoke(folder, "--overwrite", "--resume")
    with pytest.raises(PurifyError, match=r"--algorithm: .*'grpo'.*, got 'ppo'"):
        invoke(folder, "--algorithm", "ppo")
    with pytest.raises(PurifyError, match="lora_alpha is not read with these options: add lora"):
        invoke(folder, "--lora-alpha", "3")
    with pytest.raises(PurifyError, match="no such folder"):
        invoke(folder, "--model", str(tmp_path / "nothing"))
    (tmp_path / "options.yaml").write_text("learning_rat: 1e-4\n")
    with pytest.raises(PurifyError, match="unknown option 'learning_rat'"):
        invoke(folder, "--config", str(tmp_path / "options.yaml"))


@pytest.mark.parametrize("library", ["torch", "peft"])
def test_a_missing_library_is_one_line(folder: Path, tmp_path: Path, library: str) -> None:
    """peft is only missed by who asks for a LoRA."""
    (tmp_path / f"{library}.py").write_text(f"raise ModuleNotFoundError('no {library}', name='{library}')")
    arguments = ["train", str(folder / "scored"), "-o", str(tmp_path / "run"), "--model", str(folder / "model")]
    run = subprocess.run(
        [sys.executable, "-m", "purify_cli", *arguments, *(["--lora", "4"] if library == "peft" else [])],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 2
    (line,) = run.stderr.splitlines()
    assert f"needs {library}; install it with: pip install 'purify-trajectories[train]'" in line
