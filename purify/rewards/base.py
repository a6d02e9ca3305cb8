"""The seam between a finished trajectory and whatever judges it."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from purify.tasks import Task
from purify_schemas import Trajectory

CORRECT, WRONG = 1.0, -1.0
"""The outcome reward of the paper: R in {-1, 1}."""


class Verdict(NamedTuple):
    """What a verifier says. `reward` is None where it can say nothing, and `problem` is why."""

    reward: float | None
    parts: dict[str, float] = {}
    """What the reward rests on, by name; the first is the verifier's own and bears its name."""
    problem: str | None = None


class Verifier(Protocol):
    async def __call__(self, task: Task, trajectory: Trajectory) -> Verdict:
        """Judge `trajectory.answer`. Never raises on what a model wrote."""
        ...

    async def close(self) -> None: ...


def judged(name: str, *, correct: bool, share: float | None = None) -> Verdict:
    """The verdict of a verifier that knows right from wrong; `share` is its part where that says more."""
    return Verdict(CORRECT if correct else WRONG, {name: float(correct) if share is None else share})
