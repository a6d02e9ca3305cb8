"""A table of trajectories that holds row numbers only: what a line says is read when the line is looked at.

Textual's own DataTable keeps every cell as an object. This one draws the lines on the screen (Textual's Line API), so
a table of 100,000 rows costs what one of ten does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from rich.segment import Segment
from rich.style import Style
from textual import events, work
from textual.binding import Binding
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.worker import get_current_worker

from purify.errors import PurifyError
from purify.reporting.overview import Overview
from purify.reporting.reader import RowReader, Rows
from purify_cli.browser.columns import cells, heading, layout


class TrajectoryTable(ScrollView, can_focus=True):
    """Some rows of a dataset, a line each, below a heading."""

    COMPONENT_CLASSES = {"table--heading", "table--cursor"}
    BINDINGS = [
        Binding("enter", "open", "Open"),
        Binding("j,down", "move(1)", "Down", show=False),
        Binding("k,up", "move(-1)", "Up", show=False),
        Binding("pagedown,space", "page(1)", "Page down", show=False),
        Binding("pageup,b", "page(-1)", "Page up", show=False),
        Binding("g,home", "first", "First", show=False),
        Binding("G,end", "last", "Last", show=False),
    ]

    @dataclass
    class Highlighted(Message):
        """The cursor is on another row."""

        row: int

    @dataclass
    class Opened(Message):
        row: int

    class Loaded(Message):
        """Lines have been read."""

    @dataclass
    class Damaged(Message):
        """Lines cannot be read, and why."""

        why: str

    def __init__(self, reader: RowReader) -> None:
        super().__init__(id="table")
        self._reader = reader
        self._overview = Overview(reader)
        self.rows: Rows = np.empty(0, dtype=np.int64)
        self.cursor = 0

    @property
    def row(self) -> int | None:
        """The row under the cursor."""
        return int(self.rows[self.cursor]) if len(self.rows) else None

    def show(self, rows: Rows) -> None:
        """Show other rows; the cursor stays on its row where that is still there."""
        before = self.row
        self.rows = rows
        kept = 0 if before is None else int(np.searchsorted(rows, before))
        self.cursor = kept if kept < len(rows) and rows[kept] == before else 0
        self._laid_out()
        self._reveal()
        if self.row is not None:
            self.post_message(self.Highlighted(self.row))

    def extend(self, rows: Rows) -> None:
        """Append rows, as a search finds them."""
        was_empty = not len(self.rows)
        self.rows = np.concatenate([self.rows, rows])
        self._laid_out()
        if was_empty and self.row is not None:
            self.post_message(self.Highlighted(self.row))

    def render_line(self, y: int) -> Strip:
        width, total = self.scrollable_content_region.width, len(self._reader.dataset)
        columns = layout(width, total, purified=self._reader.dataset.purified)
        if y == 0:
            style = self.get_component_rich_style("table--heading")
            return Strip([Segment(heading(columns), style)]).adjust_cell_length(width, style)
        at = self.scroll_offset.y + y - 1
        if at >= len(self.rows):
            return Strip.blank(width, self.rich_style)
        row = int(self.rows[at])
        chosen = at == self.cursor
        style = self.get_component_rich_style("table--cursor") if chosen else self.rich_style
        drawn = cells(columns, row, self._overview.get(row))
        found = [Segment("› " if chosen else "  ", Style(bold=True))]
        found += [Segment(text, Style.parse(colour)) for text, colour in drawn]
        return Strip(Segment.apply_style(found, style)).adjust_cell_length(width, style)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._load_shown()

    def on_resize(self) -> None:
        self._laid_out()
        self._reveal()

    def on_click(self, event: events.Click) -> None:
        at = self.scroll_offset.y + event.y - 1
        if event.y > 0 and at < len(self.rows):
            self.move_to(at)
            if event.chain > 1:
                self.action_open()

    def move_to(self, at: int) -> bool:
        """Put the cursor on the `at`-th line, or as near as there is one. Returns whether it moved."""
        at = max(0, min(at, len(self.rows) - 1))
        if at == self.cursor or not len(self.rows):
            return False
        self.cursor = at
        self._reveal()
        self.refresh()
        self.post_message(self.Highlighted(int(self.rows[at])))
        return True

    def action_open(self) -> None:
        if self.row is not None:
            self.post_message(self.Opened(self.row))

    def action_move(self, lines: int) -> None:
        self.move_to(self.cursor + lines)

    def action_page(self, pages: int) -> None:
        self.move_to(self.cursor + pages * self._lines)

    def action_first(self) -> None:
        self.move_to(0)

    def action_last(self) -> None:
        self.move_to(len(self.rows) - 1)

    @property
    def _lines(self) -> int:
        return max(self.size.height - 1, 1)

    def _laid_out(self) -> None:
        self.virtual_size = Size(self.size.width, len(self.rows) + 1)
        self.refresh()
        self._load_shown()

    def _reveal(self) -> None:
        """Scroll no further than it takes to see the cursor."""
        top = self.scroll_offset.y
        if self.cursor < top:
            self.scroll_to(y=self.cursor, animate=False)
        elif self.cursor >= top + self._lines:
            self.scroll_to(y=self.cursor - self._lines + 1, animate=False)

    def _load_shown(self) -> None:
        top = self.scroll_offset.y
        shown = self.rows[top : top + self._lines]
        missing = [row for row in shown.tolist() if self._overview.get(row) is None]
        if missing and self.size.height:
            self._load(np.array(missing, dtype=np.int64))

    @work(thread=True, exclusive=True, group="lines")
    def _load(self, rows: Rows) -> None:
        worker = get_current_worker()
        try:
            for group, _ in self._reader.groups(rows):
                if worker.is_cancelled:
                    return
                self._overview.load(group)
                self.post_message(self.Loaded())
        except PurifyError as error:
            self.post_message(self.Damaged(str(error)))

    def on_trajectory_table_loaded(self) -> None:
        self.refresh()
