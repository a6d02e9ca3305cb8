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


def test_sets_bytes_and_keys(tmp_path: Path) -> None:
    sample = {"words": {"b", "a", "c"}, "mixed": {2, "x", (1, "y")}, "blob": b"\xff\x00", 1: 2}
    (read,) = read_slime_file(save(tmp_path / "3.pt", dump_of(sample)))
    assert read.record is not None
    assert read.record["sample"] == {
        "words": ["a", "b", "c"],
        "mixed": ["x", 2, [1, "y"]],
        "blob": {"base64": "/wA="},
        "1": 2,
    }


def test_a_set_is_the_same_whatever_the_hash_seed(tmp_path: Path) -> None:
    path = save(tmp_path / "3.pt", dump_of({"words": {f"w{n}" for n in range(30)}}))
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from purify.importing.formats.slime_file import read_slime_file\n"
        "print([read.record for read in read_slime_file(Path(sys.argv[1]))])\n"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", code, str(path)],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(told) == 1


def cyclic() -> list[Any]:
    itself: list[Any] = []
    itself.append(itself)
    return itself


def shared(levels: int) -> list[Any]:
    """A few lists that JSON would have to write out ten times more often on every level."""
    value: list[Any] = []
    for _ in range(levels):
        value = [value] * 10
    return value


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (cyclic(), "the sample is nested too deeply, or holds itself"),
        (torch.zeros(1).expand(40_000_000), "the sample holds more than 16,777,216 values or 536,870,912 characters; "),
        (shared(12), "the sample holds more than 16,777,216 values or 536,870,912 characters; "),
        (["x" * 2**20] * 600, "the sample holds more than 16,777,216 values or 536,870,912 characters; "),
        ({1: 2, "1": 3}, "the sample has an object with two keys that are '1' in JSON"),
        ("\ud800x", "a string holds half a surrogate pair, which is not text; write U+FFFD instead"),
        (torch.zeros(1, device="meta"), "the sample has a tensor that cannot be listed ("),
    ],
)
def test_a_sample_that_cannot_be_read_costs_no_other(value: object, reason: str, tmp_path: Path) -> None:
    good = saved()["sample"]
    bad, read = read_slime_file(save(tmp_path / "3.pt", dump_of(saved(metadata={"x": value})["sample"], good)))
    assert (bad.row, bad.record) == (0, None)
    assert (bad.problem or "").startswith(reason)
    assert read == Read(1, {"rollout_id": 3, "sample": good}, None)


def test_a_view_is_refused_before_it_is_written_out(tmp_path: Path) -> None:
    path = save(tmp_path / "3.pt", dump_of({"x": torch.zeros(1).expand(2**40)}))  # eight terabytes of Python numbers
    (read,) = read_slime_file(path)
    assert (read.problem or "").startswith("the sample holds more than 16,777,216 values")
    assert path.stat().st_size < 4000


def test_a_file_that_is_compressed_too_far_is_not_read(tmp_path: Path) -> None:
    given, bomb = save(tmp_path / "3.pt", dump_of(saved()["sample"])), tmp_path / "4.pt"
    with zipfile.ZipFile(given) as plain, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as made:
        for name in plain.namelist():
            made.writestr(name, plain.read(name))
        made.writestr("3/data/9", bytes(20 * 2**20))
    (read,) = read_slime_file(bomb)
    assert (read.problem or "").startswith(
        "this .pt file is not read: 3/data/9 in it unpacks to 20,971,520 bytes, more"
    )


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
