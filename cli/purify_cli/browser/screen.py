"""The browser's one screen: it finds the rows that filter and search let through, and shows one of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from rich.text import Text
from textual import events, work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Container
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Footer, Input, Static
from textual.worker import get_current_worker

from purify.errors import PurifyError
from purify.reporting.filters import Filter, Kind, matching_rows, values, why_nothing
from purify.reporting.reader import RowReader, Rows
from purify.reporting.search import search
from purify_cli.browser.detail import TrajectoryDetail
from purify_cli.browser.dialogs import Choice, Help, condition
from purify_cli.browser.headline import headline
from purify_cli.browser.table import TrajectoryTable
from purify_cli.terminal import plain

_STACKED = 32
"""Lines from which the open trajectory stands below the table."""
_BESIDE = 190
"""Columns from which it stands on the table's right, wide enough for before and after side by side."""


class BrowserScreen(Screen[None]):
    """Table, open trajectory, search box; which of them are seen is up to the classes that `styles.tcss` knows."""

    BINDINGS = [
        Binding("slash", "search", "Search", key_display="/"),
        Binding("question_mark", "help", "Help", key_display="?"),
        Binding("q", "app.quit", "Quit"),
        Binding("e", "only('edited')", "Edited"),
        Binding("r", "only('refused')", "Refused"),
        Binding("f", "only('failed')", "Failed left"),
        Binding("t", "choose('tools')", "Tool…"),
        Binding("x", "choose('error types')", "Error type…"),
        Binding("d", "choose('edits')", "Kind of edit…"),
        Binding("c", "clear", "Clear"),
        Binding("n", "go(1)", "Next", show=False),
        Binding("p", "go(-1)", "Previous", show=False),
        Binding("escape", "leave", "Back", show=False),
    ]

    @dataclass
    class Matched(Message):
        """What the filter lets through; with a search, it has only begun."""

        run: int
        rows: Rows
        nothing: str = ""

    @dataclass
    class Searched(Message):
        run: int
        rows: Rows
        looked_at: int
        of: int

    def __init__(self, reader: RowReader, wanted: Filter) -> None:
        super().__init__()
        self.dataset = reader.dataset
        self.wanted = wanted
        self.text = ""
        self._reader = reader
        self._run = 0
        """Of filter and search; what an earlier one still says is not for this one."""
        self._searching = False
        self._progress = ""
        self._table = TrajectoryTable(reader)
        self._detail = TrajectoryDetail(reader)
        self._input = Input(id="search", placeholder="an id or any words of the text; Enter searches, Esc leaves")
        self._header, self._line = Static(id="header"), Static(id="nothing")

    def compose(self) -> ComposeResult:
        yield self._header
        with Container(id="panes"):
            with Container(id="left"):
                yield self._line
                yield self._table
            yield self._detail
        yield self._input
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        self._table.focus()
        self._find()

    def on_resize(self, event: events.Resize) -> None:
        beside = event.size.width >= _BESIDE
        self.set_class(beside, "-beside")
        self.set_class(event.size.height >= _STACKED and not beside, "-stacked")
        self._say()
        self._preview()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A raw dataset has no edits to filter by."""
        return self.dataset.purified or not set(parameters) & {"edited", "refused", "edits"}

    # Finding rows

    def _find(self) -> None:
        """Apply filter and search anew, in a thread."""
        self._run += 1
        self._searching = bool(self.text)
        self._progress = "looking…"
        self._say()
        self._in_thread(self._run, self.wanted, self.text)

    @work(thread=True, exclusive=True, group="find")
    def _in_thread(self, run: int, wanted: Filter, text: str) -> None:
        worker = get_current_worker()
        try:
            rows = matching_rows(self.dataset, wanted)
            nothing = "" if len(rows) else why_nothing(self.dataset, wanted)
            self.post_message(self.Matched(run, rows, nothing))
            for found in search(self._reader, rows, text) if text else ():
                if worker.is_cancelled:
                    return
                self.post_message(self.Searched(run, found.rows, found.looked_at, len(rows)))
        except PurifyError as error:
            self.post_message(self.Matched(run, np.empty(0, dtype=np.int64), str(error)))

    def on_browser_screen_matched(self, message: Matched) -> None:
        if message.run != self._run:
            return
        self._searching = bool(self.text) and not message.nothing
        self._progress = "searching…" if self._searching else ""
        self._table.show(message.rows[:0] if self._searching else message.rows)
        self._preview()
        self._nothing(message.nothing)

    def on_browser_screen_searched(self, message: Searched) -> None:
        if message.run != self._run:
            return
        self._table.extend(message.rows)
        self._searching = message.looked_at < message.of
        self._progress = f"{message.looked_at / message.of:.0%} searched, Esc stops" if self._searching else ""
        none = not self._searching and not len(self._table.rows)
        self._nothing(f'no trajectory contains "{plain(self.text)}"' if none else "")

    def on_trajectory_table_damaged(self, message: TrajectoryTable.Damaged) -> None:
        self._nothing(message.why)

    def _nothing(self, why: str) -> None:
        """One line in place of the table, or the table."""
        self.set_class(bool(why), "-nothing")
        self._line.update(Text(plain(why)))
        if why:
            self.remove_class("-open")
        elif not self._detail.has_focus and not self._input.has_focus:
            self._table.focus()
        self._say()

    # What is on the screen

    def _say(self) -> None:
        self._header.update(
            headline(
                self.dataset,
                self.wanted,
                self.text,
                len(self._table.rows),
                width=self.size.width,
                progress=self._progress,
                at=self._table.cursor if self.has_class("-open") else None,
            )
        )

    def _preview(self) -> None:
        """Show the row under the cursor, where there is room or it is open."""
        row = self._table.row
        if row is None:
            self._detail.clear()
        elif any(map(self.has_class, ("-open", "-stacked", "-beside"))):
            self._detail.show(row, self.text)

    def on_trajectory_table_highlighted(self) -> None:
        self._say()
        self._preview()

    def on_trajectory_table_opened(self) -> None:
        self.add_class("-open")
        self._detail.focus()
        self._say()
        self._preview()

    # Keys

    def action_go(self, lines: int) -> None:
        if not self._table.move_to(self._table.cursor + lines):
            self.app.bell()

    def action_search(self) -> None:
        self.add_class("-search")
        self._input.value = self.text
        self._input.focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self._leave_search()
        self.remove_class("-open")
        self.text = event.value.strip()
        self._find()

    def _leave_search(self) -> None:
        self.remove_class("-search")
        self._table.focus()

    def action_leave(self) -> None:
        """Leave what was opened last: the search box, a running search, the trajectory, the search."""
        if self._input.has_focus:
            self._leave_search()
        elif self._searching:
            self._stop()
        elif self.has_class("-open"):
            self.remove_class("-open")
            self._table.focus()
            self._say()
        elif self.text:
            self.text = ""
            self._find()

    def _stop(self) -> None:
        self.workers.cancel_group(self, "find")
        self._run += 1
        self._searching = False
        self._progress = "stopped"
        self._nothing("" if len(self._table.rows) else f'stopped; nothing found so far for "{plain(self.text)}"')

    def action_only(self, condition: str) -> None:
        self._filter(**{condition: not getattr(self.wanted, condition)})

    def action_clear(self) -> None:
        self.text, self.wanted = "", Filter()
        self._find()

    def action_choose(self, kind: Kind) -> None:
        title = {"tools": "Only with a call of the tool", "error types": "Only with a failed call of the type"}
        choice = Choice(title.get(kind, "Only with such an edit"), partial(values, self.dataset, kind))
        self.app.push_screen(choice, partial(self._chosen, kind))

    def _chosen(self, kind: Kind, value: str | None) -> None:
        if value is not None:
            self._filter(**condition(kind, value))

    def _filter(self, **changed: Any) -> None:
        self.wanted = Filter.model_validate({**dict(self.wanted), **changed})
        self._find()

    def action_help(self) -> None:
        self.app.push_screen(Help())
