"""Real files of torch.save, and one that would run code."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from purify.failures import load_rules
from purify.importing import import_dump
from purify.importing.base import RecordContext
from purify.importing.formats.slime import Slime
from purify.importing.formats.slime_file import read_slime_file
from purify.importing.json_records import Read
from tests.importing.formats.test_slime import saved


class Hostile:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def save(path: Path, content: object, **options: Any) -> Path:
    torch.save(content, path, **options)
    return path


def dump_of(*samples: object) -> dict[str, Any]:
    return {"rollout_id": 3, "samples": list(samples)}


def test_every_sample_is_a_record(tmp_path: Path) -> None:
    one, other = saved()["sample"], saved(index=10)["sample"]
    path = save(tmp_path / "3.pt", dump_of(one, other))
    assert list(read_slime_file(path)) == [
        Read(0, {"rollout_id": 3, "sample": one}, None),
        Read(1, {"rollout_id": 3, "sample": other}, None),
    ]


@pytest.mark.parametrize("zipped", [True, False])
def test_tensors_and_values_that_json_has_not(zipped: bool, tmp_path: Path) -> None:
    sample = {
        "tokens": torch.tensor([1, 2]),
        "rollout_log_probs": torch.tensor([float("nan"), -0.5]),
        "metadata": {1: (float("inf"), None)},
    }
    path = save(tmp_path / "3.pt", dump_of(sample), _use_new_zipfile_serialization=zipped)
    assert zipfile.is_zipfile(path) is zipped
    (read,) = read_slime_file(path)
    assert read.record == {
        "rollout_id": 3,
        "sample": {"tokens": [1, 2], "rollout_log_probs": ["nan", -0.5], "metadata": {"1": ["inf", None]}},
    }


def test_a_hostile_pickle_does_not_run(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    path = save(tmp_path / "3.pt", dump_of(Hostile(trap)))
    (read,) = read_slime_file(path)
    assert not trap.exists()
    assert (read.record, read.problem) == (
        None,
        "the pickle asks for posix.mkdir, which is refused: reading it could run code;"
        " save the samples again with plain values and tensors only",
    )
    torch.load(path, weights_only=False)
    assert trap.exists()  # the trap was a real one


def test_a_plain_hostile_pickle_does_not_run_either(tmp_path: Path) -> None:
    trap, path = tmp_path / "trap", tmp_path / "3.pt"
    path.write_bytes(pickle.dumps(dump_of(Hostile(trap))))
    (read,) = read_slime_file(path)
    assert not trap.exists()
    assert (read.record, read.problem) == (None, "not a readable .pt file (UnpicklingError: Unsupported operand 149)")


def test_numpy_arrays_are_refused_by_name(tmp_path: Path) -> None:
    (read,) = read_slime_file(save(tmp_path / "3.pt", dump_of({"rollout_routed_experts": np.zeros(2)})))
    assert (read.problem or "").startswith("the pickle asks for numpy._core.multiarray._reconstruct, which is refused")


@pytest.mark.parametrize("content", [b"no pickle at all", b"PK\x03\x04broken", b"\x80\x02.", b"\x80\x02K\x01r"])
def test_a_damaged_file_gives_one_reason(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "3.pt"
    path.write_bytes(content)
    (read,) = read_slime_file(path)
    assert read.record is None
    assert read.problem


@pytest.mark.parametrize("content", [{"weight": torch.zeros(2)}, [1], {"samples": 3}])
def test_other_files_of_torch_are_no_rollouts(content: object, tmp_path: Path) -> None:
    (read,) = read_slime_file(save(tmp_path / "3.pt", content))
    assert (read.problem or "").startswith("no list of samples in this .pt file")


def test_a_folder_of_rollouts(tmp_path: Path) -> None:
    folder = tmp_path / "dump"
    folder.mkdir()
    save(folder / "3.pt", dump_of(saved()["sample"], saved(index=10)["sample"], saved(tokens=["a"])["sample"], 7))
    save(folder / "4.pt", dump_of(Hostile(tmp_path / "trap")))
    report = import_dump(folder, tmp_path / "out")
    assert not (tmp_path / "trap").exists()
    assert [(entry.file, entry.format) for entry in report.formats] == [("3.pt", "slime"), ("4.pt", None)]
    rows = list(report.dataset)
    rules = load_rules("tool")
    assert rows == [
        *Slime().read(saved(), RecordContext("3.pt", 0, rules)),
        *Slime().read(saved(index=10), RecordContext("3.pt", 1, rules)),
    ]
    assert rows[0].group_id == rows[1].group_id
    assert (report.dataset.manifest.records_in, report.dataset.manifest.rejected) == (5, 3)


def test_without_torch_the_extra_is_named() -> None:
    blocked = (
        "import sys; sys.modules['torch'] = None\n"
        "from pathlib import Path\n"
        "from purify.importing.formats.slime_file import read_slime_file\n"
        "list(read_slime_file(Path('3.pt')))\n"
    )
    done = subprocess.run([sys.executable, "-c", blocked], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == (
        "purify.errors.PurifyError: 3.pt: a .pt file is read with torch;"
        " install it with: pip install 'purify-trajectories[generate]'"
    )
