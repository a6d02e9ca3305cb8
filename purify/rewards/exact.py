"""`exact`: the answer is the expected text, once both are stripped and taken out of their `\\boxed{}`."""

from __future__ import annotations

from purify.rewards.answers import normalised
from purify.rewards.base import Verdict, judged
from purify.tasks import Task
from purify_schemas import Trajectory


class Exact:
    name = "exact"

    async def __call__(self, task: Task, trajectory: Trajectory) -> Verdict:
        if task.answer is None:
            return Verdict(None, problem="the task has no answer to compare with")
        said = trajectory.answer
        return judged(self.name, correct=said is not None and normalised(said) == normalised(task.answer))

    async def close(self) -> None:
        pass
