"""Which tasks a round samples."""

from __future__ import annotations

from itertools import cycle, islice
from pathlib import Path

from purify.datasets.sink import write_atomically
from purify.errors import PurifyError
from purify.iterating.config import IterateConfig
from purify.tasks import read_tasks


def round_tasks(config: IterateConfig, number: int, folder: Path) -> Path:
    """The task file of a round: that of the iteration, or `tasks.json` in the round's folder with those of its turn.

    Raises `PurifyError` if a row of the file is no task, where tasks are counted out.
    """
    if config.tasks_per_round is None:
        return Path(config.tasks)
    tasks, bad = read_tasks(config.tasks)
    if bad:
        raise PurifyError(
            f"{config.tasks}: row {bad[0].row} is no task ({bad[0].reason}); take it out, or leave tasks_per_round out"
        )
    count = min(config.tasks_per_round, len(tasks))
    turn = islice(cycle(tasks), number * count, (number + 1) * count)
    own = folder / "tasks.json"
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(own, b"[" + b",\n".join(task.raw for task in turn) + b"]\n")
    return own
