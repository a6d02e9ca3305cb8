"""What opens above the browser: a list to choose from, and the help."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import get_args

from rich.cells import cell_len
from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from purify.errors import PurifyError
from purify.reporting.filters import Kind
from purify_cli.terminal import one_line, plain
from purify_schemas.provenance import Granularity

_LISTED = 500
_WIDTH = 40
ANY = "(any)"

KEYS = {
    "In the table": [
        ("j k ↓ ↑", "next, previous line"),
        ("space b", "a page on, a page back"),
        ("g G", "first, last line"),
        ("Enter", "open the trajectory"),
    ],
    "In a trajectory": [
        ("j k ↓ ↑", "scroll a line"),
        ("space b", "scroll a page"),
        ("J K ] [", "next, previous step or edit"),
        ("u", "unfold, fold the untouched steps"),
        ("a", "all text: shorten nothing"),
        ("m", "next place with the searched words"),
        ("Esc", "back to the table"),
    ],
    "Everywhere": [
        ("n p", "next, previous trajectory"),
        ("/", "search ids, prompt, steps and answers"),
        ("Esc", "stop the search; then forget it"),
        ("e", "only with an edit made"),
        ("r", "only with an edit refused"),
        ("d", "only with this kind of edit or refusal…"),
        ("f", "only with a failed call left"),
        ("t", "only with a call of this tool…"),
        ("x", "only with this error type…"),
        ("c", "clear filter and search"),
        ("?", "this help"),
        ("q", "quit"),
    ],
    "Signs": [
        ("✗", "a call failed"),
        ("✓", "all calls went well; an edit was made"),
        ("·", "neither; in the table: none"),
        ("12→9", "steps before and after purifying"),
    ],
}


class Choice(ModalScreen[str | None]):
    """Choose a value from those that the dataset has; dismissed with the value, `ANY`, or null for no change."""

    BINDINGS = [
        Binding("escape,q", "dismiss(None)", "Back"),
        Binding("j", "down", "Down", show=False),
        Binding("k", "up", "Up", show=False),
    ]

    @dataclass
    class Listed(Message):
        found: list[tuple[str, int]]
        problem: str = ""

    def __init__(self, title: str, values: Callable[[], list[tuple[str, int]]]) -> None:
        super().__init__()
        self._title, self._load = title, values
        self._values: list[str] = []

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(Text(self._title), classes="title")
            yield OptionList()
            yield Static(Text("counting…", style="dim"), id="note")

    def on_mount(self) -> None:
        self._count()

    @work(thread=True)
    def _count(self) -> None:
        try:
            self.post_message(self.Listed(self._load()))
        except PurifyError as error:
            self.post_message(self.Listed([], plain(str(error))))

    def on_choice_listed(self, message: Listed) -> None:
        listed = message.found[:_LISTED]
        self._values = [ANY, *(value for value, _ in listed)]
        names = [one_line(value, _WIDTH) for value in self._values]
        wide = max(map(cell_len, names))
        counts = ["", *(f"{count:,}" for _, count in listed)]
        options = self.query_one(OptionList)
        options.add_options(
            Option(Text.assemble(name, " " * (wide - cell_len(name)), (f"  {count:>9}", "dim"), no_wrap=True))
            for name, count in zip(names, counts, strict=True)
        )
        options.highlighted = min(1, len(listed))
        more = len(message.found) - len(listed)
        note = message.problem or (f"and {more:,} rarer ones" if more else "" if listed else "there are none")
        self.query_one("#note", Static).update(Text(note, style="dim"))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._values[event.option_index])

    def action_down(self) -> None:
        self.query_one(OptionList).action_cursor_down()

    def action_up(self) -> None:
        self.query_one(OptionList).action_cursor_up()


def condition(kind: Kind, value: str) -> dict[str, str | bool | None]:
    """The fields of `Filter` that a choice sets."""
    chosen = None if value == ANY else value
    if kind == "tools":
        return {"tool": chosen}
    if kind == "error types":
        return {"error_type": chosen}
    # The sizes are those of edits made: with refused ones it would be more than the list has counted.
    of_size = chosen in get_args(Granularity)
    reason = None if chosen is None or of_size else chosen.removeprefix("refused: ")
    return {"granularity": chosen if of_size else None, "edited": of_size, "reason": reason}


class Help(ModalScreen[None]):
    """All keys."""

    BINDINGS = [
        Binding("escape,q,question_mark", "dismiss(None)", "Back"),
        Binding("j", "scroll(1)", "Down", show=False),
        Binding("k", "scroll(-1)", "Up", show=False),
    ]

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="dialog"):
            yield Static(_keys())

    def action_scroll(self, lines: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=lines, animate=False)


def _keys() -> Text:
    text = Text()
    for section, keys in KEYS.items():
        text.append(f"{section}\n", "bold")
        for key, does in keys:
            text.append(f"  {key:<9}", "bold cyan").append(f"{does}\n")
    return text[:-1]
