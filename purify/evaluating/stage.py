"""`purify evaluate`: sample rollouts of a policy on held-out tasks, and report what they show.

    purify evaluate run/ held_out.jsonl --k 8

The rollouts are datasets like any other (`rollouts/`, and with SAAR on `saar-rollouts/`); `evaluation.json` stands
beside them. Evaluated again with the same options, nothing is sampled twice.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from purify.datasets import Dataset, Progress, WriteMode
from purify.datasets.dataset import MANIFEST, PARTIAL
from purify.datasets.sink import write_atomically
from purify.datasets.stage import only_writer
from purify.digests import digest
from purify.engines.loading import check_model, load_tokenizer
from purify.errors import PurifyError
from purify.evaluating.config import EvaluateConfig
from purify.evaluating.metrics import measure
from purify.evaluating.report import Evaluation
from purify.generating import generate
from purify.generating.config import GenerateConfig
from purify.generating.journal import read_journal
from purify.generating.policy import identity_of, recorded
from purify.tasks import Task, read_tasks
from purify_schemas import PURIFIED_SCHEMA, RAW_SCHEMA

REPORT = "evaluation.json"


class _Arm(NamedTuple):
    """One set of rollouts: the name of its folder, how it is sampled, and what must not have changed since."""

    name: str
    config: GenerateConfig
    identity: str


def evaluate(
    source: str | Path,
    tasks: str | Path,
    config: EvaluateConfig | None = None,
    *,
    out: str | Path | None = None,
    concurrency: int = 64,
    progress: Progress | None = None,
) -> Evaluation:
    """Evaluate a training run (its newest checkpoint), or a model by its folder or hub name.

    `out` is by default a folder of its own under `evaluations/` in the run. An unfinished evaluation there goes on,
    a finished one is only measured.

    Raises `PurifyError` if the run has no checkpoint, a model has no `out`, or `out` holds another evaluation; and for
    everything that `generate` refuses.
    """
    config = config or EvaluateConfig.model_validate({})
    model, run = policy_of(source)
    if out is None and run is None:
        raise PurifyError(f"{source}: is a model, not a run of `purify train`; say where to write with -o DIR")
    good, bad = read_tasks(tasks)
    arms = [
        _arm(name, config.rollouts(model, saar=saar), good, [each.reason for each in bad])
        for name, saar in (("rollouts", False), ("saar-rollouts", True))[: 1 + config.saar]
    ]
    folder = Path(out) if out is not None else _default(run, Path(tasks), arms[0])
    for arm in arms:
        _agree(folder, arm)
    rollouts, *beside = (_sampled(arm, folder, tasks, concurrency, progress) for arm in arms)
    named = recorded(arms[-1].config)
    evaluation = Evaluation(
        model=named.model,
        tasks=Path(tasks).name,
        rejected=rollouts.manifest.rejected,
        options=named.model_dump(mode="json", exclude={"model", "saar"}),
        rollouts=measure(rollouts, k=config.tries),
        saar=measure(beside[0], k=config.tries) if beside else None,
    )
    write_atomically(folder / REPORT, evaluation.model_dump_json(indent=2).encode() + b"\n")
    return evaluation


def policy_of(source: str | Path) -> tuple[str, Path | None]:
    """The model to sample from, and the training run it belongs to (None: it was named itself).

    Raises `PurifyError` if the run has no complete checkpoint.
    """
    run = Path(source)
    if not (run / "checkpoints").is_dir() or (run / "config.json").exists():
        return str(source), None
    from purify.training.checkpoints import latest

    newest = latest(run)
    if newest is None:
        raise PurifyError(f"{run}: has no complete checkpoint yet; `purify train` saves one every --save-every updates")
    return str(newest), run


def _arm(name: str, config: GenerateConfig, tasks: Sequence[Task], problems: Sequence[str]) -> _Arm:
    if config.engine != "server":  # there, the model is a name of the server's
        check_model(config.model)
    identity = digest(
        *identity_of(recorded(config), config, load_tokenizer(config)),
        *(task.model_dump_json() for task in tasks),
        *problems,
    )
    return _Arm(name, config, identity)


def _default(run: Path | None, tasks: Path, arm: _Arm) -> Path:
    assert run is not None
    return run / "evaluations" / f"{tasks.stem}-{arm.identity[:8]}"


def _agree(folder: Path, arm: _Arm) -> None:
    """Rollouts of one folder come from one policy, task file and set of options. Raises `PurifyError` if not."""
    if folder.exists() and not folder.is_dir():
        raise PurifyError(f"{folder}: is a file; name a directory")
    noted = folder / f"{arm.name}.identity"
    if not noted.exists():
        if (folder / arm.name).exists() or (folder / MANIFEST).exists():
            raise PurifyError(f"{folder}: holds something else than an evaluation; choose another directory")
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(noted, arm.identity.encode())
    elif noted.read_text() != arm.identity:
        with only_writer(folder / arm.name):
            if _holds_rollouts(folder / arm.name, arm.config):
                raise PurifyError(
                    f"{folder}: its {arm.name} are of another policy, other tasks or other options; "
                    "choose another directory"
                )
            # An attempt that failed before its first trajectory binds nobody.
            shutil.rmtree(folder / arm.name / PARTIAL, ignore_errors=True)
            write_atomically(noted, arm.identity.encode())


def _holds_rollouts(out: Path, config: GenerateConfig) -> bool:
    """Whether anything was sampled there, be it unfinished."""
    schema = PURIFIED_SCHEMA if config.saar else RAW_SCHEMA
    return (out / MANIFEST).is_file() or bool(read_journal(out / PARTIAL / "journal", schema))


def _sampled(arm: _Arm, folder: Path, tasks: str | Path, concurrency: int, progress: Progress | None) -> Dataset:
    out = folder / arm.name
    mode = next_mode(out)
    if mode is None:
        return Dataset.open(out)
    return generate(tasks, out, arm.config, mode=mode, concurrency=concurrency, progress=progress)


def next_mode(out: Path) -> WriteMode | None:
    """How a stage goes on at `out`: not at all where the dataset is complete, with what a run that was cut off left."""
    if (out / MANIFEST).is_file():
        return None
    return "resume" if (out / PARTIAL / "identity").is_file() else "new"
