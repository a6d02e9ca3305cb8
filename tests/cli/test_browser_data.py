"""The terminal browser with what it may be given: hostile text, nothing, damage, very much, real data."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
import pytest

from purify.cleaning import clean
from purify.datasets import Dataset, ShardSink, Stage, run_stage
from purify.reporting.filters import Filter
from purify_schemas import PURIFIED_SCHEMA, RAW_SCHEMA, Provenance, Trajectory, to_table
from tests.cli.browsing import (
    GROUP_ROWS,
    GROUPS,
    ROWS,
    SHALLOW,
    CountingReader,
    HeldReader,
    Terminal,
    browse,
    shown,
)
from tests.support import dump, write_dataset


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("browser")
    write_dataset(path / "raw", ROWS)
    clean(path / "raw", path / "purified")
    return path


@pytest.mark.parametrize("size", [(60, 24), (200, 40)])
def test_hostile_text_is_only_text(folder: Path, size: tuple[int, int]) -> None:
    async def script(terminal: Terminal) -> None:
        lines = terminal.lines()
        row = next(line for line in lines if "[lin" in line)
        assert row.replace("›", " ").split()[0] == "4"
        lines += await terminal.press("G", "enter")
        assert shown(lines, "row 4 · hostile", "[b]tool error [red]␇E", "[red]␀\ufffdabc[/red]", "[bold]")
        lines += await terminal.press("a", "x")
        assert shown(lines, "[red]␇E")
        lines += await terminal.press("escape", "t")
        assert shown(lines, "[b]tool")
        text = "\n".join(lines)
        assert not [char for char in text if char != "\n" and (ord(char) < 32 or 0x7F <= ord(char) < 0xA0)]
        assert not re.search("[\u200e\u200f\u2028-\u202e\u2066-\u2069]", text)

    browse(folder / "purified", script, size=size)


def test_an_empty_dataset_says_so(tmp_path: Path) -> None:
    write_dataset(tmp_path / "raw", [])

    async def script(terminal: Terminal) -> None:
        assert shown(terminal.lines(), "the dataset has no rows")
        await terminal.press("j", "enter", "n", "u", "t", "escape", "f")
        assert shown(await terminal.search("x"), "the dataset has no rows")

    browse(tmp_path / "raw", script)


def test_a_filter_without_a_match_says_what_there_is(folder: Path) -> None:
    async def script(terminal: Terminal) -> None:
        assert shown(terminal.lines(), "no row matches --error-type [bold]; error types of this dataset:")
        assert shown(await terminal.press("c"), "task-0")

    browse(folder / "purified", script, Filter(error_type="[bold]"), size=(140, 24))


def test_no_failed_call_left_is_no_failure(tmp_path: Path) -> None:
    write_dataset(tmp_path / "raw", [SHALLOW])
    clean(tmp_path / "raw", tmp_path / "purified")

    async def script(terminal: Terminal) -> None:
        assert shown(await terminal.press("f"), "no row matches --failed; no failed call is left")

    browse(tmp_path / "purified", script)


def test_a_damaged_shard_says_so_in_place_of_the_table(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "raw", ROWS)
    (dataset.path / dataset.manifest.shards[0].path).write_bytes(b"PAR1 no more")

    async def script(terminal: Terminal) -> None:
        assert shown(terminal.lines(), "not a readable Parquet shard")
        assert not shown(terminal.lines(), "error types")
        await terminal.press("enter", "n")
        assert shown(await terminal.press("f"), "not a readable Parquet shard")

    browse(tmp_path / "raw", script, size=(200, 24))


def test_rows_edited_while_generating(tmp_path: Path) -> None:
    online = SHALLOW.model_copy(update={"provenance": Provenance(method="saar", config_digest="c", online=True)})
    _write(tmp_path / "online", [online])

    async def script(terminal: Terminal) -> None:
        assert terminal.lines()[2].split() == ["›", "0", "task-1", "1", "4", "·", "·", "✗", "1", "NameError"]
        lines = await terminal.press("enter")
        assert shown(lines, "edited while generating: there is no raw trajectory to show")

    browse(tmp_path / "online", script, size=(100, 24))


def _write(path: Path, rows: list[Trajectory]) -> None:
    def work(unit: list[Trajectory], sink: ShardSink) -> None:
        sink.append(to_table(unit, PURIFIED_SCHEMA), records=len(unit))

    stage = Stage(
        name="generate", kind="purified", schema=PURIFIED_SCHEMA, config={}, config_digest="hand-made", inputs=["0"]
    )
    run_stage(stage, [rows], work, path)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """100,000 trajectories in 50 row groups; the last has a word of its own."""
    path = tmp_path_factory.mktemp("many") / "raw"
    table = to_table([SHALLOW])

    def work(_: int, sink: ShardSink) -> None:
        for group in range(GROUPS):
            rows = table.take([0] * GROUP_ROWS)
            ids = [f"{group}-{row}" for row in range(GROUP_ROWS)]
            if group == GROUPS - 1:
                ids[-1] = "needle"
            at = rows.schema.get_field_index("trajectory_id")
            sink.write_group(rows.set_column(at, rows.schema.field(at), [pa.array(ids)]), records=GROUP_ROWS)

    stage = Stage(name="import", kind="raw", schema=RAW_SCHEMA, config={}, config_digest="hand-made", inputs=["0"])
    run_stage(stage, [0], work, path)
    return Dataset.open(path)


def test_only_row_groups_that_are_looked_at_are_read(many: Dataset) -> None:
    reader = CountingReader(many)

    async def script(terminal: Terminal) -> None:
        assert terminal.lines()[0].endswith("100,000 trajectories")
        assert (reader.columns, reader.whole) == ([0], [])
        assert shown(await terminal.press("G"), "› 99,999 task-1")
        assert (reader.columns, reader.whole) == ([0, 49], [])
        assert shown(await terminal.press("enter"), "row 99,999 · needle")
        await terminal.press("p", "p", "n")
        assert (reader.columns, reader.whole) == ([0, 49], [49])

    browse(reader, script)


def test_search_goes_through_all_row_groups_and_stops_on_escape(many: Dataset) -> None:
    reader = HeldReader(many)

    async def script(terminal: Terminal) -> None:
        reader.go_on.set()
        lines = await terminal.search("needle")
        assert (sorted(set(reader.columns)), reader.whole) == (list(range(GROUPS)), [])
        assert "1 of 100,000  /needle" in lines[0]
        assert shown(lines, "› 99,999")
        reader.columns.clear()
        reader.go_on.clear()
        await terminal.pilot.press("slash", *"less", "enter")
        while GROUPS // 2 not in reader.columns:
            await terminal.pilot.pause(0.01)
        assert "0 of 100,000  50% searched, Esc stops  /less" in terminal.lines()[0]
        await terminal.pilot.press("escape")
        reader.go_on.set()
        await terminal.settle()
        await terminal.pilot.pause(0.1)
        assert reader.columns == list(range(GROUPS // 2 + 1))
        assert shown(terminal.lines(), 'stopped; nothing found so far for "less"')

    browse(reader, script)


def test_a_real_dump(tmp_path: Path) -> None:
    from purify.importing import import_dump

    import_dump(dump("mathcoder"), tmp_path / "raw")
    clean(tmp_path / "raw", tmp_path / "purified")

    async def script(terminal: Terminal) -> None:
        assert terminal.lines()[0].endswith("33 of 1,020  --edited")
        for _ in range(6):
            lines = terminal.lines()
            row = next(line.split()[1] for line in lines if line.startswith("›"))
            assert shown(lines, f" row {row} · ", f"cl-7b_mathematics.jsonl record {row}")
            await terminal.press("n")
        assert row == "101"

    browse(tmp_path / "purified", script, Filter(edited=True), size=(120, 60))
