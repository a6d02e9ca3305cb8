"""Which trajectories each update sees, and how they are packed: a function of the seed and nothing else.

Every process computes the whole plan, so each knows the normaliser of an update without asking the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count

import numpy as np
import numpy.typing as npt

from purify.lm.packing import fill

Unit = tuple[int, ...]
"""Examples that must share a pack: one trajectory, or the two sides of a pair."""


def updates_of(
    units: Sequence[Unit], groups: Sequence[str], batch_size: int, seed: int
) -> Iterator[tuple[int, list[Unit]]]:
    """(epoch, units) of one update after another, without end.

    Groups are drawn in a random order and stay together; an epoch's last update may be a smaller one.
    """
    members: dict[str, list[Unit]] = {}
    for unit, group in zip(units, groups, strict=True):
        members.setdefault(group, []).append(unit)
    names = list(members)
    for epoch in count():
        order = np.random.default_rng((seed, epoch)).permutation(len(names))
        drawn = [unit for place in order for unit in members[names[place]]]
        for start in range(0, len(drawn), batch_size):
            yield epoch, drawn[start : start + batch_size]


def updates_in(units: int, batch_size: int) -> int:
    """Updates of an epoch."""
    return -(-units // batch_size)


def packs_of(units: Sequence[Unit], lengths: npt.NDArray[np.int64], capacity: int, size: int) -> list[list[list[Unit]]]:
    """The packs of each of `size` processes: about the same number of tokens, and the same number of packs.

    A process that would have fewer gets empty ones: collective operations need all to take part.
    """
    tokens = [int(sum(lengths[index] for index in unit)) for unit in units]
    packs = [[units[at] for at in members] for members in fill(tokens, capacity)]
    rounds = -(-len(packs) // size)
    packs += [[] for _ in range(rounds * size - len(packs))]
    return [packs[rank::size] for rank in range(size)]
