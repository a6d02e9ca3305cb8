"""The folder of an iteration: which configuration it belongs to, and what is finished in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from purify.datasets.sink import write_atomically
from purify.digests import file_sha256
from purify.engines.config import OF_THE_MACHINE
from purify.engines.loading import portable_name, revision_of
from purify.errors import PurifyError
from purify.iterating.config import STAGES, IterateConfig
from purify.scoring.config import SCORING_MACHINE
from purify.training.config import TRAINING_MACHINE

OPTIONS, REPORT = "options.json", "iterate.json"


def claim(out: Path, config: IterateConfig) -> None:
    """Note the configuration in a new folder; an old one must have the same.

    Raises `PurifyError` if it has another, naming what differs, or if the folder holds something else. The number of
    rounds may differ: a round does not depend on how many follow. So may options of a stage that no round has begun,
    with all that follow it: what a stage refuses at its start can be mended.
    """
    if out.exists() and not out.is_dir():
        raise PurifyError(f"{out}: is a file; name a directory")
    identity = identity_of(config)
    noted = out / OPTIONS
    if noted.is_file():
        before = orjson.loads(noted.read_bytes())
        if before == identity:
            return
        if not _is_open(out, before, identity):
            raise PurifyError(
                f"{out}: was begun with other options ({_difference(before, identity)}); "
                "repeat those, or choose another directory"
            )
    elif out.is_dir() and (strangers := sorted({path.name for path in out.iterdir()} - {f"{OPTIONS}.tmp"})):
        raise PurifyError(f"{out}: holds {strangers[0]!r}, which is no iteration's; choose an empty or new directory")
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(noted, orjson.dumps(identity, option=orjson.OPT_INDENT_2) + b"\n")


def _is_open(out: Path, before: dict[str, Any], now: dict[str, Any]) -> bool:
    """Whether only options differ that nothing in `out` was made with."""
    other = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    if any(name not in STAGES for name in other):
        return False
    made = [f"round-*/{_MADE[stage]}/*" for stage in STAGES[min(map(STAGES.index, other)) :]]
    return not any(any(out.glob(files)) for files in [*made, *(["start/*"] if "evaluate" in other else [])])


_MADE = {
    "generate": "rollouts",
    "clean": "purified",
    "score": "scored",
    "train": "run/checkpoints",
    "evaluate": "evaluation",
}
"""Where in a round a stage has left something that is kept."""


def identity_of(config: IterateConfig) -> dict[str, Any]:
    """Every option but the number of rounds, with what files and model hold in place of where they are."""
    options: dict[str, Any] = {
        name: {option: given for option, given in value.items() if option not in _APART.get(name, ())}
        if name in STAGES
        else value
        for name, value in config.model_dump(mode="json", exclude={"rounds"}).items()
        if value is not None or name not in STAGES
    }
    for name in ("tasks", "held_out"):
        if (path := options[name]) is not None:
            options[name] = _content(path)
    named = {"model": portable_name(config.model), "weights": revision_of(config.model, config.revision)}
    return {**options, **named}


_APART = {
    "generate": {*OF_THE_MACHINE, "sandbox_url", "model"},
    "score": {*SCORING_MACHINE, "model"},
    "train": {*TRAINING_MACHINE, "model"},
    "evaluate": {*OF_THE_MACHINE, "sandbox_url"},
}
"""Options of a stage that say where it runs and what is kept, not what comes out; `model` is that of the rounds."""


def _content(path: str) -> str:
    if not Path(path).is_file():
        raise PurifyError(f"{path}: no such file")
    return f"{Path(path).name}@{file_sha256(Path(path))[:12]}"


def _difference(before: dict[str, Any], now: dict[str, Any]) -> str:
    """The first option that is another one."""
    for stage in STAGES:
        if (stage in before) != (stage in now):
            return f"{stage} was {'on' if stage in before else 'off'}, now {'on' if stage in now else 'off'}"
    old, new = dict(_flat(before)), dict(_flat(now))
    for name in [*new, *old]:
        if old.get(name) != new.get(name):
            return f"{name} was {old.get(name)!r}, now {new.get(name)!r}"
    return "in another form"


def _flat(options: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted names and values."""
    for name, value in options.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
