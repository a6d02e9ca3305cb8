"""Run a stage: every unit of work becomes one shard, whatever the number of workers, and nothing is ever lost.

Shards are written to `.partial/`, each with a completion marker; at the end they are renamed to their final names and
`manifest.json` is written last. A killed run resumes at the first missing shard and ends like one that was never
killed.
"""

from __future__ import annotations

import ctypes
import fcntl
import gc
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Any, Literal, Protocol

import orjson
import pyarrow as pa
from pydantic import ValidationError

from purify.datasets.dataset import MANIFEST, PARTIAL, Dataset
from purify.datasets.finish import finish
from purify.datasets.sink import ShardResult, ShardSink, write_atomically
from purify.digests import digest
from purify.errors import PurifyError
from purify_schemas import Manifest
from purify_schemas.manifest import Kind

WriteMode = Literal["new", "overwrite", "resume"]
OURS = frozenset({MANIFEST, PARTIAL, "README.md", "data", "rejected", "run_log.jsonl"})

_PR_SET_PDEATHSIG = 1  # linux/prctl.h

Work = Callable[[Any, ShardSink], None]


class Progress(Protocol):
    """Told how far a stage is; the CLI draws it."""

    def __call__(self, *, total: int | None = None, units: int = 0, rows: int = 0) -> None: ...


@dataclass(frozen=True)
class Stage:
    """What a stage is, apart from its work: the verb, its options and its parent."""

    name: str
    kind: Kind
    schema: pa.Schema
    config: dict[str, Any]
    inputs: Sequence[str]
    """One identity a unit (file and range, or the parent shard's digest), so that a resume sees changed input."""
    parent: Dataset | None = None
    config_digest: str = field(default="")

    @property
    def identity(self) -> str:
        """What a completion marker must match to be believed."""
        return digest(self.name, self.config_digest, self.kind, list(self.inputs))


def run_stage(
    stage: Stage,
    units: Sequence[Any],
    work: Work,
    out: Path,
    *,
    mode: WriteMode = "new",
    workers: int = 1,
    progress: Progress | None = None,
    prepare: Callable[[Path], None] | None = None,
) -> Manifest:
    """Do `work(unit, sink)` for every unit and publish the dataset at `out`.

    `prepare(folder)` runs before that, in this process. What it leaves in `folder` outlives a kill, until the dataset
    is published.

    `work` must be picklable where `workers > 1`. Raises `PurifyError` if `out` is taken, a resume does not fit, the
    disk is full, another run writes there or a worker died; finished shards stay in `.partial/` for `--resume`.
    """
    if stage.parent is not None and out.resolve().is_relative_to(stage.parent.path.resolve()):
        raise PurifyError(f"{out}: is the input, or lies inside it; stages never edit a dataset in place")
    started = datetime.now(UTC)
    manifest: Manifest | None = None
    try:
        with only_writer(out):
            folder = _claim(out, stage, mode)
            if prepare:
                prepare(folder)
            _do(stage, units, work, folder, workers, progress)
            manifest = finish(stage, _markers(folder, stage, len(units)), out)
            _log(out, stage, workers, started)
    except OSError as error:
        what = os.strerror(error.errno) if error.errno else error
        if manifest is not None:
            left = "the dataset is complete, but its run log is not"
        elif (out / PARTIAL).is_dir():
            left = "finished shards are kept, mend this (free space?) and add --resume"
        else:
            left = "nothing was written"
        raise PurifyError(f"{error.filename or out}: {what}; {left}") from None
    return manifest


def _do(stage: Stage, units: Sequence[Any], work: Work, folder: Path, workers: int, progress: Progress | None) -> None:
    """Work on the units that have no marker yet."""
    todo = [index for index in range(len(units)) if _marker(folder, index, stage.identity) is None]
    if progress:
        progress(total=len(units), units=len(units) - len(todo))
    task = partial(_one_unit, folder, stage.schema, stage.identity, work)
    if workers > 1 and len(todo) > 1:
        _in_processes(task, [(index, units[index]) for index in todo], workers, progress)
        return
    on_rows = (lambda rows: progress(rows=rows)) if progress else None
    for index in todo:
        task((index, units[index]), on_rows)
        if progress:
            progress(units=1)


