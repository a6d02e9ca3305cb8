"""The scenes of the demo: what is said, and the commands that are run.

rollouts ──clean──▶ purified ──score──▶ scored          what purifying does to one dump
policy ──iterate──▶ on-raw         twice the same rounds of sampling and training,
       ──iterate──▶ on-purified    side by side; one purifies in between
evaluate: before, on-raw, on-purified
"""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from purify.demo.config import DemoConfig
from purify.errors import PurifyError
from purify.sandbox.loading import load_sandbox

TOY = Path(__file__).with_name("toy")
"""The tiny policy, as `purify toy -o purify/demo/toy --overwrite` trains it."""
ARMS = ("on-raw", "on-purified")
GROUP = 8
_LIMITS = {"max_turns": 6, "max_response_tokens": 768}


class Scene(NamedTuple):
    """A step of the demo. Commands of one scene run side by side."""

    text: str
    commands: list[list[str]]
    """Arguments of `purify`."""


def set_up(out: Path, config: DemoConfig) -> None:
    """Lay out what the commands read: the policy, its tasks, and the files of the two iterations.

    Raises `PurifyError` if `out` holds anything already, or if code cannot be run in isolation here.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise PurifyError(f"{out}: is there already; remove it, or choose another directory with -o")
    asyncio.run(_check_sandbox(config))
    out.mkdir(parents=True, exist_ok=True)
    shutil.copytree(TOY / "model", out / "policy")
    for name, count in (("train", config.rounds * config.tasks), ("held_out", config.held_out)):
        lines = (TOY / f"{name}.jsonl").read_text().splitlines(keepends=True)
        (out / f"{name}.jsonl").write_text("".join(lines[:count]))
    # The first scenes sample the tasks of round 0.
    lines = (TOY / "train.jsonl").read_text().splitlines(keepends=True)
    (out / "tasks.jsonl").write_text("".join(lines[: config.tasks]))
    for arm in ARMS:
        (out / f"{arm}.yaml").write_text(yaml.safe_dump(_rounds(out, arm, config), sort_keys=False))


async def _check_sandbox(config: DemoConfig) -> None:
    """At once, rather than in the first command."""
    sandbox = await load_sandbox(workers=1, unsafe=config.unsafe_sandbox)
    await sandbox.close()


def _rounds(out: Path, arm: str, config: DemoConfig) -> dict[str, Any]:
    """The file of `purify iterate`: the two differ in `clean` alone."""
    return {
        "model": str(out / "policy"),
        "tasks": str(out / "train.jsonl"),
        "tasks_per_round": config.tasks,
        "rounds": config.rounds,
        "seed": config.seed,
        "generate": {"group_size": GROUP, "unsafe_sandbox": config.unsafe_sandbox, **_LIMITS},
        "clean": {} if arm == "on-purified" else False,
        "score": False,  # rejection sampling needs no log-probs
        "train": {
            "algorithm": "rft",
            "learning_rate": 1.5e-4,
            "batch_size": 64,
            "updates": config.updates,
            "warmup": 2,
            "allow": ["unresolved"],
        },
    }


def scenes(out: Path, config: DemoConfig) -> list[Scene]:
    """All of them, in order."""

    def at(name: str) -> str:
        return str(out / name)

    limits = [part for name, value in _LIMITS.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    sampling = [*limits, "--seed", str(config.seed), *(["--unsafe-sandbox"] if config.unsafe_sandbox else [])]
    generate = [
        "generate",
        at("tasks.jsonl"),
        "-o",
        at("rollouts"),
        "--model",
        at("policy"),
        "--group-size",
        str(GROUP),
    ]
    before = ["evaluate", at("policy"), at("held_out.jsonl"), "-o", at("evaluation-before"), *sampling]
    last = f"round-{config.rounds - 1:03d}/run"
    after = [
        ["evaluate", at(f"{arm}/{last}"), at("held_out.jsonl"), "-o", at(f"evaluation-{arm}"), *sampling]
        for arm in ARMS
    ]
    return [
        Scene(
            "A tiny policy writes Python to solve tasks, in a sandbox. It often fails, and often corrects itself.",
            [[*generate, *sampling]],
        ),
        Scene(
            "Replace each failed call by the policy's own later correction. Every edit is recorded and can be undone.",
            [["clean", at("rollouts"), "-o", at("purified")]],
        ),
        Scene("One edit, before and after.", [["inspect", at("purified"), "--edited", "--limit", "1"]]),
        Scene("What was changed, and whether purifying fits these rewards.", [["stats", at("purified")]]),
        Scene(
            "The corrected calls were sampled in another context: compute their log-probs in the new one.",
            [["score", at("purified"), "-o", at("scored"), "--model", at("policy")]],
        ),
        Scene(
            "Train twice from the same policy, on the same number of rollouts: on raw ones and on purified ones. "
            "This takes a minute or two.",
            [["iterate", at(f"{arm}.yaml"), "-o", at(arm)] for arm in ARMS],
        ),
        Scene("How good was the policy on held-out tasks before? (SAAR is off in every evaluation.)", [before]),
        Scene("And after?", after),
    ]
