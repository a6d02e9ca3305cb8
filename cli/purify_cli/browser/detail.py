"""The open trajectory: the drawing that `purify inspect --print` prints, scrolled and folded."""

from __future__ import annotations

from dataclasses import dataclass

from textual import work
from textual.binding import Binding
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.worker import get_current_worker

from purify.reporting.reader import RowReader
from purify_cli.browser.drawing import Drawing, View, drawing

_MARGIN = 1
_CONTEXT = 2
"""Lines above a place that was jumped to."""


class TrajectoryDetail(ScrollView, can_focus=True):
    """One trajectory, drawn in a thread: a long one takes a moment."""

    BINDINGS = [
        Binding("escape", "screen.leave", "Back"),
        Binding("n", "screen.go(1)", "Next"),
        Binding("p", "screen.go(-1)", "Previous"),
        Binding("u", "fold", "Unfold"),
        Binding("a", "all_text", "All text"),
        Binding("j,down", "scroll(1)", "Down", show=False),
        Binding("k,up", "scroll(-1)", "Up", show=False),
        Binding("J,right_square_bracket", "step(1)", "Next step", show=False),
        Binding("K,left_square_bracket", "step(-1)", "Previous step", show=False),
        Binding("m", "hit", "Next match", show=False),
        Binding("space,pagedown", "page(1)", "Page down", show=False),
        Binding("b,pageup", "page(-1)", "Page up", show=False),
        Binding("g,home", "top", "Top", show=False),
        Binding("G,end", "bottom", "Bottom", show=False),
    ]

    @dataclass
    class Drawn(Message):
        view: View
        drawing: Drawing

    def __init__(self, reader: RowReader) -> None:
        super().__init__(id="detail")
        self._reader = reader
        self._view: View | None = None
        self._shown: View | None = None
        self._drawing = Drawing([], {}, [], unfolded=False)

    def show(self, row: int, text: str) -> None:
        """Show a row from its top, or from where the searched words are."""
        if self._view is None or (self._view.row, self._view.text) != (row, text):
            self._draw(View(row, self._width, text))

    def clear(self) -> None:
        """Show nothing."""
        self._view = self._shown = None
        self._drawing = Drawing([], {}, [], unfolded=False)
        self.virtual_size = Size(self.size.width, 0)
        self.refresh()

    def on_resize(self) -> None:
        if self._view is not None and self._view.width != self._width:
            self._change(width=self._width)

    def render_line(self, y: int) -> Strip:
        at = self.scroll_offset.y + y
        lines = self._drawing.lines
        line = Strip.join([Strip.blank(_MARGIN), lines[at]]) if at < len(lines) else Strip([])
        return line.adjust_cell_length(self.size.width).apply_style(self.rich_style)

    def on_trajectory_detail_drawn(self, message: Drawn) -> None:
        if message.view != self._view:
            return  # overtaken by another key
        before = self._shown
        step = self._step_at_top()
        self._shown, self._drawing = message.view, message.drawing
        self.virtual_size = Size(self.size.width, len(message.drawing.lines))
        self.refresh()
        if before is None or (before.row, before.text) != (message.view.row, message.view.text):
            self._jump(message.drawing.hits[0] if message.drawing.hits else 0)
        elif step is not None:
            # What was at the top stays there when the steps above it fold.
            self._jump(message.drawing.steps.get(step, 0), context=0)

    def action_fold(self) -> None:
        self._change(unfold=not self._drawing.unfolded)

    def action_all_text(self) -> None:
        if self._view is not None:
            self._change(full=not self._view.full)

    def action_scroll(self, lines: int) -> None:
        self.scroll_relative(y=lines, animate=False)

    def action_page(self, pages: int) -> None:
        self.scroll_relative(y=pages * max(self.size.height - 1, 1), animate=False)

    def action_top(self) -> None:
        self.scroll_to(y=0, animate=False)

    def action_bottom(self) -> None:
        self.scroll_to(y=self.max_scroll_y, animate=False)

    def action_step(self, steps: int) -> None:
        top = self.scroll_offset.y
        lines = sorted(self._drawing.steps.values())
        ahead = [line for line in lines if line > top] if steps > 0 else [line for line in lines if line < top][::-1]
        if ahead:
            self._jump(ahead[0], context=0)

    def action_hit(self) -> None:
        """The next line with the searched words, and after the last the first."""
        hits = self._drawing.hits
        below = [line for line in hits if line - _CONTEXT > self.scroll_offset.y]
        if hits:
            self._jump((below if below and self.scroll_offset.y < self.max_scroll_y else hits)[0])

    def _jump(self, line: int, context: int = _CONTEXT) -> None:
        self.scroll_to(y=max(line - context, 0), animate=False)

    @property
    def _width(self) -> int:
        return max(self.scrollable_content_region.width - 2 * _MARGIN, 0)

    def _step_at_top(self) -> int | None:
        top = self.scroll_offset.y
        return max((step for step, line in self._drawing.steps.items() if line <= top), default=None)

    def _change(self, **changed: bool | int) -> None:
        if self._view is not None:
            self._draw(View(**{**vars(self._view), **changed}))

    def _draw(self, view: View) -> None:
        self._view = view
        if view.width:  # else it is drawn when it is laid out
            self._in_thread(view)

    @work(thread=True, exclusive=True, group="detail")
    def _in_thread(self, view: View) -> None:
        if not get_current_worker().is_cancelled:
            self.post_message(self.Drawn(view, drawing(self._reader, view)))
