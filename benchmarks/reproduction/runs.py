"""Run arms, a process a core, and keep of each what was measured: one JSON file a run.

What is finished is not run again, and a run that was cut off goes on, so the same command ends what it began. All arms
of a (design, seed) share the rollouts of their first round, which the same policy samples with the same seed.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from itertools import groupby
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import orjson

import purify
from benchmarks.reproduction.arms import BUDGET, Budget, Run, Schedule, config, evaluation
from benchmarks.reproduction.results import Result, of_policy, of_round
from purify.datasets import Dataset, WriteMode
from purify.datasets.sink import write_atomically
from purify.digests import digest
from purify.evaluating import evaluate
from purify.generating import generate
from purify.generating.config import GenerateConfig
from purify.iterating import Stages, iterate
from purify.tasks import read_tasks
from purify.toy import ToyConfig, make_toy
from purify.toy.config import DesignName


def run_all(runs: Iterable[Run], out: Path, workers: int, budget: Budget = BUDGET) -> Iterator[str]:
    """Run what is missing, or was run with other settings; yields a line for each finished design and seed."""
    missing = [run for run in runs if not is_done(run, out, budget)]
    together = [list(group) for _, group in groupby(missing, key=lambda run: (run.design, run.seed))]
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_one_thread)
    try:
        designs = sorted({run.design for run in missing})
        absent = [design for design in designs if not (toy_of(design, out) / "toy.json").is_file()]
        for made in as_completed([pool.submit(make, design, out) for design in absent]):
            yield f"{made.result()}: trained"
        for done in as_completed([pool.submit(run_group, group, out, budget) for group in together]):
            yield done.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _one_thread() -> None:
    """With more of them, two arms on two cores wait for each other. Before torch is imported."""
    os.environ.update(OMP_NUM_THREADS="1", OMP_WAIT_POLICY="passive", TOKENIZERS_PARALLELISM="false")


def is_done(run: Run, out: Path, budget: Budget) -> bool:
    file = file_of(run, out)
    return file.is_file() and orjson.loads(file.read_bytes())["settings"] == settings(run, budget)


def settings(run: Run, budget: Budget) -> str:
    """Digest of all that a run's results depend on but the code: options of every stage, evaluation, policy."""
    options = config(run, Path(), budget.schedules[run.algorithm]).model_dump(mode="json")
    evaluated = evaluation(run.seed).model_dump(mode="json")
    return digest(options, evaluated, budget.held_out, ToyConfig(design=run.design).model_dump(mode="json"))


def toy_of(design: str, out: Path) -> Path:
    return out / "policies" / design


def file_of(run: Run, out: Path) -> Path:
    """Where the results of a run are."""
    return out / "results" / f"{run.design}-{run.seed}" / f"{run.name}.json"


def make(design: DesignName, out: Path) -> Path:
    """Train the policy of a design. Its seed is the toy's own: seeds of runs are of sampling and training."""
    folder = toy_of(design, out)
    make_toy(folder, ToyConfig(design=design), lambda step, loss: None)
    return folder


def run_group(runs: list[Run], out: Path, budget: Budget) -> str:
    """The runs of one design and seed, one after the other."""
    design, seed = runs[0].design, runs[0].seed
    toy, folder = toy_of(design, out), out / "runs" / f"{design}-{seed}"
    start, held_out = folder / "start.json", folder / "held_out.jsonl"
    folder.mkdir(parents=True, exist_ok=True)
    held_out.write_text("".join((toy / held_out.name).read_text().splitlines(keepends=True)[: budget.held_out]))
    if not start.is_file():
        begun = evaluate(toy / "model", held_out, evaluation(seed), out=folder / "start")
        write_atomically(start, begun.rollouts.model_dump_json().encode())
    for run in runs:
        found = run_one(run, toy, folder, budget.schedules[run.algorithm], orjson.loads(start.read_bytes()))
        file_of(run, out).parent.mkdir(parents=True, exist_ok=True)
        kept = {"settings": settings(run, budget), "rows": found}
        write_atomically(file_of(run, out), orjson.dumps(kept, option=orjson.OPT_INDENT_2))
        shutil.rmtree(folder / run.name)
    shutil.rmtree(folder)
    return f"{design}, seed {seed}: {len(runs)} runs"


def run_one(run: Run, toy: Path, shared: Path, schedule: Schedule, start: dict[str, Any]) -> list[Result]:
    """What was measured before each round, and on the held-out tasks before the first and after the last."""
    folder, stages = shared / run.name, replace(Stages.real(), generate=Shared(shared))
    report = iterate(config(run, toy, schedule), folder / "rounds", stages=stages)
    rows = [of_policy(run, 0, start)]
    for one in report.rounds:
        found = purify.stats(folder / f"rounds/round-{one.round:03d}/rollouts")
        rows.append(of_round(run, one.round * schedule.updates, one, found))
    last = folder / f"rounds/round-{schedule.rounds - 1:03d}/run"
    after = evaluate(last, shared / "held_out.jsonl", evaluation(run.seed), out=folder / "after").rollouts
    updates = sum(one.updates for one in report.rounds)
    return [*rows, of_policy(run, updates, after.model_dump(mode="json"))]


class Shared:
    """`generate`, but the first round is sampled once for all arms that sample it with the same options."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(
        self, source: str | Path, out: str | Path, config: GenerateConfig, /, *, mode: WriteMode, progress: Any
    ) -> Dataset:
        if config.round != 0:
            return generate(source, out, config, mode=mode, progress=progress)
        first = self.folder / f"first-{len(read_tasks(source)[0])}{'-saar' if config.saar else ''}"
        if not (first / "manifest.json").is_file():
            shutil.rmtree(first, ignore_errors=True)
            generate(source, first, config, progress=progress)
        # Copied under another name first: what is cut off must not look complete.
        copy = Path(out).with_name("rollouts.copy")
        for stale in (copy, out):
            shutil.rmtree(stale, ignore_errors=True)
        shutil.copytree(first, copy)
        copy.rename(out)
        return Dataset.open(out)
