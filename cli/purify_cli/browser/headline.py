"""The line at the top of the browser."""

from __future__ import annotations

from rich.text import Text

from purify.datasets import Dataset
from purify.reporting.filters import Filter
from purify_cli.terminal import one_line


def headline(
    dataset: Dataset, wanted: Filter, text: str, count: int, *, width: int, progress: str, at: int | None
) -> Text:
    """Which dataset, how many rows, why these, and where among them (`at`, from 0)."""
    total = len(dataset)
    path, room = one_line(str(dataset.path), 1000), max(width // 3, 12)
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(f" {path if len(path) <= room else '…' + path[-room:]}", "bold")
    line.append("  purified" if dataset.purified else "  raw")
    line.append(f"  {total:,} trajectories" if count == total else f"  {count:,} of {total:,}")
    line.append(f"  {progress}" if progress else "", "italic")
    for part in (one_line(str(wanted), 80), one_line(f"/{text}", 40) if text else ""):
        line.append(f"  {part}" if part else "", "bold")
    return line if at is None else line.append(f"  at {at + 1:,}")
