"""The SAAR rule on hand-computed examples: the paper's semantics, the public code's, and every refusal."""

from __future__ import annotations

import hashlib
from typing import cast

import pytest

from purify.saar import SaarConfig, purify_trajectory
from purify.saar.rule import CallView, Run, Turn, compared_pairs, decide, find_runs
from purify_schemas import Edit, Step, Trajectory
from purify_schemas.names import Status
from tests.support import call, step, trajectory


def failed(name: str | None = "python", code: str = "x") -> Turn:
    return Turn([CallView(name, code, "error")])


def good(name: str = "python", code: str = "x") -> Turn:
    return Turn([CallView(name, code, "ok")])


TALK = Turn([])
NAMELESS = Turn([CallView(None, "garbage", "malformed")])


def only_edit(steps: list[Step], **options: object) -> tuple[Trajectory, Edit]:
    purified, provenance = purify_trajectory(trajectory(*steps), SaarConfig.model_validate(options))
    (edit,) = provenance.edits
    return purified, edit


@pytest.mark.parametrize(
    ("turns", "runs"),
    [
        ([good()], []),
        ([failed(), good()], [Run([0], 1)]),
        ([failed(), failed(), good()], [Run([0, 1], 2)]),
        ([failed()], [Run([0], None)]),
        ([good(), failed()], [Run([1], None)]),
        ([failed("a"), good("b")], [Run([0], None)]),
        ([failed("a"), failed("b"), good("b")], [Run([0], None), Run([1], 2)]),
        ([failed(), TALK, good()], [Run([0], None)]),
        ([failed()._replace(has_human=True), good()], [Run([0], None)]),
        ([failed(), good()._replace(has_human=True)], [Run([0], 1)]),
        ([failed(), Turn([CallView("python", "x", "infra")]), good()], [Run([0], None)]),
        ([failed(), Turn([CallView("python", "x", "rejected")]), good()], [Run([0], None)]),
        ([failed(), Turn([CallView("python", "x", "unknown")]), good()], [Run([0], None)]),
        ([Turn([CallView("a", "", "error"), CallView("b", "", "infra")]), good("a")], []),
        ([NAMELESS, good("b")], [Run([0], 1)]),
        ([NAMELESS, failed("b"), good("b")], [Run([0, 1], 2)]),
        ([failed("a"), NAMELESS, good("a")], [Run([0, 1], 2)]),
        ([failed("a"), NAMELESS, good("b")], [Run([0, 1], None)]),
        ([failed(), good(), failed(), good()], [Run([0], 1), Run([2], 3)]),
        ([NAMELESS, failed("a"), good("b")], [Run([0, 1], None)]),
        # A retry is of the run's tool if its own failure is, not if some call beside it went well.
        (
            [
                failed("a"),
                Turn([CallView("a", "x", "ok"), CallView("b", "x", "error")]),
                Turn([CallView("a", "x", "ok"), CallView("b", "x", "ok")]),
            ],
            [Run([0], None), Run([1], 2)],
        ),
        (
            [failed("a"), Turn([CallView(None, "", "malformed"), CallView("b", "", "error")])],
            [Run([0], None), Run([1], None)],
        ),
        ([failed(), failed()._replace(has_human=True), good()], [Run([0, 1], None)]),
        ([failed()._replace(has_human=True), failed(), good()], [Run([0], None), Run([1], 2)]),
    ],
)
def test_runs_of_failures(turns: list[Turn], runs: list[Run]) -> None:
    assert [run._replace(ended=None) for run in find_runs(turns)] == runs


@pytest.mark.parametrize(
    ("turns", "ended"),
    [
        ([failed()], "the rollout ends"),
        ([failed("a"), good("b")], "step 1 calls another tool"),
        ([failed(), TALK, good()], "step 1 makes no call"),
        ([failed()._replace(has_human=True), good()], "a person speaks before step 1"),
        (
            [failed(), Turn([CallView("python", "x", "infra")])],
            "step 1 is neither a failure of the model's nor a success",
        ),
    ],
)
def test_a_run_without_success_says_what_ended_it(turns: list[Turn], ended: str) -> None:
    assert [run.ended for run in find_runs(turns)] == [ended]


