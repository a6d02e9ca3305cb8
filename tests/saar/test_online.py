from __future__ import annotations

from collections.abc import Sequence

import pytest

from purify.saar import SaarConfig, purify_trajectory
from purify.saar.online import Rollback
from purify.saar.similarity import Difflib
from purify_schemas import Step, ToolState
from tests.support import call, step, trajectory

STATELESS = [ToolState(name="python", state="stateless")]


def failed(code: str, think: str = "bad idea") -> Step:
    return step(call(code, "error", error_type="NameError"), think=think, result="NameError")


def good(code: str, think: str = "good idea") -> Step:
    return step(call(code), think=think, result="42")


def talk(text: str = "The answer is 42.") -> Step:
    return step(think=text)


def run(steps: Sequence[Step], config: SaarConfig | None = None, *, active: bool = True) -> Rollback:
    rollback = Rollback(config or SaarConfig(), Difflib(), STATELESS, active=active)
    for one in steps:
        rollback.add(one)
    return rollback


def test_an_alike_correction_is_grafted_under_the_first_reasoning() -> None:
    rollback = run([good("x = 1"), failed("print(6*y)"), good("print(6*7)")])
    assert [one.reasoning.text for one in rollback.steps] == ["good idea", "bad idea"]
    assert [one.calls[0].arguments for one in rollback.steps] == ['{"code": "x = 1"}', '{"code": "print(6*7)"}']
    (edit,) = rollback.provenance().edits
    assert (edit.raw_steps, edit.reasoning_from, edit.action_from, edit.granularity) == ([1, 2], 1, 2, "shallow")
    assert edit.links[0].similarity == 0.9
    assert [(part.raw_step, part.part) for part in edit.removed] == [(1, "action"), (2, "reasoning")]
    assert edit.removed[0].calls == [call("print(6*y)", "error", error_type="NameError")]
    assert edit.removed[1].reasoning is not None and edit.removed[1].reasoning.text == "good idea"


def test_an_unlike_correction_replaces_the_whole_turn() -> None:
    rollback = run([failed("import zz"), good("print(sum(range(9)))")])
    assert [one.reasoning.text for one in rollback.steps] == ["good idea"]
    (edit,) = rollback.provenance().edits
    assert (edit.granularity, [(part.raw_step, part.part) for part in edit.removed]) == ("deep", [(0, "step")])


def test_provenance_counts_sampled_steps_and_stale_from_the_stored_ones() -> None:
    """Sampled: 0 good, 1 bad, 2 good | 3 bad, 4 bad, 5 good | 6 answer. Stored: 0, 1+2, 3+5, 6."""
    rollback = run(
        [
            good("a = 1"),
            failed("print(b)"),
            good("print(a)"),
            failed("print(c1)"),
            failed("print(c2)"),
            good("print(c)"),
            talk(),
        ]
    )
    assert len(rollback.steps) == 4
    provenance = rollback.provenance()
    assert provenance.online and not provenance.mixed_in and provenance.parent_id is None
    assert [edit.raw_steps for edit in provenance.edits] == [[1, 2], [3, 4, 5]]
    assert [(link.from_step, link.to_step) for link in provenance.edits[1].links] == [(3, 5)]
    assert provenance.stale_from is not None
    assert (provenance.stale_from.step, provenance.stale_from.part) == (1, "action")
    assert [(p.raw_step, p.part) for p in provenance.edits[1].removed] == [(3, "action"), (4, "step"), (5, "reasoning")]


def test_the_kth_attempt_may_still_correct() -> None:
    config = SaarConfig(max_retries=2)
    rollback = run([failed("print(c1)"), failed("print(c2)"), good("print(c3)")], config)
    assert len(rollback.steps) == 1
    assert rollback.provenance().edits[0].accepted


