"""Judge stored trajectories again, from their text alone, and compare with the rewards that they carry.

python -c "import asyncio, purify; from purify.rewards import reverify; print(asyncio.run(reverify(purify.open('d/'))))"

`answer` and `reference` are columns, the verifier and the tests stand in `extra`; where `extra` names no verifier, the
first part of `rewards` does. A stored `overlong` part is recounted if `overlong` is given, else taken as it stands.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from purify.rewards.base import Verdict
from purify.rewards.overlong import Overlong
from purify.rewards.rewarder import VERIFIERS, Rewarder, as_stored
from purify.sandbox import Sandbox
from purify.tasks import stored_task
from purify_schemas import Trajectory

_AT_ONCE = 64


class Difference(NamedTuple):
    trajectory_id: str
    stored: float | None
    recomputed: float | None
    problem: str | None
    """Why there is no reward now; null if only the numbers differ."""


@dataclass
class Reverified:
    """`equal` rows have the stored reward and the stored parts. `unjudged` rows name no verifier."""

    rows: int = 0
    equal: int = 0
    unjudged: int = 0
    different: list[Difference] = field(default_factory=list)


async def reverify(
    trajectories: Iterable[Trajectory], sandbox: Sandbox | None = None, overlong: Overlong | None = None
) -> Reverified:
    """Judge all again. Raises `PurifyError` if a verifier that a row names cannot be used here."""
    rewarder = Rewarder(None, [], sandbox, overlong)
    found = Reverified()
    try:
        for some in _chunks(trajectories):
            for row, verdict in zip(some, await asyncio.gather(*(_judge(rewarder, row) for row in some)), strict=True):
                found.rows += 1
                if verdict is None:
                    found.unjudged += 1
                    continue
                if overlong is None:
                    verdict = _with_stored_penalty(verdict, row)
                reward, parts = as_stored(verdict)
                if (reward, parts) == as_stored(Verdict(row.reward, {part.name: part.value for part in row.rewards})):
                    found.equal += 1
                else:
                    found.different.append(Difference(row.trajectory_id, row.reward, reward, verdict.problem))
    finally:
        await rewarder.close()
    return found


async def _judge(rewarder: Rewarder, row: Trajectory) -> Verdict | None:
    """The verdict, or None where nothing says how the row was judged."""
    task = stored_task(row)
    if task.verifier is None:
        name = row.rewards[0].name if row.rewards else ""
        if name not in VERIFIERS and ":" not in name:
            return None
        task = task.model_copy(update={"verifier": name})
    return await rewarder.judge(task, row)


def _with_stored_penalty(verdict: Verdict, row: Trajectory) -> Verdict:
    penalty = next((part.value for part in row.rewards if part.name == "overlong"), None)
    if penalty is None or verdict.reward is None:
        return verdict
    return Verdict(verdict.reward + penalty, {**verdict.parts, "overlong": penalty})


def _chunks(trajectories: Iterable[Trajectory]) -> Iterator[list[Trajectory]]:
    rows = iter(trajectories)
    while some := list(islice(rows, _AT_ONCE)):
        yield some
