"""Programs of the families really do what they are there for."""

from __future__ import annotations

from random import Random

import pytest

from purify.toy.demonstrations import failing_programs, programs
from purify.toy.execution import execute
from purify.toy.families import FAMILIES
from purify.toy.tasks import Task, draw_task


def drawn(family: str, count: int = 40) -> list[Task]:
    random = Random(7)
    return [draw_task(family, random) for _ in range(count)]


def test_there_are_nine() -> None:
    assert len(FAMILIES) == 9


@pytest.mark.parametrize("family", FAMILIES)
def test_every_right_program_prints_the_answer(family: str) -> None:
    for task in drawn(family):
        for code in programs(task, "programs"):
            assert execute(code).text == task.answer, code
            assert 1 <= len(code.split("\n")) <= 6


@pytest.mark.parametrize("family", FAMILIES)
def test_slips_run_and_are_nearly_always_wrong(family: str) -> None:
    right = wrong = 0
    for task in drawn(family):
        for code in programs(task, "slips"):
            execution = execute(code)
            assert execution.status == "ok", code
            right += execution.text == task.answer
            wrong += execution.text != task.answer
    assert right * 20 <= wrong


@pytest.mark.parametrize("family", FAMILIES)
def test_failing_programs_fail_in_ways_that_a_thought_answers(family: str) -> None:
    kinds = set()
    for task in drawn(family, 10):
        for program in failing_programs(task):
            execution = execute(program.code)
            assert execution.status == "error", program.code
            kinds.add(execution.error_type)
    assert kinds <= {"NameError", "TypeError", "SyntaxError", "IndexError"}
    assert len(kinds) >= 3


def test_an_answer_by_hand_for_each_family() -> None:
    by_hand: dict[str, tuple[dict[str, object], object]] = {
        "power": ({"a": 2, "b": 10, "m": 1000}, 24),
        "multiples": ({"a": 3, "b": 9, "k": 3}, 3),
        "digits": ({"a": 12, "b": 12}, 9),
        "shopping": ({"a": 2, "p": 3, "b": 4, "q": 5}, 26),
        "squares": ({"xs": [1, 2, 3]}, 14),
        "second": ({"xs": [5, 9, 7]}, 7),
        "descending": ({"xs": [5, 9, 7]}, [9, 7, 5]),
        "occurrences": ({"w": "40414", "c": "4"}, 3),
        "backwards": ({"w": "0123"}, "3210"),
    }
    assert {name: FAMILIES[name].solve(values) for name, (values, _) in by_hand.items()} == {
        name: answer for name, (_, answer) in by_hand.items()
    }
