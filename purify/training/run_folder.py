"""The folder of a run: who may write there, and whether a resumed run is the one that was begun."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from purify.datasets.sink import write_atomically
from purify.datasets.stage import only_writer
from purify.digests import config_digest
from purify.engines.loading import portable_name
from purify.errors import PurifyError
from purify.training.checkpoints import latest
from purify.training.config import TRAINING_MACHINE, TrainConfig
from purify.training.parallel import World

RUN, REPORT, SCRATCH = "run.json", "report.json", ".data"
_OURS = {RUN, REPORT, SCRATCH, "metrics.jsonl", "tensorboard", "checkpoints", "evaluations"}


def identity_of(config: TrainConfig, dataset: str, policy: str | None) -> dict[str, Any]:
    """What `run.json` holds. `dataset` and `policy` are digests."""
    named = portable(config)
    return {
        "config": named.model_dump(mode="json"),
        "config_digest": config_digest(named),
        "dataset": dataset,
        "policy": policy,
    }


def claim(out: Path, identity: dict[str, Any], world: World, *, resume: bool, overwrite: bool) -> Path | None:
    """Take the run's folder; returns the checkpoint to go on from. Only the first process changes anything.

    Raises `PurifyError` if the folder is taken, or if what it holds is not the run that `identity` describes.
    """
    path = out / RUN
    # A kill may have left the half of a file that was never there.
    entries = {entry.name for entry in out.iterdir()} - {f"{RUN}.tmp", f"{REPORT}.tmp"}
    if strangers := sorted(entries - _OURS):
        raise PurifyError(f"{out}: holds {strangers[0]!r}, which is not a run's; choose an empty or new directory")
    if entries and not path.is_file() and entries != {"evaluations"}:
        raise PurifyError(f"{out}: holds {sorted(entries)[0]!r} but no {RUN}; choose an empty or new directory")
    if resume:
        if not path.is_file():
            raise PurifyError(f"{out}: nothing to resume here; run without --resume")
        if (out / REPORT).is_file():
            raise PurifyError(f"{out}: is complete, there is nothing to resume")
        if orjson.loads(path.read_bytes()) != identity:
            raise PurifyError(
                f"{out}: the unfinished run had other options, data or weights ({_first_difference(path, identity)}); "
                "repeat its options, or start again with --overwrite"
            )
        world.barrier()
        (out / SCRATCH).mkdir(exist_ok=True)
        return latest(out)
    done = (out / REPORT).is_file()
    # A run without a checkpoint has learned nothing that could be lost.
    if not overwrite and (done or latest(out)):
        go_on = "add --overwrite" if done else "go on with --resume, or start again with --overwrite"
        raise PurifyError(f"{out}: already holds {'a' if done else 'an unfinished'} run; {go_on}")
    world.barrier()
    if world.first:
        for name in (REPORT, "metrics.jsonl", RUN):
            (out / name).unlink(missing_ok=True)
        for name in (SCRATCH, "tensorboard", "checkpoints"):
            shutil.rmtree(out / name, ignore_errors=True)
        write_atomically(path, orjson.dumps(identity, option=orjson.OPT_INDENT_2) + b"\n")
        (out / SCRATCH).mkdir()
    world.barrier()
    return None


def portable(config: TrainConfig) -> TrainConfig:
    """The options as a run names them: no path of a machine, and nothing that changes numbers by more than rounding."""
    named = {name: portable_name(value) for name in ("model", "reference") if (value := getattr(config, name))}
    machine = {name: TrainConfig.model_fields[name].default for name in TRAINING_MACHINE}
    return config.model_copy(update={**named, **machine})


def _first_difference(path: Path, identity: dict[str, Any]) -> str:
    before = orjson.loads(path.read_bytes())
    for name, value in identity["config"].items():
        if before["config"].get(name) != value:
            return f"{name} was {before['config'].get(name)!r}"
    return "the dataset" if before["dataset"] != identity["dataset"] else "the policy's weights"


@contextmanager
def held(out: Path, world: World) -> Iterator[None]:
    """Hold the run's folder, so that two runs never write to it at once. The first process does it for all."""
    if world.first:
        with only_writer(out):
            yield
    else:
        out.mkdir(parents=True, exist_ok=True)
        yield
