"""`purify generate`: tasks and a model become a dataset of rollouts, as any other stage's output.

    purify generate tasks.jsonl -o rollouts/ --model Qwen/Qwen3-4B-Instruct-2507 --engine vllm

Sampling comes first and writes a journal; shards are cut from it in the order of the tasks, whole groups each. A run
that was killed goes on with what the journal lacks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from purify.datasets import Dataset, Progress, ShardSink, Stage, WriteMode, run_stage
from purify.digests import config_digest, digest
from purify.generating.config import GenerateConfig
from purify.generating.journal import Journal
from purify.generating.policy import Policy, load_policy, recorded
from purify.generating.sampler import Sample, samples_of
from purify.saar.apply import flat_list
from purify.tasks import BadTask, Task, read_tasks
from purify_schemas import PURIFIED_SCHEMA, RAW_SCHEMA

_ROWS_A_SHARD = 2048


@dataclass(frozen=True)
class _Unit:
    """One shard: some whole groups, and the bad tasks that are reported with it."""

    samples: Sequence[Sample]
    bad: Sequence[BadTask] = ()


@dataclass
class _Run:
    """What sampling leaves for the shards. Shards are cut in this process, so they share it."""

    rows: dict[str, pa.RecordBatch] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)

    def write_shard(self, unit: _Unit, sink: ShardSink) -> None:
        for bad in unit.bad:
            sink.reject(file=bad.file, row=bad.row, reason=bad.reason, raw=bad.raw)
        for sample in unit.samples:
            if (batch := self.rows.get(sample.trajectory_id)) is not None:
                table = pa.Table.from_batches([batch])
                sink.append(table, records=1)
                _count(table, sink)
            elif sample.index == 0:
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
    named = recorded(config)
    scope = ("generate", config_digest(named))
    samples = list(samples_of(good, config.group_size, scope))
    stage = Stage(
        name="generate",
        kind="purified" if config.saar else "raw",
        schema=PURIFIED_SCHEMA if config.saar else RAW_SCHEMA,
        config=named.model_dump(mode="json"),
        config_digest=config_digest(named),
        inputs=[digest(*(sample.trajectory_id for sample in samples), *(task.reason for task in bad))],
    )
    run = _Run()
    load = lambda: load_policy(config, good)  # noqa: E731  (loaded only if something is left to sample)

    def sample(folder: Path) -> None:
        with Journal(folder / "journal", stage.schema) as journal:
            missing = [sample for sample in samples if sample.trajectory_id not in journal.rows]
            ...
