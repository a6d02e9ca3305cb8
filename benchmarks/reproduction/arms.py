"""What is compared: arms that differ in what is done with failed calls, and in nothing else.

Every arm of a (design, seed) begins with the same checkpoint and the same rollouts, and samples as many rollouts of the
same tasks and makes as many updates as every other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from purify.evaluating import EvaluateConfig
from purify.iterating import IterateConfig
from purify.toy.config import DesignName

DESIGNS: tuple[DesignName, ...] = ("A", "B", "C")
CHOICE_SEEDS = (0, 1, 2)
"""Settings are chosen on these seeds and no result is reported for them."""
SEEDS = (3, 4, 5, 6, 7)
GROUP = 8
SAMPLING: dict[str, Any] = {"group_size": GROUP, "max_turns": 6, "max_turn_tokens": 192, "max_response_tokens": 768}


class Arm(NamedTuple):
    """What is done with failed calls: options of the stages beside those that all arms share."""

    shown: str
    told: str = ""
    clean: dict[str, Any] | None = None
    generate: dict[str, Any] = {}
    train: dict[str, Any] = {}


class Schedule(NamedTuple):
    """How much is sampled and trained."""

    rounds: int
    tasks: int
    """Of a round; each is sampled `GROUP` times."""
    updates: int
    """Of a round."""
    batch_size: int
    learning_rate: float


CORE = {
    "raw": Arm("raw", "nothing"),
    "all": Arm(
        "purified, all", "`purify clean`: every correction takes the place of its failure (the paper)", clean={}
    ),
    "winners": Arm(
        "purified, winners",
        "`purify clean --apply-to winners`: the same, where the reward is above the group's mean",
        clean={"apply_to": "winners"},
    ),
    "masked": Arm(
        "masked in winners",
        "`purify train --mask-failed winners`: nothing is rewritten, failed turns of winners are left out of the loss",
        train={"mask_failed": "winners"},
    ),
}
"""The arms of the core table."""

MORE = {
    "fraction-0.7": Arm("purified, 0.7 of all", clean={"fraction": 0.7}),
    "spared": Arm("purified, all; no negative advantage on grafts", clean={}, train={"spare_grafts": True}),
    "online": Arm("SAAR while sampling", generate={"saar": True}),
    **{f"gamma-{gamma:g}": Arm(f"purified, all; γ = {gamma:g}", clean={"gamma": gamma}) for gamma in (0, 0.3, 0.7, 1)},
    **{f"k-{k}": Arm(f"purified, all; K = {k}", clean={"max_retries": k}) for k in (1, 5)},
}
"""Behind --more, with GRPO, beside the core arms (whose γ is 0.5 and K is 3)."""

SCHEDULES = {
    "rft": Schedule(rounds=3, tasks=24, updates=8, batch_size=64, learning_rate=1.5e-4),
    "grpo": Schedule(rounds=6, tasks=20, updates=4, batch_size=40, learning_rate=2e-4),
    "topr": Schedule(rounds=6, tasks=20, updates=4, batch_size=40, learning_rate=2e-4),
    "dpo": Schedule(rounds=3, tasks=24, updates=8, batch_size=16, learning_rate=5e-5),
}


class Budget(NamedTuple):
    """How much a reproduction does."""

    schedules: Mapping[str, Schedule]
    held_out: int
    """Tasks that policies are evaluated on, one sample each."""


BUDGET = Budget(SCHEDULES, held_out=300)
CHOICES = {"rft": (7.5e-5, 1.5e-4, 3e-4), "grpo": (1e-4, 2e-4, 4e-4)}
"""Learning rates tried on `CHOICE_SEEDS`, with the raw arm alone: what purifies has no say in them."""


class Run(NamedTuple):
    """One arm of one algorithm on one design with one seed."""

    design: DesignName
    algorithm: str
    arm: str
    seed: int
    learning_rate: float

    @property
    def name(self) -> str:
        return f"{self.algorithm}-{self.arm}-{self.learning_rate:g}"


def learning_rate(algorithm: str) -> float:
    return SCHEDULES[algorithm].learning_rate


def core(seeds: tuple[int, ...] = SEEDS) -> Iterator[Run]:
    """Every design x algorithm x arm, seed after seed."""
    for seed in seeds:
        for design in DESIGNS:
            for algorithm in ("rft", "grpo"):
                for arm in CORE:
                    yield Run(design, algorithm, arm, seed, learning_rate(algorithm))


def more(seeds: tuple[int, ...] = SEEDS) -> Iterator[Run]:
    """The further arms, and two further algorithms, seed after seed."""
    for seed in seeds:
        for design in DESIGNS:
            for algorithm, arms in (("grpo", MORE), ("topr", ("raw", "all", "winners")), ("dpo", ("all",))):
                for arm in arms:
                    yield Run(design, algorithm, arm, seed, learning_rate(algorithm))


def choices() -> Iterator[Run]:
    """The raw arm of design C with every learning rate."""
    for seed in CHOICE_SEEDS:
        for algorithm, rates in CHOICES.items():
            for rate in rates:
                yield Run("C", algorithm, "raw", seed, rate)


def config(run: Run, toy: Path, schedule: Schedule) -> IterateConfig:
    """A run as `purify iterate` takes it."""
    arm = {**CORE, **MORE}[run.arm]
    purified = arm.clean is not None or bool(arm.generate)
    # Sampled log-probs are those of the policy that is trained. Behind an edit they are not, so it is scored.
    scored = purified and run.algorithm not in ("rft", "dpo")
    train = {
        "algorithm": run.algorithm,
        "batch_size": schedule.batch_size,
        "updates": schedule.updates,
        "warmup": 2,
        "allow": ["unresolved"] if scored else ["unresolved", "unscored"],
        "learning_rate": run.learning_rate,
        **arm.train,
    }
    return IterateConfig.model_validate(
        {
            "model": str(toy / "model"),
            "tasks": str(toy / "train.jsonl"),
            "tasks_per_round": schedule.tasks,
            "rounds": schedule.rounds,
            "seed": run.seed,
            "generate": {**SAMPLING, **arm.generate},
            "clean": False if arm.clean is None else arm.clean,
            "score": {} if scored else False,
            "train": train,
        }
    )


def evaluation(seed: int) -> EvaluateConfig:
    """How every policy is evaluated: one sample of each held-out task, SAAR off."""
    return EvaluateConfig(seed=seed, **{**SAMPLING, "group_size": 1})
