"""Finding rows by their columns, reading only those, and cutting them into passages."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from purify.cleaning import clean
from purify.datasets import Dataset
from purify.errors import PurifyError
from purify.reporting import Filter, browse, passages, read_rows
from purify_schemas import Call, Provenance
from tests.support import call, step, trajectory, write_dataset

ROWS = [
    trajectory(
        step(call("print(z)", "error", error_type="NameError")),
        step(call("print(zz)")),
        step(think="done"),
        id="aa",
    ),
    trajectory(step(call("q"), think="first"), step(call("abc", "error")), step(call("12345")), id="ab"),
    trajectory(
        step(call("a", "error", name="bash", error_type="exit_code_1")),
        step(call("b", name="bash")),
        id="ba",
        states={"bash": "external"},
    ),
    trajectory(step(call("x", "error", error_type="NameError")), id="bb"),
    trajectory(step(call("x"), call("y", name="bash")), id="bc"),
    trajectory(step(Call(name=None, status="malformed"), Call(name="bash", status="ok", error_type="stale")), id="cc"),
]


@pytest.fixture(scope="module")
def purified(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    path = tmp_path_factory.mktemp("browse")
    write_dataset(path / "raw", ROWS, shards=3)
    return clean(path / "raw", path / "purified")


def found(dataset: Dataset, **wanted: object) -> list[int]:
    return [row for row, _ in browse(dataset.path, Filter.model_validate(wanted), limit=None).rows]


@pytest.mark.parametrize(
    ("wanted", "rows"),
    [
        ({}, [0, 1, 2, 3, 4, 5]),
        ({"edited": True}, [0, 1]),
        ({"refused": True}, [2, 3, 5]),
        ({"granularity": "shallow"}, [0]),
        ({"granularity": "deep"}, [1]),  # that of row 2 was refused
        ({"granularity": "deep", "edited": True}, [1]),
        ({"granularity": "deep", "refused": True}, []),
        ({"reason": "gate"}, [2]),
        ({"reason": "unresolved"}, [3, 5]),
        ({"error_type": "NameError"}, [0, 3]),
        ({"error_type": "NameError", "edited": True}, [0]),
        ({"error_type": "(no type)"}, [1, 5]),
        ({"error_type": "stale"}, []),  # of a call that went well
        ({"tool": "bash"}, [2, 4, 5]),
        ({"tool": "(not parsed)"}, [5]),
        ({"tool": "bash", "error_type": "exit_code_1"}, [2]),
        ({"tool": "bash", "error_type": "(no type)"}, []),  # of the other call of row 5
        ({"id": "b"}, [2, 3, 4]),
        ({"row": 4}, [4]),
        ({"row": 4, "id": "a"}, []),
    ],
)
def test_filters(purified: Dataset, wanted: dict[str, object], rows: list[int]) -> None:
    assert found(purified, **wanted) == rows


def test_an_edit_made_and_one_refused_are_two_edits(tmp_path: Path) -> None:
    made = [step(call("x = y", "error")), step(call("x = 1"))]
    write_dataset(tmp_path / "raw", [trajectory(*made, step(call("z", "error")), id="a"), trajectory(*made, id="b")])
    both = clean(tmp_path / "raw", tmp_path / "purified")
    assert found(both, granularity="shallow") == [0, 1]
    for wanted in ({"granularity": "shallow", "refused": True}, {"edited": True, "reason": "unresolved"}):
        assert found(both, **wanted) == [0]
    assert found(both, granularity="deep", refused=True) == []


def test_raw_datasets_have_calls_but_no_edits(purified: Dataset) -> None:
    raw = Dataset.open(purified.path.parent / "raw")
    assert found(raw, error_type="NameError") == [0, 3]
    with pytest.raises(PurifyError, match="is a raw dataset, it has no edits"):
        browse(raw.path, Filter(edited=True))


def test_bad_filters(purified: Dataset) -> None:
    with pytest.raises(PurifyError, match="there is no row 6; it has 6 rows"):
        browse(purified.path, Filter(row=6))
    with pytest.raises(ValidationError):
        Filter.model_validate({"reason": "bad luck"})


def test_pages(purified: Dataset) -> None:
    page = browse(purified.path, page=2, limit=4)
    assert [(row, one.trajectory_id) for row, one in page.rows] == [(4, "bc"), (5, "cc")]
    assert (page.first, page.last, page.matching, page.nothing) == (4, 6, 6, None)
    beyond = browse(purified.path, page=3, limit=4)
    assert (list(beyond.rows), beyond.nothing) == ([], "there is no page 3: 6 matching row(s) fill 2 page(s)")


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        (
            {"error_type": "KeyError", "edited": True},
            "no row matches --error-type KeyError; "
            "error types of this dataset: (no type) (2), NameError (2), exit_code_1 (1)",
        ),
        ({"tool": "x"}, "no row matches --tool x; tools of this dataset: python (7), bash (4), (not parsed) (1)"),
        (
            {"reason": "boundary"},
            "no row matches --reason boundary; edits of this dataset: "
            "refused: unresolved (2), deep (1), refused: gate (1), shallow (1)",
        ),
        ({"id": "zz"}, "no row matches --id zz; the first trajectory_id is aa"),
        ({"edited": True, "row": 3}, "no row matches all of --edited (2 alone), --row 3 (1 alone)"),
    ],
)
def test_no_match_says_which_condition_and_what_there_is(
    purified: Dataset, wanted: dict[str, object], why: str
) -> None:
    assert browse(purified.path, Filter.model_validate(wanted)).nothing == why


def test_an_empty_dataset_says_so(tmp_path: Path) -> None:
    write_dataset(tmp_path / "raw", [])
    assert browse(tmp_path / "raw", Filter(tool="x")).nothing == "the dataset has no rows"
    assert browse(tmp_path / "raw").nothing == "the dataset has no rows"


def test_read_rows_reads_across_shards_and_row_groups(tmp_path: Path) -> None:
    rows = [trajectory(id=f"t{number}") for number in range(20)]
    dataset = write_dataset(tmp_path / "raw", rows, shards=2)
    for shard in dataset.manifest.shards:
        table = pq.read_table(dataset.path / shard.path)
        pq.write_table(table, dataset.path / shard.path, row_group_size=3)
    wanted = [0, 2, 3, 9, 10, 18, 19]
    assert list(read_rows(dataset, wanted)) == [(row, rows[row]) for row in wanted]


def test_damage_is_one_line(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "raw", ROWS)
    shard = dataset.path / dataset.manifest.shards[0].path
    table = pq.read_table(shard)
    broken = table.set_column(13, table.schema.field("finish_reason"), pa.array(["what?"] * len(table)))
    pq.write_table(broken, shard)
    with pytest.raises(PurifyError, match="row 2: not a valid trajectory \\(finish_reason: "):
        list(read_rows(dataset, [2]))
    shard.write_bytes(b"PAR1")
    with pytest.raises(PurifyError, match="not a readable Parquet shard"):
        list(read_rows(dataset, [2]))


def test_passages_put_edits_between_untouched_steps(purified: Dataset) -> None:
    def cut(row: int) -> list[tuple[list[int], list[int], bool | None]]:
        (_, one), *_ = read_rows(purified, [row])
        return [
            ([at for at, _ in part.before], [at for at, _ in part.after], part.edit.accepted if part.edit else None)
            for part in passages(one)
        ]

    assert cut(0) == [([0, 1], [0], True), ([2], [1], None)]
    assert cut(1) == [([0], [0], None), ([1, 2], [1], True)]
    assert cut(2) == [([0, 1], [0, 1], False)]
    assert cut(4) == [([0], [0], None)]
    (_, one), *_ = read_rows(purified, [0])
    grafted, raw = passages(one)[0], ROWS[0].steps
    assert [step for _, step in grafted.before] == raw[:2]
    assert grafted.after == [(0, raw[1].model_copy(update={"reasoning": raw[0].reasoning}))]


def test_passages_of_rows_without_a_raw_trajectory() -> None:
    online = Provenance(method="saar", config_digest="c", online=True)
    for row in (ROWS[0], ROWS[0].model_copy(update={"provenance": online})):
        assert [(part.before, part.after, part.edit) for part in passages(row)] == [
            ([(at, one)], [(at, one)], None) for at, one in enumerate(ROWS[0].steps)
        ]
