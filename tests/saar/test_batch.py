"""The batch pass agrees with the row function on every row, and both are undone exactly."""

from __future__ import annotations

import hypothesis.strategies as st
import pyarrow as pa
from hypothesis import given, settings

from purify.saar import SaarConfig, load_similarity, purify_trajectory, restore_trajectory
from purify.saar.apply import undo_edits
from purify.saar.batch import purify_table
from purify_schemas import PURIFIED_SCHEMA, RAW_SCHEMA, Call, Step, Trajectory, from_table, to_table
from purify_schemas.names import Status, ToolStateName
from tests.support import call, step, trajectory

CODES = ["abcd", "abce", "wxyz", "print(1)", ""]
STATES: list[dict[str, ToolStateName]] = [{}, {"python": "stateless"}, {"python": "python_kernel"}]
STATUSES: list[Status] = ["ok", "error", "error", "timeout", "malformed", "infra", "rejected", "unknown"]


@st.composite
def calls(draw: st.DrawFn) -> Call:
    status = draw(st.sampled_from(STATUSES))
    names = ["python", "python", "search"] + ([None] if status == "malformed" else [])
    return call(draw(st.sampled_from(CODES)), status, name=draw(st.sampled_from(names)))


@st.composite
def steps(draw: st.DrawFn, with_ids: bool) -> Step:
    number = draw(st.integers(0, 30))
    return step(
        *draw(st.lists(calls(), max_size=2)),
        think=draw(st.sampled_from(["", "I see.", "Let me try \N{GRINNING FACE}"])),
        result=draw(st.sampled_from(["", "NameError: name 'x' is not defined", "4"])),
        human=draw(st.sampled_from([None, None, None, "Go on."])),
        reasoning_ids=range(number) if with_ids else None,
        action_ids=range(number, number + 3) if with_ids and draw(st.booleans()) else None,
        observation_ids=[number] if with_ids else None,
        boundary=draw(st.sampled_from(["exact", "exact", "straddled", "unknown"])),
    )


@st.composite
def episodes(draw: st.DrawFn, with_ids: bool) -> list[Step]:
    """What the rule is about: a few failures of one tool, then mostly a success of it."""
    broken: list[Status] = ["error", "timeout", "malformed"]
    ends: list[Status] = ["ok", "ok", "ok", "error"]
    statuses = [*draw(st.lists(st.sampled_from(broken), min_size=1, max_size=4)), draw(st.sampled_from(ends))]
    return [
        step(
            call(draw(st.sampled_from(CODES)), status),
            think=draw(st.sampled_from(["a", "b", "c"])),
            result=f"result {number}",
            raw=draw(st.sampled_from([None, "<tool_call>one</tool_call>", "<tool_call>other</tool_call>"])),
            reasoning_ids=[number] if with_ids else None,
            action_ids=[number + 1, number + 2] if with_ids else None,
            boundary=draw(st.sampled_from(["exact", "exact", "exact", "straddled", "unknown"])),
        )
        for number, status in enumerate(statuses)
    ]


@st.composite
def trajectories(draw: st.DrawFn) -> list[Trajectory]:
    rows = []
    for index in range(draw(st.integers(0, 6))):
        with_ids = draw(st.booleans())
        pieces = draw(st.lists(episodes(with_ids) | st.lists(steps(with_ids), max_size=3), max_size=3))
        rows.append(
            trajectory(
                *(one for piece in pieces for one in piece), id=f"t{index}", states=draw(st.sampled_from(STATES))
            )
        )
    return rows


CONFIGS = st.builds(
    SaarConfig,
    gamma=st.sampled_from([0.0, 0.5, 0.75, 1.0]),
    max_retries=st.integers(1, 4),
    min_similarity=st.sampled_from([0.0, 0.3]),
    compare=st.sampled_from(["code", "call"]),
    chain=st.sampled_from(["first", "cascade"]),
    fraction=st.sampled_from([1.0, 0.5, 0.0]),
    gates=st.sampled_from([(), ("state",)]),
)


def batch(rows: list[Trajectory], config: SaarConfig) -> pa.Table:
    table, _ = purify_table(to_table(rows), config, load_similarity(config), parent_digest="parent")
    return table


@settings(deadline=None, max_examples=300)
@given(trajectories(), CONFIGS)
def test_batch_and_rows_agree_and_restore_is_exact(rows: list[Trajectory], config: SaarConfig) -> None:
    table = batch(rows, config)
    assert table.schema.equals(PURIFIED_SCHEMA)
    one_by_one = [purify_trajectory(row, config, parent_digest="parent")[0] for row in rows]
    assert list(from_table(table)) == one_by_one
    assert [restore_trajectory(row) for row in one_by_one] == rows
    raw = undo_edits(table)
    assert raw.equals(to_table(rows))


@settings(deadline=None, max_examples=50)
@given(trajectories(), CONFIGS, st.integers(0, 6), st.integers(0, 6))
def test_slices_and_chunks_of_a_table_change_nothing(
    rows: list[Trajectory], config: SaarConfig, start: int, cut: int
) -> None:
    table = to_table(rows)
    chunked = pa.concat_tables([table.slice(0, cut), table.slice(cut)]).slice(start)
    expected = batch(rows[start:], config)
    got, _ = purify_table(chunked, config, load_similarity(config), parent_digest="parent")
    assert got.to_pylist() == expected.to_pylist()
    assert undo_edits(got).to_pylist() == to_table(rows[start:]).to_pylist()


def test_counts_say_what_was_done() -> None:
    rows = [
        trajectory(step(call("abcd", "error")), step(call("abce")), id="shallow"),
        trajectory(step(call("abcd", "error")), step(call("wxyz")), id="deep"),
        trajectory(step(call("abcd", "error")), id="open"),
        trajectory(step(call("abcd", "error")), step(call("abce")), id="undeclared", states={}),
        trajectory(step(call("abcd")), id="clean"),
    ]
    config = SaarConfig()
    _, counts = purify_table(to_table(rows), config, load_similarity(config), parent_digest=None)
    assert dict(counts) == {
        "steps": 8,
        "calls": 8,
        "failed_calls": 4,
        "rows_mixed_in": 0,
        "rows_edited": 3,
        "edits_shallow": 2,
        "edits_deep": 1,
        "edits_state_unknown": 1,
        "refused_unresolved": 1,
    }


def test_an_empty_table_stays_empty() -> None:
    table = batch([], SaarConfig())
    assert len(table) == 0 and undo_edits(table).schema.equals(RAW_SCHEMA)