def test_exhausted_retries_leave_the_last_attempt_and_end_the_rollback() -> None:
    """The public code: K failed retries, then a hint, and whatever fails later is left alone."""
    config = SaarConfig(max_retries=2)
    rollback = Rollback(config, Difflib(), STATELESS)
    first = [failed("print(c1)", "one"), failed("print(c2)", "two")]
    for one in first:
        assert not rollback.is_last_attempt(one)
        rollback.add(one)
    third = failed("print(c3)", "three")
    assert rollback.is_last_attempt(third)
    rollback.add(third)
    assert [one.reasoning.text for one in rollback.steps] == ["one"]
    assert rollback.steps[0].calls == third.calls
    for one in (good("print(1)"), failed("print(d1)"), good("print(d)"), talk()):
        assert not rollback.is_last_attempt(one)
        rollback.add(one)
    assert len(rollback.steps) == 5
    exhausted, *later = rollback.provenance().edits
    assert (exhausted.raw_steps, exhausted.accepted, exhausted.reason) == ([0, 1, 2], True, "unresolved")
    assert exhausted.detail == "2 retries failed: the last attempt stays"
    assert [edit.raw_steps for edit in later] == [[4, 5]]
    assert {(edit.accepted, edit.detail) for edit in later} == {(False, "no rollback after retries were exhausted")}


def test_a_refused_correction_stays_in_the_context_with_its_reason_once() -> None:
    config = SaarConfig(min_similarity=0.4)
    rollback = run([failed("import zz"), good("print(sum(range(9)))"), talk()], config)
    assert len(rollback.steps) == 3
    (edit,) = rollback.provenance().edits
    assert (edit.accepted, edit.reason, edit.raw_steps) == (False, "not_a_correction", [0, 1])


def test_a_failure_that_nothing_follows_is_unresolved() -> None:
    (edit,) = run([failed("print(x)")]).provenance().edits
    assert (edit.accepted, edit.reason, edit.raw_steps) == (False, "unresolved", [0])


def test_the_share_that_stays_raw_is_only_marked() -> None:
    rollback = run([failed("print(x)"), good("print(7)")], active=False)
    assert len(rollback.steps) == 2
    provenance = rollback.provenance()
    assert provenance.mixed_in and provenance.online and provenance.edits == [] and provenance.stale_from is None


def test_external_tools_are_not_rolled_back() -> None:
    rollback = Rollback(SaarConfig(), Difflib(), [ToolState(name="python", state="external")])
    for one in (failed("print(x)"), good("print(7)")):
        rollback.add(one)
    assert len(rollback.steps) == 2
    assert rollback.provenance().edits[0].reason == "gate"


@pytest.mark.parametrize("chain", ["first", "cascade"])
def test_online_edits_are_those_that_clean_makes(chain: str) -> None:
    """Where no later turn was sampled from a rewritten context, both modes give the same steps."""
    config = SaarConfig(chain=chain)
    steps = [failed("import zz", "one"), failed("print(c2)", "two"), good("print(c3)", "three"), talk()]
    purified, provenance = purify_trajectory(trajectory(*steps), config)
    rollback = run(steps, config)
    assert rollback.steps == purified.steps
    assert rollback.provenance().edits == provenance.edits


def test_what_the_interpreter_keeps_of_a_removed_cell_may_be_used_later() -> None:
    """The next cells are not sampled yet: a removed cell that changed a name stays, one that left no trace goes."""
    states = [ToolState(name="python", state="python_kernel")]

    def accepted(*steps: Step) -> bool:
        rollback = Rollback(SaarConfig(), Difflib(), states)
        for one in steps:
            rollback.add(one)
        return len(rollback.steps) < len(steps)

    trace = "ZeroDivisionError"
    changed = step(call("items.append(3)\n1/0", "error", error_type=trace), result=trace)
    bound = step(call("k = 7\n1/0", "error", error_type=trace), result=trace)
    traceless = step(call("print(1/0)", "error", error_type=trace), result=trace)
    assert not accepted(good("items = [1, 2]"), changed, good("print(1/1)"))
    assert not accepted(bound, good("print(1)"))
    assert accepted(bound, good("k = 7\nprint(k)"))
    assert accepted(traceless, good("print(1/1)"))


def test_a_turn_that_was_cut_off_is_no_attempt() -> None:
    rollback = Rollback(SaarConfig(max_retries=1), Difflib(), STATELESS)
    rollback.add(failed("print(x)"))
    rollback.add(step(call("print(", "malformed", name=None)), cut_off=True)
    assert len(rollback.steps) == 2
    assert [edit.accepted for edit in rollback.provenance().edits] == [False]


def test_a_refused_exhaustion_is_told_once() -> None:
    rollback = Rollback(SaarConfig(max_retries=1), Difflib(), [ToolState(name="python", state="external")])
    for one in (failed("a"), failed("b"), good("c"), talk()):
        rollback.add(one)
    assert [(edit.raw_steps, edit.reason) for edit in rollback.provenance().edits] == [([0, 1], "gate")]
