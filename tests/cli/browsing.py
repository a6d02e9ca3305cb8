"""Drive the terminal browser by keys and read its screen; and a small dataset to do it with."""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import pyarrow as pa
from textual.pilot import Pilot
from textual.widgets import Input

from purify.datasets import Dataset
from purify.reporting.filters import Filter
from purify.reporting.reader import RowGroup, RowReader
from purify_cli.browser.app import Browser
from purify_schemas import Call
from tests.support import call, step, trajectory

PLAIN = trajectory(step(call("6 * 7"), result="42"), step(think="It is 42."), id="plain", group="task-0")
SHALLOW = trajectory(
    step(call("import math", result := "ok"), think="First, import.", result=result),
    step(
        call("n = 7\nprint(x * n)", "error", error_type="NameError"), think="Multiply six by seven.", result="NameError"
    ),
    step(call("n = 7\nprint(6 * n)"), think="I meant six.", result="42"),
    step(think="It is 42."),
    id="shallow",
    group="task-1",
    reward=1,
)
GATE = trajectory(
    step(call("rm", "error", name="bash", error_type="exit_code_1"), result="no"),
    step(call("rm -r", name="bash"), result="yes"),
    id="gate",
    group="task-2",
    reward=-0.5,
    states={"bash": "external"},
)
LONG = trajectory(
    *(step(call(f"print({number})"), result=f"result {number}") for number in range(40)), id="long", group="task-3"
)
HOSTILE = trajectory(
    step(
        Call(name="[b]\x1b[5mtool", arguments='{"code": "[bold]\\u001b[31m"}', status="error", error_type="[red]\x07E"),
        think="[red]\x00\u202eabc[/red]",
        result="\x1b[2J[/]\x9b31m\ttab",
    ),
    id="\x1b[7mhostile",
    group="[link=http://x]\x1b]0;own\x07task",
)
ROWS = [PLAIN, SHALLOW, GATE, LONG, HOSTILE]
GROUPS, GROUP_ROWS = 50, 2_000


class CountingReader(RowReader):
    """Remembers which row groups were read, whole or only some columns."""

    def __init__(self, dataset: Dataset) -> None:
        super().__init__(dataset)
        self.whole: list[int] = []
        self.columns: list[int] = []

    def table(self, group: RowGroup, columns: list[str] | None = None) -> pa.Table:
        (self.whole if columns is None else self.columns).append(group.index)
        return super().table(group, columns)


class HeldReader(CountingReader):
    """Waits in the middle of the dataset until it may go on."""

    def __init__(self, dataset: Dataset) -> None:
        super().__init__(dataset)
        self.go_on = Event()

    def table(self, group: RowGroup, columns: list[str] | None = None) -> pa.Table:
        found = super().table(group, columns)
        if group.index == GROUPS // 2:
            self.go_on.wait(10)
        return found


@dataclass
class Terminal:
    """The browser as a user has it: keys go in, lines of text come out."""

    app: Browser
    pilot: Pilot[None]

    async def press(self, *keys: str) -> list[str]:
        for key in keys:
            await self.pilot.press(key)
            await self.settle()
        return self.lines()

    async def search(self, text: str) -> list[str]:
        await self.press("slash")
        self.app.screen.query_one(Input).value = text
        return await self.press("enter")

    async def settle(self) -> None:
        """Wait for the threads, for what they say, and for what that starts."""
        for _ in range(2):
            while any(not worker.is_finished for worker in self.app.workers):
                await self.pilot.pause(0.01)
            await self.pilot.pause()

    def lines(self) -> list[str]:
        """The screen, read from a screenshot: text stands at multiples of a cell's width."""
        svg = self.app.export_screenshot()
        rows: dict[float, list[tuple[int, str]]] = {}
        for x, y, text in re.findall(r'<text class="\S+-r\d+" x="([\d.]+)" y="([\d.]+)"[^>]*>([^<]*)</text>', svg):
            rows.setdefault(float(y), []).append((round(float(x) / 12.2), html.unescape(text).rstrip("\n")))
        lines = []
        for y in sorted(rows):
            line = ""
            for at, text in sorted(rows[y]):
                line = line.ljust(at) + text.replace("\xa0", " ")
            lines.append(line.rstrip())
        return lines


def browse(
    source: Path | RowReader,
    script: Callable[[Terminal], Awaitable[None]],
    wanted: Filter | None = None,
    size: tuple[int, int] = (80, 24),
) -> None:
    async def run() -> None:
        reader = source if isinstance(source, RowReader) else RowReader(Dataset.open(source))
        app = Browser(reader, wanted)
        async with app.run_test(size=size) as pilot:
            terminal = Terminal(app, pilot)
            await terminal.settle()
            await script(terminal)

    asyncio.run(run())


def shown(lines: Sequence[str], *texts: str) -> bool:
    return all(any(text in line for line in lines) for text in texts)


def rows_of(lines: Sequence[str]) -> list[int]:
    """The row numbers in the table."""
    return [int(line.replace("›", " ").split()[0]) for line in lines[2:-1] if "task" in line]
