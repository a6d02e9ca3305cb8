"""A checkpoint is there whole or not at all, whatever happens while it is written."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from purify.errors import PurifyError


def fill(folder: Path, size: int = 10) -> None:
    (folder / "model.safetensors").write_bytes(b"x" * size)


@contextmanager
def no_file_above(size: int) -> Iterator[None]:
    """A disk that is full, as the system reports it for a file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_the_newest_are_kept(tmp_path: Path) -> None:
    from purify.training.checkpoints import latest, save_checkpoint, step_of

    assert latest(tmp_path) is None
    for step in (1, 2, 10):
        save_checkpoint(tmp_path, step, fill, keep=2)
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["step-000002", "step-000010"]
    newest = latest(tmp_path)
    assert newest is not None and newest.name == "step-000010" and step_of(newest) == 10


def test_a_full_disk_keeps_the_one_before(tmp_path: Path) -> None:
    import torch

    from purify.training.checkpoints import latest, save_checkpoint, step_of

    save_checkpoint(tmp_path, 1, fill, keep=2)
    with no_file_above(1000), pytest.raises(PurifyError, match=r"File too large.*update 1 is kept.*--resume"):
        save_checkpoint(tmp_path, 2, lambda folder: fill(folder, 5000), keep=2)
    with no_file_above(1000), pytest.raises(PurifyError, match="update 1 is kept"):
        save_checkpoint(tmp_path, 2, lambda folder: torch.save(torch.zeros(5000), folder / "state.pt"), keep=2)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-000001"]
    newest = latest(tmp_path)
    assert newest is not None and step_of(newest) == 1


def test_another_error_is_not_taken_for_a_full_disk(tmp_path: Path) -> None:
    from purify.training.checkpoints import save_checkpoint

    def fails(folder: Path) -> None:
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        save_checkpoint(tmp_path, 1, fails, keep=2)
    assert list((tmp_path / "checkpoints").iterdir()) == []


def test_a_kill_while_saving_keeps_the_one_before(tmp_path: Path) -> None:
    from purify.training.checkpoints import latest, save_checkpoint, step_of

    save_checkpoint(tmp_path, 1, fill, keep=1)
    code = """
import os, signal, sys
from pathlib import Path
from purify.training.checkpoints import save_checkpoint

def write(folder):
    (folder / "model.safetensors").write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)

save_checkpoint(Path(sys.argv[1]), 2, write, keep=1)
"""
    paths = {"PYTHONPATH": ":".join(sys.path)}
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], env=paths, check=False).returncode == -9
    newest = latest(tmp_path)
    assert newest is not None and step_of(newest) == 1
    save_checkpoint(tmp_path, 2, fill, keep=1)  # what was left over is in nobody's way
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-000002"]