def test_pairs_are_failed_then_corrected() -> None:
    run = Run([3, 4], 5)
    assert compared_pairs(run, "first") == [(3, 5)]
    assert compared_pairs(run, "cascade") == [(3, 4), (4, 5)]
    assert compared_pairs(Run([3], None), "first") == []


def test_similarity_exactly_at_gamma_is_shallow() -> None:
    # "abcd" and "abxy" share "ab": ratio = 2 * 2 / 8 = 0.5.
    steps = [step(call("abcd", "error"), think="first"), step(call("abxy"), think="second")]
    purified, edit = only_edit(steps, gamma=0.5)
    assert (edit.links[0].similarity, edit.links[0].granularity) == (0.5, "shallow")
    assert purified.steps == [step(call("abxy"), think="first")]

    purified, edit = only_edit(steps, gamma=0.5000001)
    assert edit.links[0].granularity == "deep"
    assert purified.steps == [step(call("abxy"), think="second")]


def test_two_failures_first_compares_the_first_failure_with_the_success() -> None:
    # Sim("aaaa", "bbbb") = 0: deep, though the second failure equals the success.
    steps = [
        step(call("aaaa", "error"), think="r0"),
        step(call("bbbb", "error"), think="r1"),
        step(call("bbbb"), think="r2"),
    ]
    purified, edit = only_edit(steps)
    assert [(link.from_step, link.to_step, link.similarity) for link in edit.links] == [(0, 2, 0.0)]
    assert (edit.reasoning_from, edit.action_from) == (2, 2)
    assert purified.steps == [step(call("bbbb"), think="r2")]


def test_cascade_may_take_its_reasoning_from_the_middle() -> None:
    # 0 -> 1 unlike (deep: the reasoning moves to 1), 1 -> 2 alike (shallow: it stays at 1).
    steps = [
        step(call("aaaa", "error"), think="r0"),
        step(call("bbbb", "error"), think="r1"),
        step(call("bbbc"), think="r2"),
    ]
    purified, edit = only_edit(steps, chain="cascade")
    assert [(link.similarity, link.granularity) for link in edit.links] == [(0.0, "deep"), (0.75, "shallow")]
    assert (edit.reasoning_from, edit.action_from) == (1, 2)
    assert purified.steps == [step(call("bbbc"), think="r1")]
    assert [(part.raw_step, part.part) for part in edit.removed] == [(0, "step"), (1, "action"), (2, "reasoning")]


def test_cascade_that_stays_alike_keeps_the_first_reasoning() -> None:
    steps = [
        step(call("abcd", "error"), think="r0"),
        step(call("abce", "error"), think="r1"),
        step(call("abcf"), think="r2"),
    ]
    purified, edit = only_edit(steps, chain="cascade")
    assert edit.granularity == "shallow"
    assert purified.steps == [step(call("abcf"), think="r0")]


@pytest.mark.parametrize(("failures", "accepted"), [(3, True), (4, False)])
def test_at_most_k_failures_are_replaced(failures: int, accepted: bool) -> None:
    steps = [step(call("abcd", "error")) for _ in range(failures)] + [step(call("abcd"))]
    purified, edit = only_edit(steps, max_retries=3)
    assert edit.accepted is accepted
    assert len(purified.steps) == (1 if accepted else 5)
    if not accepted:
        assert (edit.reason, edit.detail) == ("unresolved", "4 failures, max_retries is 3")


def test_a_failure_in_the_last_step_is_unresolved() -> None:
    purified, edit = only_edit([step(call("a")), step(call("b", "error"))])
    assert (edit.raw_steps, edit.action_from, edit.reason, edit.detail) == (
        [1],
        None,
        "unresolved",
        "never corrected: the rollout ends",
    )
    assert len(purified.steps) == 2
    assert purified.provenance is not None and purified.provenance.stale_from is None


