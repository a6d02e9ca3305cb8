"""The stage itself: what is written, that it is whole or absent, and the same from any number of workers."""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import datasets
import polars as pl
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from purify.datasets import Dataset
from purify.errors import PurifyError
from purify.exporting import ExportConfig, export
from purify.exporting.config import ExportFormat
from purify.exporting.files import BATCH_BYTES
from purify.exporting.formats.kto import KTO
from purify.exporting.stage import slices
from purify.exporting.survey import Task, first_of_each_task, group_means
from purify.importing import import_dump
from purify_cli.main import app
from purify_schemas import Step, Trajectory, to_table
from tests.exporting.chat_rows import cleaned, failing_row, thinking_row
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


@pytest.mark.parametrize("cut", range(6))
def test_whatever_is_left_of_a_killed_publication_is_begun_anew(cut: int, tmp_path: Path) -> None:
    """The steps of replacing an export, in order; killed after each of them."""
    write_dataset(tmp_path / "raw", rows(2))
    write_dataset(tmp_path / "other", rows(4), shards=2)
    export(tmp_path / "other", tmp_path / "whole", MESSAGES)
    export(tmp_path / "raw", out := tmp_path / "out", MESSAGES)
    (out / ".partial").mkdir()
    (out / ".partial/00001.parquet").write_bytes(b"whole")
    steps: list[Callable[[], object]] = [
        lambda: (out / "export.json").unlink(),
        lambda: shutil.rmtree(out / "data"),
        lambda: (out / "data").mkdir(),
        lambda: (out / "data/train-00000-of-00002.parquet").write_bytes(b"new"),
        lambda: (out / "README.md").write_bytes(b"new"),
    ]
    for done in steps[:cut]:
        done()
    export(tmp_path / "other", out, MESSAGES, overwrite=cut == 0)
    assert contents(out) == contents(tmp_path / "whole") and not (out / ".partial").exists()


def test_what_cannot_be_written_leaves_a_half_published_export_to_be_begun_anew(tmp_path: Path) -> None:
    write_dataset(tmp_path / "raw", rows(1))
    write_dataset(tmp_path / "none", [trajectory()])
    export(tmp_path / "raw", out := tmp_path / "out", MESSAGES)
    (out / "export.json").unlink()
    (out / ".partial").mkdir()
    with pytest.raises(PurifyError, match="nothing of it"):
        export(tmp_path / "none", out, MESSAGES)
    assert export(tmp_path / "raw", out, MESSAGES).records == 1


FORMATS: list[ExportFormat] = ["messages", "kto", "preference", "pretokenized", "verl", "verl-prompts", "atif", "sts"]


@pytest.mark.parametrize("to", [*FORMATS, "sharegpt", "recovery"])
def test_one_cache_gives_each_export_its_own_rows(to: ExportFormat, tmp_path: Path) -> None:
    """In one cache: two folders, and one folder before and after it is overwritten."""
    config = ExportConfig(to=to)
    found = []
    for name in ("first", "second"):
        every = [
            failing_row(id=f"{name}{at}", task_id=f"{name}{at}", first=name).model_copy(
                update={"prompt_token_ids": [1]}
            )
            for at in range(2 if name == "first" else 3)
        ]
        with_ids = [row.model_copy(update={"steps": [_with_ids(turn) for turn in row.steps]}) for row in every]
        source = cleaned(tmp_path / name, with_ids)
        out = tmp_path / f"{name}-out"
        export(source, out, config)
        export(source, tmp_path / "out", config, overwrite=True)
        options = {"parse_agent_traces": False} if to == "sts" else {}
        for folder in (out, tmp_path / "out"):
            data = datasets.load_dataset(str(folder), split="train", cache_dir=str(tmp_path / "cache"), **options)
            found.append([json.dumps(one, default=str).count(name) > 0 for one in data])
            assert any(found[-1])
    assert len(found[0]) == len(found[1]) < len(found[2]) == len(found[3])


