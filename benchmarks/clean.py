"""Wall time and memory of `clean`, beside a bare Parquet copy and a row-by-row pass in the same run.

python -m benchmarks.clean                  # time: 20,000 trajectories, 100,000 steps, 60 % edited
python -m benchmarks.clean --memory         # peak memory at 1, 4 and 16 times the size
"""

from __future__ import annotations

import argparse
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq

from benchmarks.synthetic import generate
from purify.cleaning import clean
from purify.datasets import Dataset
from purify.datasets.parquet import WRITER_OPTIONS, row_groups
from purify.saar import SaarConfig, load_similarity, purify_trajectory
from purify_schemas import PURIFIED_SCHEMA, from_table, to_table

DATA = Path(__file__).parent / "data"


def copy(source: Dataset, out: Path) -> None:
    """Read every row group and write it again: same codec, level, threads and row groups as `clean`."""
    out.mkdir(parents=True)
    for index, shard in enumerate(source.manifest.shards):
        path = source.path / shard.path
        with pq.ParquetWriter(out / f"{index}.parquet", pq.read_schema(path), **WRITER_OPTIONS) as writer:
            for table in row_groups(path):
                writer.write_table(table, row_group_size=len(table))


def row_by_row(source: Dataset, out: Path) -> None:
    """The straightforward pass: pydantic rows, one `purify_trajectory` each, the same C++ difflib."""
    out.mkdir(parents=True)
    config = SaarConfig()
    similarity = load_similarity(config)
    with pq.ParquetWriter(out / "0.parquet", PURIFIED_SCHEMA, **WRITER_OPTIONS) as writer:
        for table in source.tables():
            rows = [
                purify_trajectory(row, config, similarity=similarity, parent_digest=source.manifest.digest)[0]
                for row in from_table(table)
            ]
            writer.write_table(to_table(rows, PURIFIED_SCHEMA))


class Taken(NamedTuple):
    """One run: wall-clock and processor seconds (all threads)."""

    wall: float
    cpu: float


def run(work: Callable[[Path], object]) -> Taken:
    with tempfile.TemporaryDirectory(dir=DATA) as folder:
        wall, cpu = time.perf_counter(), time.process_time()
        work(Path(folder) / "out")
        return Taken(time.perf_counter() - wall, time.process_time() - cpu)


def measure_time(trajectories: int, repeats: int) -> None:
    source = generate(DATA / f"raw-{trajectories}", trajectories)
    size = sum(table.nbytes for table in source.tables()) / 2**20
    copies, passes = [], []
    for _ in range(repeats):  # interleaved, so that a busy machine slows both alike
        copies.append(run(lambda out: copy(source, out)))
        passes.append(run(lambda out: clean(source.path, out)))
    rows = run(lambda out: row_by_row(source, out))
    with tempfile.TemporaryDirectory(dir=DATA) as folder:
        edited = clean(source.path, Path(folder) / "out").manifest.counts["rows_edited"]
    print(f"{trajectories:,} trajectories, {trajectories * 5:,} steps, {size:.0f} MiB of Arrow, {edited:,} edited")
    print(f"{'':12s}     wall (least to most of {repeats})        CPU")
    base, ours = _report("bare copy", copies), _report("clean", passes)
    slow = _report("row by row", [rows])
    print(f"clean / copy        {ours.wall / base.wall:.2f} wall   {ours.cpu / base.cpu:.2f} CPU")
    print(f"row by row / clean  {slow.wall / ours.wall:.2f} wall   {slow.cpu / ours.cpu:.2f} CPU")


def _report(name: str, taken: list[Taken]) -> Taken:
    walls = [one.wall for one in taken]
    median = Taken(statistics.median(walls), statistics.median(one.cpu for one in taken))
    print(f"{name:12s} {median.wall:6.2f} s  ({min(walls):.2f} to {max(walls):.2f})   {median.cpu:6.2f} s")
    return median


def measure_memory(trajectories: int) -> None:
    """Peak resident memory of `clean`, each size in a process of its own."""
    for factor in (1, 4, 16):
        source = DATA / f"raw-{trajectories * factor}"
        generate(source, trajectories * factor)
        child = [sys.executable, "-m", "benchmarks.clean", "--child", str(source)]
        peak = subprocess.run(child, check=True, capture_output=True, text=True).stdout.strip()
        print(f"{factor:2d} x  {trajectories * factor:7,} trajectories  peak {peak} MiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trajectories", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--child", type=Path)
    arguments = parser.parse_args()
    DATA.mkdir(exist_ok=True)
    if arguments.child:
        out = DATA / "child"
        shutil.rmtree(out, ignore_errors=True)
        clean(arguments.child, out)
        shutil.rmtree(out)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
    elif arguments.memory:
        measure_memory(arguments.trajectories)
    else:
        measure_time(arguments.trajectories, arguments.repeats)


if __name__ == "__main__":
    main()