def test_talk_between_failure_and_success_ends_the_run() -> None:
    _, edit = only_edit([step(call("a", "error"), human="Try again, please."), step(call("a"))])
    assert edit.reason == "unresolved"
    _, edit = only_edit([step(call("a", "error")), step(think="Sorry about that."), step(call("a"))])
    assert edit.reason == "unresolved"


def test_parallel_calls_of_which_one_fails() -> None:
    broken = step(call("left"), call("rihgt", "error"))
    purified, edit = only_edit([broken, step(call("left"), call("right"))])
    assert edit.accepted and purified.steps == [step(call("left"), call("right"))]

    _, edit = only_edit([broken, step(call("right"))])
    assert (edit.reason, edit.detail) == ("parallel_partial", "step 1 does not repeat python (ok) of step 0")

    _, edit = only_edit([broken, step(call("left"))])
    assert (edit.reason, edit.detail) == ("parallel_partial", "step 1 does not repeat python (error) of step 0")

    _, edit = only_edit([broken, step(call("LEFT"), call("right"))])
    assert (edit.reason, edit.detail) == ("parallel_partial", "step 1 does not repeat python (ok) of step 0")


def test_parallel_calls_that_went_well_are_matched_before_broken_ones() -> None:
    # Both are calls of one tool: were the broken one matched first, it could take the call the good one needs.
    purified, edit = only_edit([step(call("rihgt", "error"), call("left")), step(call("left"), call("right"))])
    assert edit.accepted and purified.steps == [step(call("left"), call("right"))]


def test_an_unparsable_call_takes_no_call_that_a_named_one_needs() -> None:
    broken = step(call("?", "malformed", name=None), call("a", "error", name="a"))
    _, edit = only_edit([broken, step(call("a", name="a"), call("b", name="b"))])
    assert edit.accepted


def test_every_parallel_step_of_a_run_must_be_repeated() -> None:
    steps = [step(call("a", "error")), step(call("a", "error"), call("b")), step(call("a"))]
    _, edit = only_edit(steps)
    assert (edit.reason, edit.detail) == ("parallel_partial", "step 2 does not repeat python (ok) of step 1")


def test_a_malformed_call_without_a_name_is_deep() -> None:
    garbage = call("abcd", "malformed", name=None)
    purified, edit = only_edit([step(garbage, think="r0"), step(call("abcd"), think="r1")])
    assert (edit.links[0].similarity, edit.links[0].granularity) == (None, "deep")
    assert purified.steps == [step(call("abcd"), think="r1")]
    # Nothing ran, so an undeclared or external tool is no objection either.
    assert edit.gates[0].verdict == "pass"


def test_min_similarity_refuses_a_deep_edit_only() -> None:
    steps = [step(call("abcd", "error")), step(call("axyz"))]  # ratio 0.25
    _, edit = only_edit(steps, min_similarity=0.3)
    assert (edit.reason, edit.detail) == ("not_a_correction", "similarity 0.250 is below 0.3")
    _, edit = only_edit(steps, min_similarity=0.25)
    assert edit.accepted
    _, edit = only_edit(steps, min_similarity=0.3, gamma=0.2)
    assert edit.accepted and edit.granularity == "shallow"


def test_min_similarity_looks_at_the_least_alike_deep_link() -> None:
    # Cascade: 0 -> 1 share nothing (0.0), 1 -> 2 share "bb" (0.5, deep at gamma 0.9).
    steps = [step(call("aaaa", "error")), step(call("bbbb", "error")), step(call("bbcc"))]
    _, edit = only_edit(steps, chain="cascade", gamma=0.9, min_similarity=0.4)
    assert (edit.reason, edit.detail) == ("not_a_correction", "similarity 0.000 is below 0.4")


