"""The columns of the browser's table, fitted to its width, and what stands in them."""

from __future__ import annotations

from typing import NamedTuple

from rich.cells import cell_len, set_cell_size

from purify.reporting.overview import Line
from purify_cli.terminal import plain

_MARGIN = 2
"""For the sign of the cursor."""
_ROOMY, _NARROW = 100, 76


class Column(NamedTuple):
    name: str
    width: int
    right: bool = False
    tail: bool = False
    """Of a long text keep the end, too: ids differ there."""


class Layout(NamedTuple):
    columns: list[Column]
    gap: str


def layout(width: int, rows: int, *, purified: bool) -> Layout:
    """The columns that a table of `width` columns has room for."""
    gap = "  " if width >= _ROOMY else " "
    columns = [Column("row", max(len(f"{rows - 1:,}"), 3), right=True), Column("task", 0, tail=True)]
    columns += [Column("reward", 6, right=True), Column("steps", 7, right=True)]
    if purified:
        columns.append(Column("edits", 5, right=True))
        if width >= _NARROW:
            columns.append(Column("refused", 7, right=True))
    columns += [Column("failed", 6, right=True), Column("error types", 0)]
    free = width - _MARGIN - sum(column.width for column in columns) - len(gap) * (len(columns) - 1)
    errors = max(free // 2, 5)
    wide = {"task": max(free - errors, 5), "error types": errors}
    return Layout([column._replace(width=wide.get(column.name, column.width)) for column in columns], gap)


def heading(layout: Layout) -> str:
    return " " * _MARGIN + layout.gap.join(_fit(column, column.name) for column in layout.columns)


def cells(layout: Layout, row: int, line: Line | None) -> list[tuple[str, str]]:
    """Text and style of each cell, gaps among them. Without a line, which is being read, only the row number."""
    said = _said(line) | {"row": (f"{row:,}", "dim")}
    found: list[tuple[str, str]] = []
    for column in layout.columns:
        text, style = said.get(column.name, ("", ""))
        found += [(layout.gap, "")] * bool(found) + [(_fit(column, text), style)]
    return found


def _said(line: Line | None) -> dict[str, tuple[str, str]]:
    if line is None:
        return {"task": ("…", "dim")}
    same = line.steps == line.raw_steps
    return {
        "task": (line.task_id, ""),
        "reward": ("" if line.reward is None else f"{line.reward:.4g}", ""),
        "steps": (f"{line.steps}" if same else f"{line.raw_steps}→{line.steps}", ""),
        "edits": (f"✓ {line.edits}" if line.edits else "·", "green" if line.edits else "dim"),
        "refused": (f"{line.refused}" if line.refused else "·", "yellow" if line.refused else "dim"),
        "failed": (f"✗ {line.failed}" if line.failed else "·", "red" if line.failed else "dim"),
        "error types": (", ".join(line.error_types), ""),
    }


def _fit(column: Column, text: str) -> str:
    """Plain text in exactly the column's width."""
    text = " ".join(plain(text[: column.width * 8] if not column.tail else text).split())
    if cell_len(text) > column.width:
        tail = (column.width - 1) // 2 if column.tail else 0
        text = set_cell_size(text, column.width - 1 - tail) + "…" + text[len(text) - tail :]
    space = " " * (column.width - cell_len(text))
    return set_cell_size(space + text if column.right else text + space, column.width)
