"""The stage engine: shards whatever the workers, resume after any interruption, nothing lost, nothing half written."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from purify.cleaning import clean, restore
from purify.datasets import Dataset, ShardSink, Stage, run_stage
from purify.datasets.parquet import row_groups
from purify.datasets.stage import worker_pool
from purify.datasets.verify import verify
from purify.errors import PurifyError
from purify.saar import SaarConfig
from purify_schemas import RAW_SCHEMA, Trajectory, to_table
from purify_schemas.arrow import VERSION_KEY
from tests.support import call, step, trajectory, write_dataset


def rows(count: int) -> list[Trajectory]:
    return [
        trajectory(
            step(call("abcd", "error"), reasoning_ids=[n], action_ids=[n + 1]),
            step(call("abce"), reasoning_ids=[n + 2], action_ids=[n + 3]),
            id=f"t{n}",
            group=f"g{n // 4}",
            reward=float(n % 2),
        )
        for n in range(count)
    ]


def bytes_of(dataset: Path) -> dict[str, bytes]:
    """Every file but the log, which alone may hold clocks and paths."""
    return {
        path.relative_to(dataset).as_posix(): path.read_bytes()
        for path in sorted(dataset.rglob("*"))
        if path.is_file() and path.name != "run_log.jsonl"
    }


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    write_dataset(tmp_path / "raw", rows(12), shards=4)
    return tmp_path / "raw"


def test_rows_come_back_in_order(raw: Path) -> None:
    dataset = Dataset.open(raw)
    assert len(dataset) == 12 and list(dataset) == rows(12)
    assert [shard.path for shard in dataset.manifest.shards] == [
        f"data/train-{n:05d}-of-00004.parquet" for n in range(4)
    ]


def test_polars_and_datasets_open_it_without_us(raw: Path, tmp_path: Path) -> None:
    from datasets import load_dataset

    clean(raw, tmp_path / "purified")
    for folder in (raw, tmp_path / "purified"):
        assert pl.scan_parquet(folder / "data/*.parquet").select("trajectory_id").collect().height == 12
        loaded = load_dataset(str(folder), split="train", cache_dir=str(tmp_path / "cache"))
        assert loaded["trajectory_id"] == [f"t{n}" for n in range(12)]
        assert loaded[0]["steps"][0]["calls"][0]["name"] == "python"


def test_datasets_reads_an_overwritten_dataset_anew(raw: Path, tmp_path: Path) -> None:
    """Its cache must see that the files are others."""
    from datasets import load_dataset

    def ids() -> list[str]:
        return list(load_dataset(str(raw), split="train", cache_dir=str(tmp_path / "cache"))["trajectory_id"])

    assert ids() == [f"t{n}" for n in range(12)]
    shutil.rmtree(raw)
    write_dataset(raw, rows(24)[12:], shards=4)  # files of the same names
    assert ids() == [f"t{n}" for n in range(12, 24)]


def test_workers_change_no_byte(raw: Path, tmp_path: Path) -> None:
    clean(raw, tmp_path / "one")
    clean(raw, tmp_path / "two", workers=2)
    clean(raw, tmp_path / "again")
    assert bytes_of(tmp_path / "one") == bytes_of(tmp_path / "two") == bytes_of(tmp_path / "again")


def test_restore_gives_the_very_bytes_back(raw: Path, tmp_path: Path) -> None:
    clean(raw, tmp_path / "purified")
    restored = restore(tmp_path / "purified", tmp_path / "restored", workers=2)
    assert restored.manifest.digest == Dataset.open(raw).manifest.digest
    for shard in restored.manifest.shards:
        assert (tmp_path / "restored" / shard.path).read_bytes() == (raw / shard.path).read_bytes()


def test_the_manifest_has_no_clock_and_no_absolute_path(raw: Path, tmp_path: Path) -> None:
    clean(raw, tmp_path / "purified")
    text = (tmp_path / "purified/manifest.json").read_text()
    assert str(tmp_path) not in text
    assert [ancestor.stage for ancestor in Dataset.open(tmp_path / "purified").manifest.lineage] == ["import"]


@dataclass(frozen=True)
class FailAt:
    """Stops the run at one unit, as a crash would: after some of its rows are written."""

    unit: int | None

    def __call__(self, unit: int, sink: ShardSink) -> None:
        sink.append(to_table([rows(8)[unit]]), records=1)
        if unit == self.unit:
            raise RuntimeError("crash")
        if unit == 1:
            sink.reject(file="f", row=1, reason="unreadable", raw=b"\xff{")


def crash_stage(out: Path, unit: int | None, mode: str = "new") -> None:
    stage = Stage("import", "raw", RAW_SCHEMA, {}, [str(n) for n in range(4)], config_digest="c")
    run_stage(stage, range(4), FailAt(unit), out, mode=mode)  # type: ignore[arg-type]


@pytest.mark.parametrize("unit", range(4))
def test_a_crash_resumes_and_ends_like_a_run_that_never_crashed(tmp_path: Path, unit: int) -> None:
    crash_stage(tmp_path / "whole", None)
    with pytest.raises(RuntimeError, match="crash"):
        crash_stage(tmp_path / "crashed", unit)
    with pytest.raises(PurifyError, match="unfinished dataset"):
        Dataset.open(tmp_path / "crashed")
    with pytest.raises(PurifyError, match="go on with --resume"):
        crash_stage(tmp_path / "crashed", None)
    crash_stage(tmp_path / "crashed", None, mode="resume")
    assert bytes_of(tmp_path / "crashed") == bytes_of(tmp_path / "whole")
    manifest = Dataset.open(tmp_path / "crashed").manifest
    assert (manifest.rows, manifest.rejected, manifest.records_in) == (4, 1, 5)


@pytest.mark.parametrize("published", [None, 0, 2, 4])
def test_a_crash_while_publishing_resumes_too(raw: Path, tmp_path: Path, published: int | None) -> None:
    """`published` shards have their final names already; None: publishing has not begun."""
    clean(raw, tmp_path / "whole")
    seen = 0

    def crash_after_the_last_shard(*, total: int | None = None, units: int = 0, rows: int = 0) -> None:
        nonlocal seen
        seen += units
        if seen == 4:
            raise RuntimeError("crash")

    out = tmp_path / "crashed"
    with pytest.raises(RuntimeError, match="crash"):
        clean(raw, out, progress=crash_after_the_last_shard)
    if published is not None:
        (out / ".partial/publishing").touch()
        (out / "data").mkdir()
        for number in range(published):
            written = out / f".partial/{number:05d}.parquet"
            written.rename(out / f"data/train-{number:05d}-of-00004.parquet")
    clean(raw, out, mode="resume")
    assert bytes_of(out) == bytes_of(tmp_path / "whole")


def test_kill_9_in_the_middle_then_resume(tmp_path: Path) -> None:
    write_dataset(tmp_path / "raw", rows(400), shards=100)
    clean(tmp_path / "raw", tmp_path / "whole")
    program = "import sys, purify; purify.clean(sys.argv[1], sys.argv[2])"
    child = subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "raw"), str(tmp_path / "killed")])
    partial = tmp_path / "killed/.partial"
    deadline = time.monotonic() + 60
    while len(list(partial.glob("*.done"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.001)
    os.kill(child.pid, signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL, "the run ended before it could be killed"
    done = {path.name: path.stat().st_mtime_ns for path in partial.glob("*.done")}
    assert 3 <= len(done) < 100
    clean(tmp_path / "raw", tmp_path / "killed", mode="resume")
    assert bytes_of(tmp_path / "killed") == bytes_of(tmp_path / "whole")


def test_resume_refuses_other_options(raw: Path, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        crash_stage(tmp_path / "out", 2)
    with pytest.raises(PurifyError, match="other options or other input"):
        clean(raw, tmp_path / "out", mode="resume")
    with pytest.raises(PurifyError, match="nothing to resume"):
        clean(raw, tmp_path / "nowhere", mode="resume")
    clean(raw, tmp_path / "done")
    with pytest.raises(PurifyError, match="is complete"):
        clean(raw, tmp_path / "done", mode="resume")


def test_resume_refuses_changed_input(raw: Path, tmp_path: Path) -> None:
    def crash(*, total: int | None = None, units: int = 0, rows: int = 0) -> None:
        if units:
            raise RuntimeError("crash")

    with pytest.raises(RuntimeError):
        clean(raw, tmp_path / "out", progress=crash)
    shutil.rmtree(raw)
    write_dataset(raw, rows(13), shards=4)
    with pytest.raises(PurifyError, match="other options or other input"):
        clean(raw, tmp_path / "out", mode="resume")


def test_a_marker_of_another_run_is_not_believed(tmp_path: Path) -> None:
    crash_stage(tmp_path / "whole", None)
    with pytest.raises(RuntimeError):
        crash_stage(tmp_path / "out", 3)
    marker = tmp_path / "out/.partial/00000.done"
    marker.write_text(marker.read_text().replace('"identity":"', '"identity":"0'))
    (tmp_path / "out/.partial/00000.parquet").write_bytes(b"left by another run")
    crash_stage(tmp_path / "out", None, mode="resume")
    assert bytes_of(tmp_path / "out") == bytes_of(tmp_path / "whole")


@dataclass(frozen=True)
class LoseOne:
    def __call__(self, unit: object, sink: ShardSink) -> None:
        sink.append(to_table(rows(11)), records=11)


def test_a_stage_that_loses_rows_is_not_published(raw: Path, tmp_path: Path) -> None:
    stage = Stage("clean", "raw", RAW_SCHEMA, {}, ["one"], parent=Dataset.open(raw), config_digest="c")
    with pytest.raises(PurifyError, match="12 rows went in but 11 came out"):
        run_stage(stage, [None], LoseOne(), tmp_path / "out")
    with pytest.raises(PurifyError, match="unfinished"):
        Dataset.open(tmp_path / "out")


def test_restore_is_exact_where_dictionaries_overflow(tmp_path: Path) -> None:
    """Where a column's dictionary page fills up depends on chunks; ids and texts here take more than its 1 MiB."""
    many = [
        trajectory(step(call(f"print({n})", "error"), think=f"{n:500d}"), step(call(f"print({n + 1})")), id=f"{n:600d}")
        for n in range(3000)
    ]
    stage = Stage("import", "raw", RAW_SCHEMA, {}, ["one"], config_digest="c")
    run_stage(stage, [many], WriteBatches(), tmp_path / "raw")
    clean(tmp_path / "raw", tmp_path / "out")
    back = restore(tmp_path / "out", tmp_path / "back")
    assert back.manifest.digest == Dataset.open(tmp_path / "raw").manifest.digest


