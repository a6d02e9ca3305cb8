"""What all commands that write a dataset share: the options, the progress bar, the closing lines."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from purify.errors import PurifyError

if TYPE_CHECKING:
    import rich.progress

    from purify.datasets import Dataset, Progress, WriteMode

Out = Annotated[Path, typer.Option("--out", "-o", help="Directory of the dataset to write.")]
Workers = Annotated[int, typer.Option("--workers", "-j", min=1, help="Processes; the output does not depend on it.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the dataset at --out once the new one is done.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with an unfinished run: do what it lacks.")]


GO_ON = "run the same command again to go on"
"""What an interrupted user of a command that resumes by itself is told."""


def write_mode(overwrite: bool, resume: bool) -> WriteMode:
    if overwrite and resume:
        raise PurifyError("--overwrite starts again and --resume goes on; choose one")
    return "overwrite" if overwrite else "resume" if resume else "new"


def rich_bar(verb: str, text: str) -> rich.progress.Progress:
    """A bar with the time it took and what is left, and `text` filled with the task's fields."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn(verb),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(text),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    return Progress(*columns, console=console, disable=not console.is_terminal, transient=True)


@contextmanager
def progress_bar(
    verb: str, *, units: str = "shards", rows: str = "rows", go_on: str = "add --resume to go on"
) -> Iterator[Progress]:
    """A bar over units with rows a second, on standard error; silent where that is no terminal.

    `go_on` is what an interrupted user is told to do.
    """
    text = f"{units}  {{task.fields[rows]:,}} {rows}  {{task.fields[rate]:,.0f}} {rows}/s"
    with rich_bar(verb, text) as bar:
        task = bar.add_task(verb, total=None, rows=0, rate=0.0)

        def advance(*, total: int | None = None, units: int = 0, rows: int = 0) -> None:
            current = bar.tasks[0]
            seen = current.fields["rows"] + rows
            elapsed = current.elapsed or 0.0
            bar.update(
                task, total=total or current.total, advance=units, rows=seen, rate=seen / elapsed if elapsed else 0
            )

        try:
            yield advance
        except KeyboardInterrupt:
            typer.echo(f"purify: interrupted; finished {units} are kept, {go_on}", err=True)
            raise


def say(text: str) -> None:
    """Print a line. Where the reader has gone (`| head`), nothing is wrong and nothing more can be said."""
    try:
        typer.echo(text)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(0) from None


def warn(text: str) -> None:
    typer.echo(f"warning: {text}", err=True)


def warn_of_unknown_tools(dataset: Dataset, named: Collection[str]) -> None:
    """A misspelt --tool-state would switch a safeguard off without a word."""
    if named and (unknown := set(named) - (tools := dataset.tool_names())):
        there = ", ".join(sorted(tools)) or "none"
        warn(f"--tool-state: no row has a tool {', '.join(sorted(unknown))}; there are {there}")


def summary(dataset: Dataset) -> str:
    manifest = dataset.manifest
    return f"{dataset.path}: {manifest.rows:,} rows in {len(manifest.shards)} shard(s), digest {manifest.digest}"