def _with_ids(turn: Step) -> Step:
    reasoning = turn.reasoning.model_copy(update={"token_ids": [2], "logprobs": [-0.5]})
    action = turn.action.model_copy(update={"token_ids": [3] if turn.calls else []})
    observation = turn.observation.model_copy(update={"token_ids": [4]})
    return turn.model_copy(update={"reasoning": reasoning, "action": action, "observation": observation})


def test_failed_calls_that_are_left_are_counted(tmp_path: Path) -> None:
    write_dataset(tmp_path / "raw", [failing_row(), *rows(1)])
    for to in ("messages", "verl", "sharegpt"):
        report = export(tmp_path / "raw", tmp_path / to, ExportConfig(to=to))
        frame = pl.read_parquet(tmp_path / to / "data/*.parquet")
        assert frame["failed_calls"].to_list() == [1, 0] and report.failed_calls == 1
        assert "1 failed calls are left in the records." in (tmp_path / to / "README.md").read_text()
    write_dataset(tmp_path / "good", rows(1))
    export(tmp_path / "good", tmp_path / "out", MESSAGES)
    assert "failed calls" not in (tmp_path / "out/README.md").read_text()


def test_batches_are_bounded(tmp_path: Path) -> None:
    """One trajectory gives 40 prompts of together some 80 MB: no row group, and so no batch, holds them all."""
    long = trajectory(*(step(call(f"{at}", "error"), result="E" * 100_000) for at in range(40)))
    write_dataset(tmp_path / "raw", [long])
    report = export(tmp_path / "raw", tmp_path / "out", ExportConfig(to="recovery"))
    file = pq.ParquetFile(tmp_path / "out" / report.files[0].path)
    sizes = [file.read_row_group(at).nbytes for at in range(file.num_row_groups)]
    assert sum(sizes) > 80_000_000 and max(sizes) < BATCH_BYTES + 5_000_000


def test_rows_are_objects_few_at_a_time(tmp_path: Path) -> None:
    table = to_table([trajectory(step(call("1"), result="E" * 1_000_000), id=f"t{at}") for at in range(40)])
    assert [len(piece) for piece in slices(table)] == [16, 16, 8]


def test_a_shard_is_sent_only_what_concerns_it(tmp_path: Path) -> None:
    every = [
        trajectory(step(think="x"), id=f"{group}{at}", group=group, reward=float(at)).model_copy(
            update={"reference": "1"}
        )
        for group in ("a", "b")
        for at in range(2)
    ]
    dataset = write_dataset(tmp_path / "raw", every, shards=2)
    assert list(group_means(dataset)) == [{"a": 0.5}, {"b": 0.5}]
    assert first_of_each_task(dataset) == [{0: Task(0, 2)}, {0: Task(1, 2)}]
    assert [len(pickle.dumps(one)) < 300 for one in KTO().surveyed(dataset)] == [True, True]


def test_an_empty_dataset_gives_an_empty_export(tmp_path: Path) -> None:
    write_dataset(tmp_path / "raw", [])
    result = CliRunner().invoke(app, ["export", str(tmp_path / "raw"), "-o", str(tmp_path / "out"), "--to", "messages"])
    assert result.exit_code == 0 and "nothing was written: the dataset has no rows" in result.output
    report = json.loads((tmp_path / "out/export.json").read_bytes())
    assert (report["rows"], report["records"], [file["rows"] for file in report["files"]]) == (0, 0, [0])
    assert list(datasets.load_dataset(str(tmp_path / "out"), split="train", streaming=True)) == []
    frame = pl.read_parquet(tmp_path / "out/data/*.parquet")
    assert len(frame) == 0 and "messages" in frame.columns


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


def test_the_folder_is_imported_as_it_is(tmp_path: Path) -> None:
    """Its report and its card are no records."""
    dataset = write_dataset(tmp_path / "raw", [trajectory(step(call("1"))), trajectory(step(call("2")), id="t1")])
    export(tmp_path / "raw", tmp_path / "out", ExportConfig(to="messages"))
    manifest = import_dump(tmp_path / "out", tmp_path / "back").dataset.manifest
    assert (manifest.records_in, manifest.rejected) == (2, 0)
    assert list(Dataset.open(tmp_path / "back")) == list(dataset)
