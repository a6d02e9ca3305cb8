"""Reading at any row, the lines of the table, and search."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from purify.cleaning import clean
from purify.datasets import Dataset
from purify.errors import PurifyError
from purify.reporting.overview import Line, Overview
from purify.reporting.reader import RowGroup, RowReader
from purify.reporting.search import contains, search
from purify_schemas import Call
from tests.support import call, step, trajectory, write_dataset

ROWS = [
    trajectory(
        step(call("n = 7\nprint(x)", "error", error_type="NameError"), think="Try.", result="no"),
        step(call("n = 7\nprint(6)"), think="I meant six.", result="42"),
        id="edited",
        reward=1,
    ),
    trajectory(id="none", group="empty"),
    trajectory(
        step(Call(name="search", arguments='{"q": "caf\\u00e9 \\"x\\""}', status="error")),
        step(call("a", "error", error_type="A"), call("b", "error", error_type="B")),
        step(call("b", "error", error_type="B"), human="Grüße"),
        id="failed",
    ),
    *(trajectory(step(call(str(number))), id=f"n{number}") for number in range(4)),
]


@pytest.fixture(scope="module")
def purified(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    path = tmp_path_factory.mktemp("reader")
    write_dataset(path / "raw", ROWS, shards=3)
    clean(path / "raw", path / "purified")
    return Dataset.open(path / "purified")


def test_a_row_is_read_from_its_own_row_group(purified: Dataset) -> None:
    reader = RowReader(purified)
    assert [reader.trajectory(row) for row in (6, 0, 3, 2)] == [list(purified)[row] for row in (6, 0, 3, 2)]
    assert [reader.group(row) for row in (0, 2, 3, 6)] == [
        *[RowGroup(shard=0, index=0, first=0, rows=3)] * 2,
        RowGroup(shard=1, index=0, first=3, rows=3),
        RowGroup(shard=2, index=0, first=6, rows=1),
    ]
    found = [(group.first, rows.tolist()) for group, rows in reader.groups(np.array([1, 2, 6]))]
    assert found == [(0, [1, 2]), (6, [6])]


def test_lines_say_what_became_of_each_trajectory(purified: Dataset) -> None:
    reader = RowReader(purified)
    overview = Overview(reader)
    assert overview.get(0) is None
    overview.load(reader.group(0))
    assert [overview.get(row) for row in range(4)] == [
        Line("edited", "g0", 1.0, 2, 1, edits=1, refused=0, failed=0, error_types=["NameError"]),
        Line("none", "empty", None, 0, 0, edits=0, refused=0, failed=0, error_types=[]),
        Line("failed", "g0", None, 3, 3, edits=0, refused=2, failed=4, error_types=["B", "(no type)", "A"]),
        None,
    ]


def test_lines_of_a_raw_dataset_have_no_edits(tmp_path: Path) -> None:
    reader = RowReader(write_dataset(tmp_path / "raw", ROWS[:1]))
    overview = Overview(reader)
    overview.load(reader.group(0))
    assert overview.get(0) == Line("edited", "g0", 1.0, 2, 2, edits=0, refused=0, failed=1, error_types=["NameError"])


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("i MEANT six", [0]),  # only in what an edit took out
        ("n = 7\nprint(6)", [0]),  # a line end, which JSON escapes
        ('café "x"', [2]),  # escaped to ASCII in the source's JSON
        ("grÜsse", []),
        ("GRÜßE", [2]),
        ("6 times 7", [0, 1, 2, 3, 4, 5, 6]),
        ("EMPTY", [1]),
        (".*", []),
    ],
)
def test_search(purified: Dataset, text: str, rows: list[int]) -> None:
    found = list(search(RowReader(purified), np.arange(7), text))
    assert [row for part in found for row in part.rows.tolist()] == rows
    assert [part.looked_at for part in found] == [3, 6, 7]


def test_search_looks_at_the_given_rows_only(purified: Dataset) -> None:
    (found,) = search(RowReader(purified), np.array([3, 5]), "6 times 7")
    assert (found.looked_at, found.rows.tolist()) == (2, [3, 5])


TEXT = st.none() | st.text("ab", max_size=3)
NESTED = st.lists(
    st.fixed_dictionaries(
        {"s": TEXT, "l": st.none() | st.lists(st.none() | st.fixed_dictionaries({"t": TEXT, "n": st.integers(0, 9)}))}
    ),
    max_size=6,
)
TYPE = pa.struct([("s", pa.string()), ("l", pa.list_(pa.struct([("t", pa.string()), ("n", pa.int64())])))])


@settings(deadline=None)
@given(NESTED, st.text("ab", min_size=1, max_size=2), st.integers(0, 2))
def test_contains_is_any_string_however_nested(rows: list[dict[str, object]], text: str, start: int) -> None:
    def has(value: object) -> bool:
        if isinstance(value, dict):
            return any(map(has, value.values()))
        return any(map(has, value)) if isinstance(value, list) else isinstance(value, str) and text in value

    array = pa.array(rows, type=TYPE).slice(start)
    assert contains(array, {text}).tolist() == [has(row) for row in rows[start:]]


def test_a_shard_with_other_rows_than_promised_is_damaged(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "raw", ROWS, shards=3)
    first, last = (dataset.path / dataset.manifest.shards[at].path for at in (0, 2))
    last.write_bytes(first.read_bytes())
    with pytest.raises(PurifyError, match=r"3 rows, its manifest says 1"):
        RowReader(dataset).trajectory(6)