@dataclass(frozen=True)
class WriteBatches:
    def __call__(self, unit: list[Trajectory], sink: ShardSink) -> None:
        for at in range(0, len(unit), 256):
            sink.append(to_table(unit[at : at + 256]), records=256)


def test_row_groups_are_kept_one_to_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("purify.datasets.sink.ROW_GROUP_BYTES", 1)
    stage = Stage("import", "raw", RAW_SCHEMA, {}, ["one"], config_digest="c")
    run_stage(stage, [None], WriteInPieces(), tmp_path / "raw")
    monkeypatch.undo()

    def groups(dataset: Dataset) -> list[int]:
        file = pq.ParquetFile(dataset.path / dataset.manifest.shards[0].path)
        return [file.metadata.row_group(index).num_rows for index in range(file.num_row_groups)]

    purified, restored = clean(tmp_path / "raw", tmp_path / "out"), restore(tmp_path / "out", tmp_path / "back")
    assert groups(Dataset.open(tmp_path / "raw")) == groups(purified) == groups(restored) == [3, 3, 3]
    assert restored.manifest.digest == Dataset.open(tmp_path / "raw").manifest.digest
    assert [ancestor.stage for ancestor in restored.manifest.lineage] == ["import", "clean"]


@dataclass(frozen=True)
class WriteInPieces:
    def __call__(self, unit: object, sink: ShardSink) -> None:
        for at in (0, 3, 6):
            sink.append(to_table(rows(9)[at : at + 3]), records=3)