@pytest.mark.parametrize("boundary", ["straddled", "unknown"])
def test_a_shallow_edit_needs_clean_boundaries_while_ids_are_present(boundary: str) -> None:
    def steps(where: int, *, ids: bool = True) -> list[Step]:
        kinds = ["exact", "exact"]
        kinds[where] = boundary
        return [
            step(
                call(code, cast("Status", status)), reasoning_ids=[1] if ids else None, action_ids=[2] if ids else None
            ).model_copy(update={"boundary": kinds[index]})
            for index, (code, status) in enumerate([("abcd", "error"), ("abce", "ok")])
        ]

    for where in (0, 1):
        _, edit = only_edit(steps(where))
        assert (edit.reason, edit.detail) == (
            "boundary",
            f"the ids of step {where} do not split cleanly between reasoning and call",
        )
        _, edit = only_edit(steps(where, ids=False))
        assert edit.accepted, "text alone has no boundary to break"
        _, edit = only_edit(steps(where), gamma=1.0)
        assert edit.accepted and edit.granularity == "deep", "a deep edit keeps whole turns"


def test_ids_on_one_side_only_are_never_joined_to_others() -> None:
    one_sided = [
        step(call("abcd", "error"), reasoning_ids=[1, 2, 3]),
        step(call("abce"), reasoning_ids=[5, 6, 7], observation_ids=[8]),
    ]
    _, edit = only_edit(one_sided)
    assert edit.reason == "boundary"


def test_a_graft_never_joins_ids_to_text_without_ids() -> None:
    with_ids = step(call("abcd", "error"), reasoning_ids=[1], action_ids=[2])
    _, edit = only_edit([with_ids, step(call("abce"))])
    assert edit.reason == "boundary"


def test_compare_call_reproduces_the_public_codes_inflated_ratio() -> None:
    # Unrelated snippets: no character in common, so the code's ratio is 0. The JSON around them is 62 characters
    # long, and the whole calls look 2 * 62 / (66 + 66) = 0.939 alike.
    steps = [step(call("abcd", "error")), step(call("wxyz"))]
    _, edit = only_edit(steps, compare="code")
    assert (edit.links[0].similarity, edit.granularity) == (0.0, "deep")
    _, edit = only_edit(steps, compare="call")
    whole = '<tool_call>\n{"name": "python", "arguments": {"code": "abcd"}}\n</tool_call>'
    shared = len(whole) - 4
    assert edit.links[0].similarity == 2 * shared / (2 * len(whole))
    assert edit.granularity == "shallow"


def test_the_argument_order_is_failed_then_corrected() -> None:
    from difflib import SequenceMatcher

    a, b = "tide", "diet"
    assert SequenceMatcher(None, a, b).ratio() != SequenceMatcher(None, b, a).ratio()
    _, edit = only_edit([step(call(a, "error")), step(call(b))])
    assert edit.links[0].similarity == SequenceMatcher(None, a, b).ratio()


def test_deep_and_shallow_move_token_ids_to_the_last_id() -> None:
    steps = [
        step(call("ok"), reasoning_ids=[1, 2], action_ids=[3], observation_ids=[4]),
        step(call("abcd", "error"), reasoning_ids=[5], action_ids=[6, 7], observation_ids=[8, 9]),
        step(call("abce"), reasoning_ids=[10, 11], action_ids=[12], observation_ids=[13]),
        step(think="done", reasoning_ids=[14]),
    ]

    def ids(purified: Trajectory) -> list[int]:
        flat: list[int] = []
        for one in purified.steps:
            for part in (one.reasoning.token_ids, one.action.token_ids, one.observation.token_ids):
                flat += part or []
        return flat

    shallow, edit = only_edit(steps)
    assert edit.granularity == "shallow"
    assert ids(shallow) == [1, 2, 3, 4, 5, 12, 13, 14]
    assert shallow.steps[1].action.logprobs == steps[2].action.logprobs
    assert shallow.steps[1].reasoning.logprobs == steps[1].reasoning.logprobs
    assert shallow.provenance is not None and shallow.provenance.stale_from is not None
    assert (shallow.provenance.stale_from.step, shallow.provenance.stale_from.part) == (1, "action")

    deep, edit = only_edit(steps, gamma=1.0)
    assert edit.granularity == "deep"
    assert ids(deep) == [1, 2, 3, 4, 10, 11, 12, 13, 14]
    assert deep.provenance is not None and deep.provenance.stale_from is not None
    assert (deep.provenance.stale_from.step, deep.provenance.stale_from.part) == (1, "reasoning")


