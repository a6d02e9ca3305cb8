"""What is to be solved: prompts with what it takes to check an answer, read from JSON or Parquet."""

from __future__ import annotations

from purify.tasks.reading import BadTask, read_tasks
from purify.tasks.task import IoTest, Task, stored_task

__all__ = ["BadTask", "IoTest", "Task", "read_tasks", "stored_task"]