@contextmanager
def only_writer(out: Path) -> Iterator[None]:
    """Hold the output directory, so that two runs never write to it at once."""
    if out.exists() and not out.is_dir():
        raise PurifyError(f"{out}: is a file; name a directory")
    out.mkdir(parents=True, exist_ok=True)
    handle = os.open(out, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise PurifyError(f"{out}: another run is writing here; wait for it, or choose another directory") from None
    finally:
        os.close(handle)


def _log(out: Path, stage: Stage, workers: int, started: datetime) -> None:
    """What may not stand in the manifest: clocks, paths, the command. One line a run."""
    entry = {
        "stage": stage.name,
        "started": started.isoformat(timespec="seconds"),
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": sys.argv,
        "directory": str(Path.cwd()),
        "workers": workers,
    }
    with (out / "run_log.jsonl").open("ab") as log:
        log.write(orjson.dumps(entry) + b"\n")


def _one_unit(
    folder: Path,
    schema: pa.Schema,
    identity: str,
    work: Work,
    numbered: tuple[int, Any],
    on_rows: Callable[[int], None] | None = None,
) -> int:
    index, unit = numbered
    with _no_collector(), ShardSink(folder, index, schema, identity, on_rows) as sink:
        work(unit, sink)
    return sink.rows


@contextmanager
def _no_collector() -> Iterator[None]:
    """Rows, views and edits have no cycles; tracing a million live ones again and again would take half the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _in_processes(
    task: Callable[[tuple[int, Any]], int], todo: list[tuple[int, Any]], workers: int, progress: Progress | None
) -> None:
    with worker_pool(workers, "finished shards are kept, run again with --resume and fewer --workers") as pool:
        futures: list[Future[int]] = [pool.submit(task, numbered) for numbered in todo]
        for future in as_completed(futures):
            rows = future.result()
            if progress:
                progress(units=1, rows=rows)


@contextmanager
def worker_pool(workers: int, advice: str) -> Iterator[ProcessPoolExecutor]:
    """Processes that end with this one. Raises `PurifyError` with the advice if one of them dies."""
    # Spawned, not forked: Arrow and polars hold threads and locks that a fork would copy half-taken.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_die_with_parent) as pool:
        try:
            yield pool
        except BrokenProcessPool:
            raise PurifyError(f"a worker process died (killed, or out of memory); {advice}") from None
        except BaseException:
            # A shard can take a minute; it is written again on --resume anyway.
            for child in active_children():
                child.terminate()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _die_with_parent() -> None:
    """Workers must not outlive a killed run: a resumed one would write to the same files (Linux; elsewhere nothing)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _marker(folder: Path, index: int, identity: str) -> ShardResult | None:
    path = folder / f"{index:05d}.done"
    if not path.is_file():
        return None
    try:
        result = ShardResult.model_validate_json(path.read_bytes())
    except ValidationError:
        return None  # a damaged marker proves nothing; its shard is written again
    return result if result.identity == identity else None


def _markers(folder: Path, stage: Stage, count: int) -> list[ShardResult]:
    found = [_marker(folder, index, stage.identity) for index in range(count)]
    if None in found:
        raise PurifyError(
            f"{folder}: completion marker {found.index(None):05d}.done is missing; run again with --resume"
        )
    return [result for result in found if result is not None]


def _claim(out: Path, stage: Stage, mode: WriteMode) -> Path:
    """Claim the output directory and return its `.partial/` folder."""
    folder = out / PARTIAL
    entries = {path.name for path in out.iterdir()}
    if entries - OURS:
        stranger = sorted(entries - OURS)[0]
        raise PurifyError(f"{out}: holds {stranger!r}, which is not a dataset's; choose an empty or new directory")
    if entries - {PARTIAL, "run_log.jsonl"} and MANIFEST not in entries and not (folder / "identity").is_file():
        stranger = sorted(entries - {PARTIAL, "run_log.jsonl"})[0]
        raise PurifyError(f"{out}: holds {stranger!r} but no dataset; choose an empty or new directory")
    if mode == "new" and MANIFEST in entries:
        raise PurifyError(f"{out}: already holds a dataset; choose another directory, or add --overwrite")
    if mode == "new" and (folder / "identity").is_file():
        raise PurifyError(f"{out}: holds an unfinished run; go on with --resume, or start again with --overwrite")
    if mode == "resume":
        if not (folder / "identity").is_file():
            if MANIFEST in entries:
                raise PurifyError(f"{out}: is complete, there is nothing to resume")
            raise PurifyError(f"{out}: nothing to resume here; run without --resume")
        if (folder / "identity").read_text() != stage.identity:
            raise PurifyError(
                f"{out}: the unfinished run had other options or other input; "
                "repeat its options, or add --overwrite instead of --resume"
            )
        return folder
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    write_atomically(folder / "identity", stage.identity.encode())
    return folder
