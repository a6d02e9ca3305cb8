"""The tasks of a round: the next ones of the file, around its end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from purify.errors import PurifyError
from purify.iterating import IterateConfig
from purify.iterating.tasks import round_tasks
from purify.tasks import read_tasks


def config(tasks: Path, count: int | None) -> IterateConfig:
    return IterateConfig.model_validate({"model": "m", "tasks": str(tasks), "tasks_per_round": count, "rounds": 9})


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    rows = [{"task_id": name, "prompt": f"What is {name}?", "answer": 1.50} for name in "abcde"]
    (tmp_path / "t.json").write_text(json.dumps(rows, indent=2))
    return tmp_path / "t.json"


def test_the_whole_file_without_a_count(tasks: Path, tmp_path: Path) -> None:
    assert round_tasks(config(tasks, None), 3, tmp_path / "round") == tasks
    assert not (tmp_path / "round").exists()


def test_the_next_ones_and_then_again_from_the_start(tasks: Path, tmp_path: Path) -> None:
    turns = []
    for number in range(4):
        own = round_tasks(config(tasks, 2), number, tmp_path / f"round-{number:03d}")
        assert own == tmp_path / f"round-{number:03d}/tasks.json"
        turns.append("".join(task.task_id for task in read_tasks(own)[0]))
    assert turns == ["ab", "cd", "ea", "bc"]


def test_a_task_is_the_same_in_a_round(tasks: Path, tmp_path: Path) -> None:
    place = {"file": "", "row": 0}
    own, bad = read_tasks(round_tasks(config(tasks, 9), 0, tmp_path))
    assert [task.model_copy(update=place) for task in own] == [
        task.model_copy(update=place) for task in read_tasks(tasks)[0]
    ]
    assert bad == []


def test_a_row_that_is_no_task_is_named(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"prompt": "1 + 1?"}\n{}\n')
    with pytest.raises(PurifyError, match=r"t\.jsonl: row 1 is no task \(.*\); take it out, or leave tasks_per_round"):
        round_tasks(config(tmp_path / "t.jsonl", 1), 0, tmp_path)
