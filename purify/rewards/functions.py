"""`module:function`: a function of yours, `f(task, trajectory) -> float | bool | dict[str, float]`, sync or async.

A float is the reward. A bool is 1 or -1. Of a dict the member `reward` is the reward and the others are parts.

    def shorter_is_better(task, trajectory):
        return 1.0 / (1 + len(trajectory.steps))
"""

from __future__ import annotations

import asyncio
import inspect
import math
from collections.abc import Mapping
from importlib import import_module
from traceback import format_exception_only
from typing import Any

from purify.errors import PurifyError
from purify.rewards.base import Verdict, judged
from purify.tasks import Task
from purify_schemas import Reward, Trajectory


class Function:
    """What it raises on one trajectory is that trajectory's problem; the run goes on."""

    def __init__(self, name: str) -> None:
        """Raises `PurifyError` if there is no such function."""
        self.name = name
        module, _, attribute = name.partition(":")
        try:
            self._function: Any = getattr(import_module(module), attribute)
        except Exception as error:  # a module of the user's may raise anything while it is imported
            raise PurifyError(
                f"verifier {name}: {_one_line(error)}; give module:function of an importable module "
                "(PYTHONPATH=. finds one in this folder)"
            ) from None
        if not callable(self._function):
            raise PurifyError(f"verifier {name}: is no function; give module:function")

    async def __call__(self, task: Task, trajectory: Trajectory) -> Verdict:
        try:
            if inspect.iscoroutinefunction(self._function):
                value = await self._function(task, trajectory)
            else:
                value = await asyncio.to_thread(self._function, task, trajectory)
                if inspect.isawaitable(value):
                    value = await value
            return self._verdict(value)
        except Exception as error:
            return Verdict(None, problem=f"{self.name}: {_one_line(error)}")

    async def close(self) -> None:
        pass

    def _verdict(self, value: Any) -> Verdict:
        if isinstance(value, bool):
            return judged(self.name, correct=value)
        if not isinstance(value, Mapping):
            reward = _number(value, "its value")
            return Verdict(reward, {self.name: reward})
        if "reward" not in value:
            raise ValueError("a dict of rewards needs the member 'reward'")
        reward = _number(value["reward"], "reward")
        parts = {str(key): _number(part, str(key)) for key, part in value.items() if key != "reward"}
        return Verdict(reward, {self.name: reward, **parts})


def _number(value: Any, name: str) -> float:
    """A finite float32, as rewards are stored."""
    if isinstance(value, str | bytes) or not hasattr(value, "__float__"):
        raise TypeError(f"{name} is a {type(value).__name__}, not a number")
    if not math.isfinite(value := float(value)):
        raise ValueError(f"{name} is {value}, not a finite number")
    return Reward(name=name, value=value).value


def _one_line(error: BaseException) -> str:
    return " ".join("".join(format_exception_only(error)).split())