@pytest.mark.parametrize(
    ("claim", "lie", "finding"),
    [
        ('"rows": 12,\n  "rejected"', '"rows": 13,\n  "rejected"', "says 13 rows, the shards hold 12"),
        ('"rejected": 0', '"rejected": 2', "its rejected records are not those of rejected/"),
        ('"rows": 3', '"rows": 4', "says 4 rows, holds 3"),
        ('"digest": "', '"digest": "0', "its digest is not that of its shards"),
    ],
)
def test_verify_recomputes_what_the_manifest_claims(raw: Path, claim: str, lie: str, finding: str) -> None:
    manifest = raw / "manifest.json"
    text = manifest.read_text()
    assert claim in text
    manifest.write_text(text.replace(claim, lie))
    assert finding in "\n".join(verify(raw).findings)


def test_verify_compares_provenance_with_the_lineage(raw: Path, tmp_path: Path) -> None:
    clean(raw, tmp_path / "out")
    manifest = tmp_path / "out/manifest.json"
    parent = Dataset.open(raw).manifest.digest
    manifest.write_text(manifest.read_text().replace(parent, "0" * 32))
    assert "names a parent dataset that is not in the manifest's lineage" in verify(tmp_path / "out").findings[0]


def test_an_existing_output_is_never_touched_unasked(raw: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    clean(raw, out)
    before = bytes_of(out)
    with pytest.raises(PurifyError, match="already holds a dataset"):
        clean(raw, out)
    assert bytes_of(out) == before
    clean(raw, out, SaarConfig(gamma=1.0), mode="overwrite")
    assert Dataset.open(out).manifest.config["gamma"] == 1.0

    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.tex").write_text("mine")
    for mode in ("new", "overwrite"):
        with pytest.raises(PurifyError, match=r"thesis\.tex"):
            clean(raw, foreign, mode=mode)
    (tmp_path / "file").write_text("")
    with pytest.raises(PurifyError, match="is a file"):
        clean(raw, tmp_path / "file")
    with pytest.raises(PurifyError, match="is the input, or lies inside it"):
        clean(raw, raw, mode="overwrite")


def test_a_folder_that_is_no_dataset_is_never_emptied(raw: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    (project / "data").mkdir(parents=True)
    (project / "data/thesis.csv").write_text("precious")
    for mode in ("new", "overwrite", "resume"):
        with pytest.raises(PurifyError, match="holds 'data' but no dataset"):
            clean(raw, project, mode=mode)
    out = tmp_path / "out"
    clean(raw, out)
    (out / "data/mine.csv").write_text("precious")
    clean(raw, out, SaarConfig(gamma=1.0), mode="overwrite")
    assert (out / "data/mine.csv").read_text() == "precious"


def test_a_crash_in_the_very_last_step_leaves_a_finished_dataset(raw: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    clean(raw, out)
    # As if the run had been killed while it removed its own `.partial/`.
    (out / ".partial").mkdir()
    (out / ".partial/00000.done").write_text("{}")
    before = bytes_of(out)
    with pytest.raises(PurifyError, match="is complete"):
        clean(raw, out, mode="resume")
    assert bytes_of(out) == before


def test_an_overwrite_that_fails_leaves_the_old_dataset(raw: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    clean(raw, out)
    before = bytes_of(out)
    with pytest.raises(RuntimeError):
        crash_stage(out, 2, mode="overwrite")
    shutil.rmtree(out / ".partial")
    assert bytes_of(out) == before


def test_a_flipped_byte_is_found_before_it_is_used(raw: Path, tmp_path: Path) -> None:
    shard = raw / "data/train-00001-of-00004.parquet"
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    with pytest.raises(PurifyError, match="its bytes changed after it was written"):
        clean(raw, tmp_path / "out")
    assert any("sha256 differs" in finding for finding in verify(raw).findings)
    with pytest.raises(PurifyError, match="its bytes changed"):
        clean(raw, tmp_path / "two", workers=2)


def test_a_shard_of_another_schema_version_is_refused(raw: Path, tmp_path: Path) -> None:
    path = raw / "data/train-00000-of-00004.parquet"
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata({VERSION_KEY: b"99"}), path)
    with pytest.raises(PurifyError, match="schema version 99, this purify reads version 1"):
        list(row_groups(path))
    pq.write_table(pa.table({"a": [1]}), path)
    with pytest.raises(PurifyError, match="not written by purify"):
        list(row_groups(path))
    path.write_bytes(b"PAR1 nonsense")
    with pytest.raises(PurifyError, match="not a readable Parquet shard"):
        list(row_groups(path))
    manifest = raw / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"schema_version": 1', '"schema_version": 99'))
    with pytest.raises(PurifyError, match="schema version 99"):
        Dataset.open(raw)
    manifest.write_text("{")
    with pytest.raises(PurifyError, match="damaged or of another version"):
        Dataset.open(raw)


def test_verify_finds_what_is_wrong(raw: Path, tmp_path: Path) -> None:
    clean(raw, tmp_path / "purified")
    assert verify(raw).findings == [] and verify(tmp_path / "purified", raw).findings == []
    other = write_dataset(tmp_path / "other", rows(3))
    (finding,) = verify(tmp_path / "purified", other.path).findings
    assert finding.startswith("lineage: made from")
    (raw / "data/train-stray.parquet").write_bytes(b"")
    (raw / "data/train-00003-of-00004.parquet").unlink()
    found = "\n".join(verify(raw).findings)
    assert "train-00003-of-00004.parquet: missing" in found
    assert "train-stray.parquet: not in the manifest" in found
    twice = write_dataset(tmp_path / "twice", [*rows(2), *rows(1)])
    (finding,) = verify(twice.path).findings
    assert finding.startswith("data/train-00000-of-00001.parquet row 2: trajectory_id t0 occurs twice (task 'g0'")


def test_a_full_disk_ends_with_one_line_and_resumes(raw: Path, tmp_path: Path) -> None:
    """A file-size limit makes the kernel refuse to write, as a full disk does."""
    program = (
        "import resource, signal, sys, purify\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try:\n    purify.clean(sys.argv[1], sys.argv[2])\n"
        "except purify.PurifyError as error:\n    sys.exit(str(error))\n"
    )
    command = [sys.executable, "-c", program, str(raw), str(tmp_path / "out")]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 1
    assert "File too large; finished shards are kept" in ended.stderr and "Traceback" not in ended.stderr
    clean(raw, tmp_path / "out", mode="resume")
    clean(raw, tmp_path / "whole")
    assert bytes_of(tmp_path / "out") == bytes_of(tmp_path / "whole")


def test_two_runs_never_write_to_one_directory(raw: Path, tmp_path: Path) -> None:
    def intrude(*, total: int | None = None, units: int = 0, rows: int = 0) -> None:
        if units:
            for mode in ("new", "overwrite", "resume"):
                with pytest.raises(PurifyError, match="another run is writing here"):
                    clean(raw, tmp_path / "out", mode=mode)

    clean(raw, tmp_path / "out", progress=intrude)
    clean(raw, tmp_path / "whole")
    assert bytes_of(tmp_path / "out") == bytes_of(tmp_path / "whole")


def test_an_empty_dataset_stays_openable(tmp_path: Path) -> None:
    write_dataset(tmp_path / "raw", [])
    cleaned = clean(tmp_path / "raw", tmp_path / "out")
    assert len(cleaned) == 0 and list(cleaned) == []
    assert verify(tmp_path / "out", tmp_path / "raw").findings == []


def test_a_worker_that_dies_is_one_line_with_advice() -> None:
    with (
        pytest.raises(PurifyError, match=r"a worker process died .*; take fewer"),
        worker_pool(2, "take fewer") as pool,
    ):
        list(pool.map(os._exit, [1, 1]))
