"""Datasets to publish."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from purify.cleaning import clean
from purify.datasets import Dataset
from purify_schemas import Message, Source, Trajectory
from tests.support import call, step, trajectory, write_dataset


def row(
    number: int, *, prompt: str = "What is 6 times 7?", result: str = "42", group: str = "g", file: str = "a.jsonl"
) -> Trajectory:
    """A failure and its correction, in words of its own."""
    words = " ".join(f"word{number * 100 + at}" for at in range(30))
    failed = step(call(f"prin({number})", "error", error_type="NameError"), think=words, result="NameError: prin")
    made = trajectory(
        failed, step(call(f"print({number})"), think="Then so.", result=result), id=f"t{number}", group=group
    )
    source = Source(framework="toy", format="hand", file=file, row=number)
    return made.model_copy(update={"messages": [Message(role="user", content=prompt)], "source": source})


def purified(folder: Path, rows: Sequence[Trajectory], shards: int = 1) -> Dataset:
    write_dataset(folder / "raw", rows, shards)
    return clean(folder / "raw", folder / "purified")
