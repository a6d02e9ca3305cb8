"""Requests that are under way, so that closing an engine can cancel them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


class Flights:
    """Whoever awaits `run` is cancelled by `cancel`, and by its own cancellation as usual."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    async def run(self, request: Coroutine[Any, Any, Result]) -> Result:
        task = asyncio.ensure_future(request)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await task

    async def cancel(self) -> None:
        """Cancel all, and wait until they have let go."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
