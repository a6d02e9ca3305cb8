"""The stage itself: what is written, that it is whole or absent, and the same from any number of workers."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import datasets
import polars as pl
import pytest
from typer.testing import CliRunner

from purify.datasets import Dataset
from purify.errors import PurifyError
from purify.exporting import ExportConfig, export
from purify_cli.main import app
from purify_schemas import Trajectory
from tests.exporting.chat_rows import thinking_row
from tests.support import call, step, trajectory, write_dataset

MESSAGES = ExportConfig(to="messages")


def rows(count: int) -> list[Trajectory]:
    return [trajectory(step(call(f"{at}"), result=f"{at}"), step(think="So."), id=f"t{at}") for at in range(count)]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_report_card_and_files(tmp_path: Path) -> None:
    source = write_dataset(tmp_path / "raw", [thinking_row(), *rows(3), trajectory(id="t9")], shards=2)
    report = export(tmp_path / "raw", tmp_path / "out", MESSAGES)
    assert (report.rows, report.records, report.lost) == (5, 4, {"null_texts": 1})
    assert report.skipped == {"no turn of the model": 1}
    assert report.source_digest == source.manifest.digest and report.config == {"to": "messages"}
    names = ["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet"]
    assert [(file.path, file.rows) for file in report.files] == [(names[0], 3), (names[1], 1)]
    for file in report.files:
        data = (tmp_path / "out" / file.path).read_bytes()
        assert (file.bytes, file.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert set(contents(tmp_path / "out")) == {*names, "README.md", "export.json"}
    assert json.loads((tmp_path / "out/export.json").read_bytes()) == report.model_dump(mode="json")
    card = (tmp_path / "out/README.md").read_text()
    assert "| no turn of the model | 1 |" in card and f"| {report.losses['null_texts']} | 1 |" in card
    assert "4 records from 5 trajectories" in card and str(tmp_path) not in card


def test_load_dataset_and_polars_open_it(tmp_path: Path) -> None:
    write_dataset(tmp_path / "raw", rows(5), shards=2)
    export(tmp_path / "raw", tmp_path / "out", MESSAGES)
    data = datasets.load_dataset(str(tmp_path / "out"), split="train", cache_dir=str(tmp_path / "cache"))
    assert data["trajectory_id"] == [f"t{at}" for at in range(5)]
    assert data[4]["messages"][2] == {"role": "tool", "content": "4"}
    frame = pl.read_parquet(tmp_path / "out/data/*.parquet")
    assert frame["trajectory_id"].to_list() == [f"t{at}" for at in range(5)]


def test_workers_and_runs_write_the_same_bytes(tmp_path: Path) -> None:
    write_dataset(tmp_path / "raw", [thinking_row(), *rows(6)], shards=3)
    written = []
    for number, workers in enumerate((1, 2, 1)):
        export(tmp_path / "raw", tmp_path / f"out{number}", MESSAGES, workers=workers)
        written.append(contents(tmp_path / f"out{number}"))
    assert written[0] == written[1] == written[2] and len(written[0]) == 5


def test_an_export_is_not_overwritten_unless_told(tmp_path: Path) -> None:
    write_dataset(tmp_path / "raw", rows(4), shards=2)
    write_dataset(tmp_path / "smaller", rows(1))
    export(tmp_path / "raw", tmp_path / "out", MESSAGES)
    before = contents(tmp_path / "out")
    with pytest.raises(PurifyError, match=r"already holds an export.*--overwrite"):
        export(tmp_path / "smaller", tmp_path / "out", MESSAGES)
    assert contents(tmp_path / "out") == before
    export(tmp_path / "smaller", tmp_path / "out", MESSAGES, overwrite=True)
    assert sorted(contents(tmp_path / "out")) == ["README.md", "data/train-00000-of-00001.parquet", "export.json"]


def test_a_strangers_directory_is_left_alone(tmp_path: Path) -> None:
    write_dataset(tmp_path / "raw", rows(1))
    (tmp_path / "out/data").mkdir(parents=True)
    (tmp_path / "out/data/mine.txt").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(PurifyError, match="holds 'data', which is not of an export"):
            export(tmp_path / "raw", tmp_path / "out", MESSAGES, overwrite=overwrite)
    assert contents(tmp_path / "out") == {"data/mine.txt": b"mine"}


def test_a_half_written_export_is_begun_anew(tmp_path: Path) -> None:
    write_dataset(tmp_path / "raw", rows(2))
    export(tmp_path / "raw", tmp_path / "whole", MESSAGES)
    (tmp_path / "out/.partial").mkdir(parents=True)
    (tmp_path / "out/.partial/00000.parquet").write_bytes(b"half")
    export(tmp_path / "raw", tmp_path / "out", MESSAGES)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_a_failure_leaves_no_export_behind(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "raw", rows(4), shards=2)
    last = tmp_path / "raw" / dataset.manifest.shards[1].path
    last.write_bytes(last.read_bytes()[:100])
    with pytest.raises(Exception, match=r"[Pp]arquet"):
        export(tmp_path / "raw", tmp_path / "out", MESSAGES)
    assert not (tmp_path / "out/export.json").exists() and not (tmp_path / "out/data").exists()


def test_an_empty_dataset_gives_an_empty_export(tmp_path: Path) -> None:
    write_dataset(tmp_path / "raw", [])
    result = CliRunner().invoke(app, ["export", str(tmp_path / "raw"), "-o", str(tmp_path / "out"), "--to", "messages"])
    assert result.exit_code == 0 and "nothing was written: the dataset has no rows" in result.output
    report = json.loads((tmp_path / "out/export.json").read_bytes())
    assert (report["rows"], report["records"], report["files"]) == (0, 0, [])


def test_nothing_to_write_is_an_error_with_the_reasons(tmp_path: Path) -> None:
    write_dataset(tmp_path / "raw", [trajectory(id=f"t{at}") for at in range(2)])
    with pytest.raises(PurifyError, match="nothing of it can be written as messages: 2 x 'no turn of the model'"):
        export(tmp_path / "raw", tmp_path / "out", MESSAGES)
    assert contents(tmp_path / "out") == {}


def test_the_dataset_itself_is_no_place_for_it(tmp_path: Path) -> None:
    write_dataset(tmp_path / "raw", rows(1))
    before = contents(tmp_path / "raw")
    for place in ("raw", "raw/out"):
        with pytest.raises(PurifyError, match="is the dataset, or lies inside it"):
            export(tmp_path / "raw", tmp_path / place, MESSAGES, overwrite=True)
    assert contents(tmp_path / "raw") == before and len(Dataset.open(tmp_path / "raw")) == 1
