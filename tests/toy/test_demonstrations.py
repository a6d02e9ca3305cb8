"""Demonstrations go wrong as often as their design says, and are the same for the same seed."""

from __future__ import annotations

from itertools import islice

import pytest

from purify.toy.config import DESIGNS, DesignName
from purify.toy.demonstrations import GIVE_UP, Attempt, Demonstration, draw_demonstrations

COUNT = 900


def shown(design: DesignName, count: int = COUNT, seed: int = 0) -> list[Demonstration]:
    return list(islice(draw_demonstrations(DESIGNS[design], frozenset(), seed), count))


def rates(demonstrations: list[Demonstration]) -> list[tuple[int, int]]:
    """first_error, retry_fix, first_silent, retry_silent: how many of how many."""
    first = [each.attempts[0] for each in demonstrations]
    later = [attempt for each in demonstrations for attempt in each.attempts[1:]]

    def ran(attempts: list[Attempt]) -> list[Attempt]:
        return [attempt for attempt in attempts if attempt.execution.status == "ok"]

    def wrong(attempts: list[Attempt]) -> int:
        return sum(not attempt.right for attempt in attempts)

    return [
        (len(first) - len(ran(first)), len(first)),
        (len(ran(later)), len(later)),
        (wrong(ran(first)), len(ran(first))),
        (wrong(ran(later)), len(ran(later))),
    ]


COUNTS: dict[DesignName, list[tuple[int, int]]] = {
    "A": [(468, 900), (409, 799), (39, 432), (129, 409)],
    "B": [(604, 900), (524, 1037), (52, 296), (103, 524)],
    "C": [(513, 900), (500, 714), (157, 387), (47, 500)],
}


@pytest.mark.parametrize("design", COUNTS)
def test_rates_are_those_of_the_design(design: DesignName) -> None:
    counted = rates(shown(design))
    assert counted == COUNTS[design]
    for (hits, of), rate in zip(counted, DESIGNS[design], strict=True):
        assert hits / of == pytest.approx(rate, abs=0.05)


def test_a_dialogue_ends_with_its_first_good_call() -> None:
    for each in shown("B", 200):
        statuses = [attempt.execution.status for attempt in each.attempts]
        assert statuses[:-1] == ["error"] * (len(statuses) - 1)
        final = each.messages[-1]["content"]
        if statuses[-1] == "ok":
            assert final == f"The answer is \\boxed{{{each.attempts[-1].execution.text}}}."
        else:
            assert (final, len(statuses)) == (GIVE_UP, 4)
        results = [message["content"] for message in each.messages if message["role"] == "tool"]
        assert results == [attempt.execution.text for attempt in each.attempts]


def test_the_same_seed_gives_the_same_dialogues() -> None:
    assert shown("C", 40) == shown("C", 40)
    assert shown("C", 40) != shown("C", 40, seed=1)


def test_taken_tasks_are_not_demonstrated() -> None:
    before = shown("C", 90)
    taken = frozenset(each.task.key for each in before)
    after = islice(draw_demonstrations(DESIGNS["C"], taken, 0), 90)
    assert not taken & {each.task.key for each in after}
