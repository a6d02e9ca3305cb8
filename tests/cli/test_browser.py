"""The terminal browser: its table, the open trajectory, filters, search, keys and sizes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from purify.cleaning import clean
from purify.datasets import Dataset
from purify.errors import PurifyError
from purify.reporting.filters import Filter
from purify.reporting.reader import RowReader
from purify_cli.browser.app import Browser
from tests.cli.browsing import (
    ROWS,
    Terminal,
    browse,
    rows_of,
    shown,
)
from tests.support import call, step, trajectory, write_dataset


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("browser")
    write_dataset(path / "raw", ROWS)
    clean(path / "raw", path / "purified")
    return path


def test_the_table_says_what_became_of_each_trajectory(folder: Path) -> None:
    async def script(terminal: Terminal) -> None:
        lines = terminal.lines()
        assert lines[0].endswith("purified  5 trajectories")
        assert lines[1].split() == ["row", "task", "reward", "steps", "edits", "refused", "failed", "error", "types"]
        assert [line.split() for line in lines[2:6]] == [
            ["›", "0", "task-0", "2", "·", "·", "·"],
            ["1", "task-1", "1", "4→3", "✓", "1", "·", "·", "NameError"],
            ["2", "task-2", "-0.5", "2", "·", "1", "✗", "1", "exit_code_1"],
            ["3", "task-3", "40", "·", "·", "·"],
        ]
        assert "⏎ Open" in lines[-1]
        assert "/ Search" in lines[-1]

    browse(folder / "purified", script)


def test_open_unfold_fold_next_and_back(folder: Path) -> None:
    async def script(terminal: Terminal) -> None:
        lines = await terminal.press("j", "enter")
        assert shown(lines, "row 1 · shallow", "shallow edit of steps 1, 2", "✗ step 1  python error NameError")
        assert shown(lines, "✓ step 0  python ok  import math ⇒ ok")
        assert not shown(lines, "First, import.")
        lines = await terminal.press("u")
        assert shown(lines, "reasoning  First, import.")
        lines = await terminal.press("u")
        assert not shown(lines, "First, import.")
        lines = await terminal.press("n")
        assert shown(lines, "row 2 · gate", "not edited: steps 0, 1 (gate)", "at 3")
        lines = await terminal.press("p")
        assert shown(lines, "row 1 · shallow")
        lines = await terminal.press("escape")
        assert lines[3].startswith("›   1 task-1")

    browse(folder / "purified", script)


def test_a_trajectory_without_edits_is_unfolded_and_scrolls(folder: Path) -> None:
    async def script(terminal: Terminal) -> None:
        lines = await terminal.press("j", "j", "j", "enter")
        assert shown(lines, "row 3 · long", "call       print(0)")
        assert not shown(lines, "print(9)")
        assert shown(await terminal.press("space"), "print(7)")
        assert shown(await terminal.press("G"), "call       print(39)")
        assert shown(await terminal.press("g"), "row 3 · long")
        lines = await terminal.press("J", "J")
        assert lines[1].startswith(" ✓ step 1  python ok")
        lines = await terminal.press("K")
        assert lines[1].startswith(" ✓ step 0  python ok")
        lines = await terminal.press("j")
        assert lines[1].startswith("   reasoning  thinking")
        lines = await terminal.press("g", "u")
        assert shown(lines, "✓ step 9  python ok  print(9) ⇒ result 9")

    browse(folder / "purified", script)


def test_all_text_is_shown_on_demand(folder: Path, tmp_path: Path) -> None:
    write_dataset(tmp_path / "raw", [trajectory(step(call("\n".join(f"line{n}" for n in range(14))), result="."))])

    async def script(terminal: Terminal) -> None:
        lines = await terminal.press("enter")
        assert shown(lines, "… 3 lines")
        assert not shown(lines, "line7")
        lines = await terminal.press("a")
        assert shown(lines, "line6", "line7")

    browse(tmp_path / "raw", script)


def test_filters(folder: Path) -> None:
    async def script(terminal: Terminal) -> None:
        for keys, rows, options in (
            ("e", [1], "1 of 5  --edited"),
            ("e", [0, 1, 2, 3, 4], "5 trajectories"),
            ("r", [2, 4], "2 of 5  --refused"),
            ("f", [2, 4], "2 of 5  --refused --failed"),
            ("c", [0, 1, 2, 3, 4], "5 trajectories"),
            ("t j enter", [2], "1 of 5  --tool bash"),
            ("t k enter", [0, 1, 2, 3, 4], "5 trajectories"),
            ("x enter", [1], "1 of 5  --error-type NameError"),
            ("x escape", [1], "1 of 5  --error-type NameError"),
            ("c d enter", [2], "1 of 5  --reason gate"),
            ("d j j enter", [1], "1 of 5  --edited --granularity shallow"),
        ):
            lines = await terminal.press(*keys.split())
            assert rows_of(lines) == rows, keys
            assert lines[0].endswith(options), keys

    browse(folder / "purified", script)


def test_the_options_of_the_command_are_the_first_filter(folder: Path) -> None:
    async def script(terminal: Terminal) -> None:
        assert terminal.lines()[0].endswith("1 of 5  --tool bash")
        assert (await terminal.press("c"))[0].endswith("5 trajectories")

    browse(folder / "purified", script, Filter(tool="bash"))
    with pytest.raises(PurifyError, match="is a raw dataset, it has no edits"):
        Browser(RowReader(Dataset.open(folder / "raw")), Filter(edited=True))


def test_a_raw_dataset_has_no_columns_and_keys_of_edits(folder: Path) -> None:
    async def script(terminal: Terminal) -> None:
        lines = terminal.lines()
        assert lines[1].split() == ["row", "task", "reward", "steps", "failed", "error", "types"]
        assert not shown(lines, "Edited")
        assert (await terminal.press("e", "r", "d"))[0].endswith("raw  5 trajectories")
        assert shown(await terminal.press("j", "enter"), "row 1 · shallow", "✗ step 1  python error NameError")

    browse(folder / "raw", script)


def test_search_looks_at_ids_and_all_text(folder: Path) -> None:
    async def script(terminal: Terminal) -> None:
        lines = await terminal.press("slash", *"ifmtu", "enter")
        assert shown(lines, 'no trajectory contains "ifmtu"')
        for text, rows in (
            ("I MEANT SIX", [1]),  # only in what an edit took out
            ("task-2", [2]),
            ("long", [3]),
            ("result 39", [3]),
            ("[red]", [4]),
        ):
            lines = await terminal.search(text)
            assert rows_of(lines) == rows
            assert lines[0].endswith(f"{len(rows)} of 5  /{text}")

    browse(folder / "purified", script)


def test_a_found_trajectory_opens_where_the_words_are(folder: Path) -> None:
    async def script(terminal: Terminal) -> None:
        lines = await terminal.search("print(30)")
        lines = await terminal.press("enter")
        assert lines[3].startswith("   call       print(30)")  # two lines above it for context
        assert terminal.app.screen.has_class("-open")
        await terminal.press("escape")
        assert not terminal.app.screen.has_class("-open")
        assert (await terminal.press("escape"))[0].endswith("5 trajectories")

    browse(folder / "purified", script)


def test_next_place_with_the_searched_words(folder: Path) -> None:
    async def script(terminal: Terminal) -> None:
        await terminal.search("result 1")
        lines = await terminal.press("enter")
        assert lines[3].startswith("   result     result 1")
        for number in (10, 11):
            lines = await terminal.press("m")
            assert lines[3].startswith(f"   result     result {number}")
        await terminal.press(*"mmmmmmmm")
        lines = await terminal.press("m")
        assert lines[3].rstrip(" ▄▅▆▇█▃▂▁") == "   result     result 1"

    browse(folder / "purified", script)


def test_folded_steps_with_the_words_are_opened(folder: Path) -> None:
    async def script(terminal: Terminal) -> None:
        await terminal.search("first, import")
        assert shown(await terminal.press("enter"), "reasoning  First, import.")

    browse(folder / "purified", script)


def test_search_without_a_match_says_so_in_place_of_the_table(folder: Path) -> None:
    async def script(terminal: Terminal) -> None:
        lines = await terminal.search("[bold]nowhere")
        assert shown(lines, 'no trajectory contains "[bold]nowhere"')
        assert not shown(lines, "error types")
        assert shown(await terminal.press("escape"), "error types")

    browse(folder / "purified", script)


def test_search_box_is_left_by_escape_and_takes_letters_that_are_keys_elsewhere(folder: Path) -> None:
    async def script(terminal: Terminal) -> None:
        lines = await terminal.press("slash", "q", "e", "n")
        assert lines[0].endswith("5 trajectories")
        assert shown(lines, "qen")
        assert not shown(await terminal.press("escape"), "qen")

    browse(folder / "purified", script)


def test_help_lists_every_key_and_closes(folder: Path) -> None:
    async def script(terminal: Terminal) -> None:
        lines = await terminal.press("question_mark")
        assert shown(lines, "only with an edit made", "next, previous trajectory", "unfold, fold the untouched steps")
        assert not shown(await terminal.press("escape"), "only with an edit made")

    browse(folder / "purified", script, size=(80, 50))


def test_quit(folder: Path) -> None:
    async def script(terminal: Terminal) -> None:
        await terminal.pilot.press("q")
        await terminal.pilot.pause()
        assert not terminal.app.is_running

    browse(folder / "purified", script)


@pytest.mark.parametrize(("size", "both"), [((60, 20), False), ((80, 24), False), ((120, 40), True), ((200, 30), True)])
def test_one_pane_where_it_is_small_and_two_where_there_is_room(
    folder: Path, size: tuple[int, int], both: bool
) -> None:
    async def script(terminal: Terminal) -> None:
        lines = terminal.lines()
        assert shown(lines, "task-1")
        assert shown(lines, "row 0 · plain") is both
        assert max(map(len, lines)) <= size[0]
        lines = await terminal.press("j", "enter")
        assert shown(lines, "row 1 · shallow")
        assert shown(lines, "task-3") is both
        assert max(map(len, lines)) <= size[0]
        side_by_side = any(re.search(r"✗ step 1 .*│.*✓ step 1 ", line) for line in lines)
        assert side_by_side is (size[0] >= 120)

    browse(folder / "purified", script, size=size)


def test_resizing_draws_anew(folder: Path) -> None:
    async def script(terminal: Terminal) -> None:
        await terminal.press("j", "enter")
        await terminal.pilot.resize_terminal(130, 30)
        await terminal.settle()
        assert any(re.search(r"✗ step 1 .*│.*✓ step 1 ", line) for line in terminal.lines())

    browse(folder / "purified", script)