def test_decide_names_what_stands_in_the_way() -> None:
    turns = [failed(), good()]
    decision = decide(Run([0], None, "the rollout ends"), turns, [], SaarConfig())
    assert (decision.reason, decision.detail) == ("unresolved", "never corrected: the rollout ends")


def test_external_tools_are_refused_unless_allowed_and_undeclared_ones_pointed_out() -> None:
    steps = [step(call("abcd", "error")), step(call("abce"))]
    for states, options, verdict, accepted in [
        ({"python": "external"}, {}, "refuse", False),
        ({"python": "external"}, {"allow_external": True}, "pass", True),
        ({}, {}, "unknown", True),
        ({}, {"tool_state": {"python": "stateless"}}, "pass", True),
        ({"python": "stateless"}, {"tool_state": {"python": "external"}}, "refuse", False),
    ]:
        row = trajectory(*steps, states=states)  # type: ignore[arg-type]
        _, provenance = purify_trajectory(row, SaarConfig.model_validate(options))
        (edit,) = provenance.edits
        assert (edit.gates[0].verdict, edit.accepted) == (verdict, accepted)
    _, provenance = purify_trajectory(trajectory(*steps, states={"python": "external"}), SaarConfig(gates=()))
    assert provenance.edits[0].accepted and provenance.edits[0].gates == []


def test_the_state_gate_asks_for_every_tool_that_ran_and_for_no_other() -> None:
    both = step(call("a", "error", name="lookup"), call("b", "error", name="book"))
    fixed = step(call("a", name="lookup"), call("b", name="book"))
    row = trajectory(both, fixed, states={"lookup": "stateless", "book": "external"})
    _, provenance = purify_trajectory(row)
    assert provenance.edits[0].gates[0].detail == "book changes external state"
    # A call that could not be parsed never ran, whatever its tool.
    row = trajectory(
        step(call("a", "malformed", name="book")), step(call("ab", name="book")), states={"book": "external"}
    )
    _, provenance = purify_trajectory(row)
    assert provenance.edits[0].accepted and provenance.edits[0].gates[0].verdict == "pass"


def test_the_draw_is_blake2b_of_purpose_seed_and_id() -> None:
    def draw(seed: int, id: str) -> float:
        hashed = hashlib.blake2b(f"fraction\0{seed}\0{id}".encode()).hexdigest()
        return int(hashed[:16], 16) / 2**64

    assert round(draw(0, "t1"), 4) == 0.8677
    for id in map(str, range(50)):
        _, provenance = purify_trajectory(trajectory(step(), id=id), SaarConfig(fraction=0.5, seed=7))
        assert provenance.mixed_in is (draw(7, id) >= 0.5)


def test_fraction_and_winners_choose_trajectories() -> None:
    steps = [step(call("abcd", "error")), step(call("abce"))]
    row = trajectory(*steps, reward=1.0)
    _, provenance = purify_trajectory(row, SaarConfig(fraction=0.0))
    assert provenance.mixed_in and provenance.edits == []
    winners = SaarConfig(apply_to="winners")
    _, provenance = purify_trajectory(row, winners, group_mean=0.0)
    assert not provenance.mixed_in and len(provenance.edits) == 1
    _, provenance = purify_trajectory(row, winners, group_mean=1.0)
    assert provenance.mixed_in, "a winner is above the mean, not at it"
    with pytest.raises(ValueError, match="mean reward"):
        purify_trajectory(row, winners)


def test_purified_rows_are_not_purified_again() -> None:
    purified, _ = purify_trajectory(trajectory(step(call("abcd", "error")), step(call("abce"))))
    with pytest.raises(ValueError, match="already purified"):
        purify_trajectory(purified)
