"""`purify generate`: tasks and a model become a dataset of rollouts, like any other stage's output.

    purify generate tasks.jsonl -o rollouts/ --model Qwen/Qwen3-4B-Instruct-2507 --engine vllm

Sampling comes first and writes a journal; shards are then cut from it in the order of the tasks. A run that was
killed goes on with what the journal lacks, and samples nothing twice.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from purify.datasets import Dataset, Progress, ShardSink, Stage, WriteMode, run_stage
from purify.digests import config_digest, digest
from purify.engines.loading import load_tokenizer
from purify.generating.agent import response_ids
from purify.generating.config import GenerateConfig
from purify.generating.journal import Journal, Place, read_row
from purify.generating.policy import identity_of, open_sampler, recorded
from purify.generating.sampler import Sample, samples_of
from purify.saar.apply import flat_list
from purify.tasks import BadTask, Task, read_tasks
from purify_schemas import PURIFIED_SCHEMA, RAW_SCHEMA, Trajectory

_ROWS_A_SHARD = 2048


@dataclass(frozen=True)
class _Unit:
    """One shard: the rows of some samples, and the bad tasks that are reported with them."""

    samples: Sequence[Sample]
    bad: Sequence[BadTask] = ()


@dataclass
class _Sampled:
    """What sampling leaves for the shards. Both happen in one process, so it is simply held."""

    schema: pa.Schema
    places: dict[str, Place] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)

    def write_shard(self, unit: _Unit, sink: ShardSink) -> None:
        for bad in unit.bad:
            sink.reject(file=bad.file, row=bad.row, reason=bad.reason, raw=bad.raw)
        for sample in unit.samples:
            if (place := self.places.get(sample.trajectory_id)) is not None:
                table = read_row(place, self.schema)
                sink.append(table, records=1)
                _count(table, sink)
            elif sample.number == 0:
                task = sample.task
                sink.reject(file=task.file, row=task.row, reason=self.refused[task.task_id], raw=task.raw)


def generate(
    tasks: str | Path,
    out: str | Path,
    config: GenerateConfig,
    *,
    mode: WriteMode = "new",
    concurrency: int = 64,
    progress: Progress | None = None,
) -> Dataset:
    """Sample `config.group_size` rollouts of every task, `concurrency` at a time.

    Raises `PurifyError` if the task file, the model, the engine or the sandbox cannot be used, if the engine stops on
    the way, and for everything that `run_stage` refuses. Finished trajectories are kept for `mode="resume"`.
    """
    good, bad = read_tasks(tasks)
    named, tokenizer = recorded(config), load_tokenizer(config)
    file = Path(tasks).name
    identity = identity_of(named, config, tokenizer)
    samples = list(samples_of(good, config.group_size, ("generate", file, *identity)))
    stage = Stage(
        name="generate",
        kind="purified" if config.saar else "raw",
        schema=PURIFIED_SCHEMA if config.saar else RAW_SCHEMA,
        config=named.model_dump(mode="json"),
        config_digest=config_digest(named),
        inputs=[
            digest(*identity),
            digest(*(task.model_dump_json() for task in good), *(task.reason for task in bad)),
        ],
    )
    sampled = _Sampled(stage.schema)

    def sample(folder: Path) -> None:
        with Journal(folder / "journal", stage.schema) as journal:
            missing = [sample for sample in samples if sample.trajectory_id not in journal.places]
            done = _done(journal, progress, len(missing), len(samples))
            if missing:
                sampled.refused = asyncio.run(_sample(config, tokenizer, good, file, missing, concurrency, done))
        sampled.places = journal.places

    run_stage(stage, _units(samples, bad), sampled.write_shard, Path(out), mode=mode, prepare=sample)
    return Dataset.open(out)


async def _sample(
    config: GenerateConfig,
    tokenizer: Any,
    tasks: Sequence[Task],
    file: str,
    samples: Sequence[Sample],
    concurrency: int,
    done: Callable[[Trajectory], None],
) -> dict[str, str]:
    async with open_sampler(config, tokenizer, tasks, file) as sampler:
        return await sampler.run(samples, concurrency, done)


def _done(journal: Journal, progress: Progress | None, missing: int, total: int) -> Callable[[Trajectory], None]:
    """What happens with a finished trajectory: it is written down, then shown."""
    if progress:
        progress(total=total, units=total - missing)

    def done(trajectory: Trajectory) -> None:
        journal.add(trajectory)
        if progress:
            progress(units=1, rows=len(response_ids(trajectory.steps)))

    return done


def _units(samples: Sequence[Sample], bad: Sequence[BadTask]) -> list[_Unit]:
    cuts = range(0, len(samples), _ROWS_A_SHARD)
    units = [_Unit(samples[at : at + _ROWS_A_SHARD]) for at in cuts]
    return [_Unit(units[0].samples, bad), *units[1:]]


def _count(table: pa.Table, sink: ShardSink) -> None:
    """The stage's own counters, as they stand in manifest and card."""
    _, steps = flat_list(table.column("steps"))
    _, calls = flat_list(pc.struct_field(steps, "calls"))
    sink.counts["steps"] += len(steps)
    sink.counts["calls"] += len(calls)
    for entry in pc.value_counts(pc.struct_field(calls, "status")).to_pylist():
        sink.counts[f"calls_{entry['values']}"] += entry["counts"]
    sink.counts[f"finish_{table.column('finish_reason')[0].as_py()}"] += 1
    if table.column("reward")[0].is_valid:
        sink.counts["rewarded"] += 1
        sink.counts["reward_positive"] += table.column("reward")[0].as_py() > 0
    elif '"reward_problem":' in (table.column("extra")[0].as_py() or ""):
        sink.counts["reward_problems"] += 1
    if "provenance" in table.column_names:
        sink.counts.update(_edits(table))


def _edits(table: pa.Table) -> Counter[str]:
    """What the rollback did, by kind."""
    provenance = table.column("provenance").combine_chunks()
    _, edits = flat_list(pc.struct_field(provenance, "edits"))
    names = ("accepted", "reason", "raw_steps", "reasoning_from")
    counts: Counter[str] = Counter()
    for accepted, reason, raw_steps, reasoning in zip(
        *(pc.struct_field(edits, name).to_pylist() for name in names), strict=True
    ):
        if not accepted:
            counts["edits_refused"] += 1
        elif reason is not None:
            counts["retries_exhausted"] += 1
        else:
            counts["edits_shallow" if reasoning == raw_steps[0] else "edits_deep"] += 1
    return counts
