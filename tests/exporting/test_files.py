"""Where the files of an export go: found whole and in order by `load_dataset` and `purify import`, however many."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import pytest
from datasets import load_dataset
from hypothesis import example, given, settings
from hypothesis import strategies as st

from purify.exporting.files import FOLDER_FILES, data_names, put_in_place
from purify.importing import import_dump


def test_names_by_the_count() -> None:
    assert data_names(0) == []
    assert data_names(2) == ["data/train-00000-of-00002", "data/train-00001-of-00002"]
    assert data_names(FOLDER_FILES)[-1] == "data/train-08999-of-09000"
    assert data_names(FOLDER_FILES + 1)[-2:] == ["data/00000/train-08999-of-09001", "data/00001/train-09000-of-09001"]
    many = data_names(100_001)
    assert many[0] == "data/00000/train-000000-of-100001"
    assert many[-2:] == ["data/00011/train-099999-of-100001", "data/00011/train-100000-of-100001"]


@settings(deadline=None, max_examples=20)
@example(count=100_001, folder_files=FOLDER_FILES)
@given(count=st.integers(1, 3000), folder_files=st.integers(1, 40))
def test_names_sort_in_order_and_no_folder_holds_too_many(count: int, folder_files: int) -> None:
    names = data_names(count, folder_files)
    assert len(set(names)) == count and sorted(names) == names
    assert max(Counter(name.rpartition("/")[0] for name in names).values()) <= folder_files


@pytest.mark.parametrize("folder_files", [FOLDER_FILES, 200_000])
def test_load_dataset_finds_numbers_of_six_digits(folder_files: int, tmp_path: Path) -> None:
    names, numbers = data_names(100_001, folder_files), [0, 99_999, 100_000]
    for number in numbers:
        path = tmp_path / "out" / f"{names[number]}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'{{"number": {number}}}\n')
    found = load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert {split: list(data["number"]) for split, data in found.items()} == {"train": numbers}


def test_files_in_folders_come_back_in_order(tmp_path: Path) -> None:
    out, written = tmp_path / "out", []
    (out / "data").mkdir(parents=True)
    (out / "data/train-00000-of-00001.jsonl").write_text("of an earlier export")
    for number in range(5):
        path = tmp_path / f"{number}.jsonl"
        header = f'{{"type":"session","harness":"h","id":"s{number}"}}\n'
        asked = '{"type":"message","message":{"role":"user","content":"Go."}}\n'
        path.write_text(f'{header}{asked}{{"type":"message","message":{{"role":"assistant","content":"{number}"}}}}\n')
        written.append((path, 1))
    texts = [path.read_bytes() for path, _ in written]

    files = put_in_place(written, out, folder_files=2)
    places = [f"data/{folder:05d}/train-{number:05d}-of-00005.jsonl" for number, folder in enumerate((0, 0, 1, 1, 2))]
    assert [(file.path, file.rows) for file in files] == [(place, 1) for place in places]
    assert [(file.bytes, file.sha256) for file in files] == [(len(t), hashlib.sha256(t).hexdigest()) for t in texts]
    assert sorted(path.relative_to(out).as_posix() for path in out.rglob("*.jsonl")) == places
    assert [(out / place).read_bytes() for place in places] == texts

    (out / "export.json").write_text("{}")
    rows = list(import_dump(out, tmp_path / "raw").dataset)
    assert [row.steps[0].reasoning.text for row in rows] == ["0", "1", "2", "3", "4"]
