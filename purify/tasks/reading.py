"""Read a task file: JSON lines, a JSON array, or Parquet; verl's layout included.

    python -c "from purify.tasks import read_tasks; print(read_tasks('tasks.jsonl')[0][0])"

A row that is no task is reported with its reason, the others are read. Members and forms: `purify/tasks/fields.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from purify.errors import PurifyError, RejectedRecordError
from purify.tasks.fields import read_task
from purify.tasks.records import read_records
from purify.tasks.task import Task


class BadTask(NamedTuple):
    """A row that cannot be sampled. `file` is a name without its folder, `row` counts from 0."""

    file: str
    row: int
    reason: str
    raw: bytes


def read_tasks(path: str | Path) -> tuple[list[Task], list[BadTask]]:
    """All tasks of a file in order, and the rows that are none.

    Raises `PurifyError` if the file is missing, empty, damaged, of another kind, or holds no task at all.
    """
    path = Path(path)
    tasks: list[Task] = []
    bad: list[BadTask] = []
    first_row: dict[str, int] = {}
    for record in read_records(path):
        try:
            if record.value is None:
                raise RejectedRecordError(record.problem)
            task, named = read_task(record.value, path.name, record.row, record.raw)
            if (row := first_row.setdefault(task.task_id, record.row)) != record.row:
                what = f"task_id {task.task_id!r} is that" if named else "says the same as that"
                raise RejectedRecordError(f"{what} of row {row}; only the first is kept")
            tasks.append(task)
        except RejectedRecordError as error:
            bad.append(BadTask(path.name, record.row, str(error), record.raw))
        except RecursionError:
            bad.append(BadTask(path.name, record.row, "JSON nested too deeply", record.raw))
    if not tasks:
        why = f"row {bad[0].row}: {bad[0].reason}" if bad else "there is no row in it"
        raise PurifyError(f"{path}: no row is a task ({why}); a row has at least a prompt")
    return tasks, bad
