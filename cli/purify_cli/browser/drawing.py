"""Lines of the open trajectory, and where its steps and the searched words are in them. No widget: threads call it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from io import StringIO

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.strip import Strip

from purify.errors import PurifyError
from purify.reporting.passages import passages
from purify.reporting.reader import RowReader
from purify_cli.show_trajectory import draw
from purify_cli.terminal import plain

_FOUND = Style(reverse=True, bold=True)


@dataclass(frozen=True)
class View:
    """What is drawn, and how. `unfold` null: fold the untouched steps where there is an edit to look at."""

    row: int
    width: int
    text: str = ""
    """Words to mark, as searched for."""
    unfold: bool | None = None
    full: bool = False


@dataclass(frozen=True)
class Drawing:
    """The lines of a trajectory. `steps` gives the first line of each step, `hits` the lines with the words."""

    lines: list[Strip]
    steps: dict[int, int]
    hits: list[int]
    unfolded: bool


def drawing(reader: RowReader, view: View) -> Drawing:
    """Draw a row. Where the searched words are folded away or cut off, what hides them is opened."""
    # No colours of the terminal this runs in: Textual knows how many it has.
    console = Console(
        file=StringIO(), force_terminal=True, color_system="truecolor", markup=False, highlight=False, emoji=False
    )
    try:
        trajectory = reader.trajectory(view.row)
        found = passages(trajectory)
    except PurifyError as error:
        return Drawing(_strips(console, Text(plain(str(error))), view.width), {}, [], unfolded=False)

    def drawn(unfold: bool, full: bool) -> Drawing:
        lines: list[Strip] = []
        steps: dict[int, int] = {}
        for part in draw(view.row, trajectory, found, view.width, full=full, unfold=unfold):
            if part.step is not None:
                steps[part.step] = len(lines)
            lines += _strips(console, part.drawn, view.width)
        marked = [_marked(line, plain(view.text)) for line in lines]
        hits = [at for at, line in enumerate(lines) if marked[at] is not line]
        return Drawing(marked, steps, hits, unfold)

    if view.unfold is not None:
        return drawn(view.unfold, view.full)
    edited = any(passage.edit is not None for passage in found)
    first = drawn(not edited, view.full)
    if first.hits or not view.text:
        return first
    return next((made for full in (view.full, True) if (made := drawn(True, full)).hits), first)


def _strips(console: Console, drawn: RenderableType, width: int) -> list[Strip]:
    return [Strip(line) for line in console.render_lines(drawn, console.options.update(width=width), pad=False)]


def _marked(strip: Strip, text: str) -> Strip:
    """The line with each occurrence of the words reversed; the same line if there is none."""
    shown = strip.text
    places = list(re.finditer(re.escape(text), shown, re.IGNORECASE)) if text else []
    if not places:
        return strip
    parts, end = [], 0
    for place in places:
        start, stop = (cell_len(shown[:at]) for at in place.span())
        parts += [strip.crop(end, start), Strip(Segment.apply_style(strip.crop(start, stop), post_style=_FOUND))]
        end = stop
    return Strip.join([*parts, strip.crop(end)])
