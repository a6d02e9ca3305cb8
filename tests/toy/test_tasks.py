"""Task files: what a line holds, and that no task is in two places."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from purify.toy.families import FAMILIES
from purify.toy.tasks import draw_split, task_lines


def test_splits_share_no_task() -> None:
    split = draw_split(900, 180, seed=0)
    train, held_out = ({task.key for task in tasks} for tasks in (split.train, split.held_out))
    assert (len(train), len(held_out), train & held_out) == (900, 180, set())
    assert split.taken == train | held_out
    assert Counter(task.family for task in split.train) == dict.fromkeys(FAMILIES, 100)


def test_held_out_does_not_depend_on_the_number_of_train_tasks() -> None:
    assert draw_split(9, 18, seed=4).held_out == draw_split(90, 18, seed=4).held_out


def test_the_largest_split_can_be_drawn() -> None:
    split = draw_split(10_000, 2_000, seed=0)
    assert len(split.taken) == 12_000


def test_a_line() -> None:
    split = draw_split(9, 1, seed=0)
    lines = task_lines(split.train, "train").splitlines()
    assert len(lines) == 9
    for index, (line, task) in enumerate(zip(lines, split.train, strict=True)):
        assert json.loads(line) == {
            "task_id": f"train-{index:05d}",
            "prompt": task.prompt,
            "answer": task.answer,
            "verifier": "exact" if task.family in ("descending", "backwards") else "math",
            "family": task.family,
        }


def test_the_same_seed_gives_the_same_bytes() -> None:
    lines = [task_lines(draw_split(50, 5, seed).train, "train") for seed in (0, 0, 1)]
    assert lines[0] == lines[1] != lines[2]


@pytest.mark.parametrize("family", FAMILIES)
def test_questions_hold_every_value(family: str) -> None:
    for task in (task for task in draw_split(45, 1, seed=2).train if task.family == family):
        assert all(str(value) in task.prompt for value in task.values.values())
