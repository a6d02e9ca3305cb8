"""Every trajectory once an epoch, groups together, the same order for the same seed."""

from __future__ import annotations

from itertools import islice, pairwise

import numpy as np

from purify.training.batches import packs_of, updates_in, updates_of

UNITS = [(index,) for index in range(10)]
GROUPS = ["a", "b", "a", "b", "c", "c", "a", "d", "d", "b"]


def test_an_epoch_has_every_trajectory_once_and_keeps_groups_together() -> None:
    updates = list(islice(updates_of(UNITS, GROUPS, 4, seed=0), 2 * updates_in(10, 4)))
    assert [epoch for epoch, _ in updates] == [0, 0, 0, 1, 1, 1]
    assert [len(units) for _, units in updates] == [4, 4, 2, 4, 4, 2]
    first, second = ([unit[0] for epoch, units in updates if epoch == wanted for unit in units] for wanted in (0, 1))
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second
    for order in (first, second):
        names = [GROUPS[index] for index in order]
        assert len([1 for a, b in pairwise(names) if a != b]) == 3


def test_the_order_is_that_of_the_seed() -> None:
    def draw(seed: int) -> list[list[tuple[int, ...]]]:
        return [units for _, units in islice(updates_of(UNITS, GROUPS, 4, seed), 6)]

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


def test_processes_get_the_same_number_of_packs() -> None:
    lengths = np.array([5, 5, 5, 5, 5, 5, 5])
    units = [(index,) for index in range(7)]
    alone = packs_of(units, lengths, 10, 1)
    assert [[len(pack) for pack in packs] for packs in alone] == [[2, 2, 2, 1]]
    shared = packs_of(units, lengths, 10, 3)
    assert [[len(pack) for pack in packs] for packs in shared] == [[2, 1], [2, 0], [2, 0]]
    assert sorted(unit for packs in shared for pack in packs for unit in pack) == units


def test_the_sides_of_a_pair_share_a_pack() -> None:
    packs = packs_of([(0, 1), (2, 3)], np.array([4, 4, 4, 4]), 12, 1)
    assert packs == [[[(0, 1)], [(2, 3)]]]
