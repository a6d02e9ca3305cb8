"""Tasks drawn from the families, and the JSONL files that `purify generate` reads.

One line: {"task_id": "train-00000", "prompt": "What is ...", "answer": "12", "verifier": "math", "family": "power"}
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import cycle, islice
from random import Random
from typing import Any, NamedTuple

from purify.toy.families import FAMILIES, Values

_TRIES = 1000


class Task(NamedTuple):
    """A question with its answer, as a final turn should give it in `\\boxed{}`."""

    family: str
    values: Values
    prompt: str
    answer: str
    verifier: str

    @property
    def key(self) -> str:
        """Tasks with the same key are the same, however they are asked."""
        return f"{self.family} {self.values}"


class Split(NamedTuple):
    """Tasks to sample from and tasks to evaluate on. `taken` are the keys of both; demonstrations avoid them."""

    train: list[Task]
    held_out: list[Task]
    taken: frozenset[str]


def draw_task(family: str, random: Random) -> Task:
    kind = FAMILIES[family]
    values = kind.draw(random)
    answer = kind.solve(values)
    return Task(
        family=family,
        values=values,
        prompt=random.choice(kind.questions).format(**values),
        answer=str(answer),
        verifier="math" if isinstance(answer, int) else "exact",
    )


def draw_new_task(family: str, random: Random, taken: Iterable[str]) -> Task:
    """A task whose key is not taken. Every family has far more tasks than the options allow to take."""
    tasks = (draw_task(family, random) for _ in range(_TRIES))
    return next(task for task in tasks if task.key not in taken)


def draw_split(train: int, held_out: int, seed: int) -> Split:
    """As many tasks, families in turn. The held-out ones are drawn first: they do not depend on `train`."""
    random = Random(f"purify toy tasks {seed}")
    taken: set[str] = set()
    drawn: dict[str, list[Task]] = {}
    for name, count in (("held_out", held_out), ("train", train)):
        drawn[name] = []
        for family in islice(cycle(FAMILIES), count):
            task = draw_new_task(family, random, taken)
            taken.add(task.key)
            drawn[name].append(task)
    return Split(**drawn, taken=frozenset(taken))


def task_lines(tasks: Iterable[Task], name: str) -> str:
    """A task file; `name` of the split is part of the task ids."""
    return "".join(f"{json.dumps(_record(task, name, index))}\n" for index, task in enumerate(tasks))


def _record(task: Task, name: str, index: int) -> dict[str, Any]:
    return {
        "task_id": f"{name}-{index:05d}",
        "prompt": task.prompt,
        "answer": task.answer,
        "verifier": task.verifier,
        "family": task.family,
    }
