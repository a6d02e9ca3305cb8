"""Small tasks and trajectories to judge."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from purify.rewards.base import Verdict
from purify.rewards.unit_tests import UnitTests
from purify.sandbox import Limits, Sandbox
from purify.tasks import IoTest, Task
from purify_schemas import Message, Observation, Segment, Step, Trajectory


def task(answer: str | None = None, **more: Any) -> Task:
    return Task(task_id="t", messages=[Message(role="user", content="q")], answer=answer, **more)


def answered(answer: str | None, *, tokens: Sequence[int] | None = None, name: str = "a", **more: Any) -> Trajectory:
    """One turn with an answer; `tokens` are the lengths of its reasoning, action and observation."""
    steps = []
    if tokens is not None:
        reasoning, action, observation = ([0] * length for length in tokens)
        steps = [
            Step(
                reasoning=Segment(text="", token_ids=reasoning),
                action=Segment(text="", token_ids=action),
                observation=Observation(token_ids=observation),
            )
        ]
    return Trajectory(trajectory_id=name, task_id="t", group_id="g", answer=answer, steps=steps, **more)


def run_tests(
    open_sandbox: Callable[[], Sandbox], answer: str, tests: str | list[IoTest], limits: Limits | None = None
) -> Verdict:
    async def work() -> Verdict:
        sandbox = open_sandbox()
        try:
            return await UnitTests(sandbox, limits)(task(tests=tests), answered(answer))
        finally:
            await sandbox.close()

    return asyncio.run(work())
