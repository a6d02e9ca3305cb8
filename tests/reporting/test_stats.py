"""The numbers of small datasets, counted by hand; and of random ones, counted in plain Python."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from purify.cleaning import clean
from purify.errors import PurifyError
from purify.reporting import stats
from purify.reporting.figures import CallStats, EditStats, ToolStats
from purify.saar import SaarConfig
from purify_schemas import Call, Message, Observation, Segment, Step, Trajectory
from tests.support import call, step, trajectory, write_dataset

NAME_ERROR = call("print(z)", "error", error_type="NameError")

SHALLOW = trajectory(
    # difflib: 2 * 8 / (8 + 9) = 0.94
    step(NAME_ERROR, think="abc", result="12345", reasoning_ids=[1], action_ids=[2, 3], observation_ids=[4]),
    step(call("print(zz)"), think="de", result="7", reasoning_ids=[5, 6], action_ids=[7], observation_ids=[8]),
    step(think="done"),
    id="shallow",
    group="g0",
    reward=1,
)
DEEP = trajectory(
    # no common character: similarity 0
    step(call("abc", "timeout"), think="x", result="late"),
    step(call("12345"), think="y", result="ok"),
    id="deep",
    group="g0",
    reward=0,
)
REFUSED = trajectory(
    step(call("a", "error", name="bash", error_type="exit_code_1"), result="no"),
    step(call("a", name="bash"), result="yes"),
    id="refused",
    group="g1",
    reward=1,
    states={"bash": "external"},
)
UNRESOLVED = trajectory(
    step(Call(name=None, arguments="{", status="malformed", error_type="invalid_json")),
    id="unresolved",
    group="g1",
)
FINE = trajectory(step(call("6 * 7")), step(call("1", "infra")), id="fine", group="g2", reward=1)
ROWS = [SHALLOW, DEEP, REFUSED, UNRESOLVED, FINE]


def test_raw(tmp_path: Path) -> None:
    write_dataset(tmp_path / "raw", ROWS, shards=2)
    report = stats(tmp_path / "raw")
    assert report.model_dump(include={"kind", "rows", "groups", "groups_shared", "rewarded", "reward_mean"}) == {
        "kind": "raw",
        "rows": 5,
        "groups": 3,
        "groups_shared": 2,
        "rewarded": 4,
        "reward_mean": 0.75,
    }
    assert report.before == CallStats(
        steps=10,
        calls=9,
        by_status={"ok": 4, "error": 2, "timeout": 1, "malformed": 1, "infra": 1},
        failed=4,
        failure_rate=4 / 9,
        by_error_type={"(no type)": 1, "NameError": 1, "exit_code_1": 1, "invalid_json": 1},
        by_tool={
            "python": ToolStats(calls=6, failed=2),
            "bash": ToolStats(calls=2, failed=1),
            "(not parsed)": ToolStats(calls=1, failed=1),
        },
        trajectories_with_failure=4,
    )
    assert (report.after, report.edits, report.warnings) == (None, None, [])


def test_purified(tmp_path: Path) -> None:
    write_dataset(tmp_path / "raw", ROWS, shards=2)
    clean(tmp_path / "raw", tmp_path / "purified")
    report = stats(tmp_path / "purified")
    assert report.before == stats(tmp_path / "raw").before
    assert report.after == CallStats(
        steps=8,
        calls=7,
        by_status={"ok": 4, "error": 1, "malformed": 1, "infra": 1},
        failed=2,
        failure_rate=2 / 7,
        by_error_type={"exit_code_1": 1, "invalid_json": 1},
        by_tool={
            "bash": ToolStats(calls=2, failed=1),
            "(not parsed)": ToolStats(calls=1, failed=1),
            "python": ToolStats(calls=4, failed=0),
        },
        trajectories_with_failure=2,
    )
    assert report.edits == EditStats(
        rows_edited=2,
        rows_mixed_in=0,
        accepted={"shallow": 1, "deep": 1},
        refused={"gate": 1, "unresolved": 1},
        gates={"state": {"pass": 2, "refuse": 1}},
        state_unknown=0,
        similarity=[1, 0, 0, 0, 0, 0, 0, 0, 0, 2],  # deep; shallow and the refused one, whose calls are equal
        not_comparable=0,
        thresholds=[0.5],
        turns_removed=2,
        # shallow: action [2, 3], observation [4], the corrector's reasoning [5, 6]; deep has no ids
        tokens_removed=5,
        # shallow: {"code": "print(z)"} 20, "12345", "de"; deep: "x", {"code": "abc"} 15, "late"
        characters_removed=27 + 20,
    )


def test_left_raw_and_undeclared_state(tmp_path: Path) -> None:
    rows = [SHALLOW.model_copy(update={"tool_state": []})]
    write_dataset(tmp_path / "raw", rows)
    clean(tmp_path / "raw", tmp_path / "edited")
    edited = stats(tmp_path / "edited")
    assert edited.edits is not None and edited.edits.state_unknown == 1
    assert edited.edits.gates == {"state": {"unknown": 1}}
    assert [line.split(":")[0] for line in edited.warnings] == ["1 edit(s) of tools whose state is not declared"]
    clean(tmp_path / "raw", tmp_path / "none", SaarConfig(fraction=0))
    none = stats(tmp_path / "none")
    assert none.edits is not None and none.edits.rows_mixed_in == 1 and none.edits.tokens_removed is None
    assert none.warnings == ["no edit was made: every trajectory was left raw on purpose (--fraction, --apply-to)"]


@pytest.mark.parametrize(
    ("rows", "warning"),
    [
        ([], "the dataset has no rows"),
        ([trajectory(step())], "no tool call in any trajectory"),
        ([FINE], "no failed call, so purifying changes nothing"),
        ([UNRESOLVED], "no failed call is followed by a successful one of the same tool"),
    ],
)
def test_a_zero_is_said_aloud(tmp_path: Path, rows: list[Trajectory], warning: str) -> None:
    write_dataset(tmp_path / "raw", rows)
    assert [line.startswith(warning) for line in stats(tmp_path / "raw").warnings] == [True]
    clean(tmp_path / "raw", tmp_path / "purified")
    assert len(stats(tmp_path / "purified").warnings) == 1


def test_unknown_statuses_are_said_aloud(tmp_path: Path) -> None:
    rows = [trajectory(step(call("a", "unknown")), step(NAME_ERROR), step(call("b")), step(call("a", "unknown")))]
    write_dataset(tmp_path / "raw", rows)
    assert stats(tmp_path / "raw").warnings == [
        "2 of 4 calls have no known status: do the failure rules fit these tools (purify import --rules)?"
    ]


def test_not_a_dataset(tmp_path: Path) -> None:
    with pytest.raises(PurifyError, match="not a dataset"):
        stats(tmp_path)


def test_random_datasets_against_plain_python(tmp_path: Path) -> None:
    draw = random.Random(0)
    rows = [_random(number, draw) for number in range(250)]
    raw = write_dataset(tmp_path / "raw", rows, shards=3)
    purified = clean(tmp_path / "raw", tmp_path / "purified", SaarConfig(fraction=0.8))
    sampled, stored = stats(raw.path), stats(purified.path)
    assert _counted(sampled.before) == _plainly(rows)
    assert stored.before == sampled.before
    assert stored.after is not None and _counted(stored.after) == _plainly(list(purified))
    edits = [edit for row in purified if row.provenance for edit in row.provenance.edits]
    made = Counter(edit.granularity for edit in edits if edit.accepted)
    assert min(made["shallow"], made["deep"]) > 5
    assert stored.edits is not None and stored.edits.accepted == made
    assert stored.edits.refused == Counter(edit.reason for edit in edits if edit.reason)
    assert sum(stored.edits.similarity) == sum(link.similarity is not None for edit in edits for link in edit.links)
    assert stored.edits.turns_removed == sum(len(edit.raw_steps) - 1 for edit in edits if edit.accepted)
    recovered = sum(any(map(_recovers, row.steps, row.steps[1:])) for row in rows)
    for report in (sampled, stored):
        assert report.advantage.means[-1].trajectories == recovered


def _random(number: int, draw: random.Random) -> Trajectory:
    def one() -> Step:
        calls = [
            call(draw.choice(["aa", "ab", "xy"]), draw.choice(["ok", "ok", "ok", "error", "error", "infra"]), name=name)
            for name in draw.choices(["python", "python", "python", "search"], k=draw.choice([0, 1, 1, 1, 1, 2]))
        ]
        return step(*calls, human=draw.choice([None] * 7 + ["go on"]))

    steps = [one() for _ in range(draw.randrange(9))]
    return trajectory(*steps, id=f"t{number}", group=f"g{number // 10}", reward=draw.choice([0, 1]))


def _recovers(failed: Step, corrected: Step) -> bool:
    statuses = {call.status for call in failed.calls}
    if not failed.failed or "infra" in statuses or failed.observation.has_human:
        return False
    tool = next(call.name for call in failed.calls if call.failed)
    ok = all(call.status == "ok" for call in corrected.calls)
    return ok and tool in [call.name for call in corrected.calls]


def _plainly(rows: list[Trajectory]) -> tuple[object, ...]:
    calls = [call for row in rows for step in row.steps for call in step.calls]
    return (
        sum(len(row.steps) for row in rows),
        Counter(call.status for call in calls),
        sum(call.failed for call in calls),
        sum(any(step.failed for step in row.steps) for row in rows),
    )


def _counted(calls: CallStats) -> tuple[object, ...]:
    return calls.steps, calls.by_status, calls.failed, calls.trajectories_with_failure


def test_text_of_removed_parts_without_raw_text_or_content(tmp_path: Path) -> None:
    failed = Step(
        reasoning=Segment(text=None),
        action=Segment(text="<tool_call>oops"),
        calls=[NAME_ERROR],
        observation=Observation(messages=[Message(role="tool", content=None), Message(role="tool", content="é")]),
    )
    write_dataset(tmp_path / "raw", [trajectory(failed, step(call("q"), think=""))])
    clean(tmp_path / "raw", tmp_path / "purified")
    report = stats(tmp_path / "purified")
    assert report.edits is not None and report.edits.characters_removed == 15 + 1
