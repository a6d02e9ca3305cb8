"""Rewards of trajectories: verifiers by name, functions of the user, overlong shaping, judging again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from purify.errors import PurifyError
from purify.rewards import Difference, Overlong, Rewarder, needs_sandbox, overlong_penalty, reverify
from purify.rewards.answers import last_boxed, last_python_block, normalised
from purify.sandbox.unsafe import Unsafe
from purify.tasks import IoTest, Task
from purify_schemas import Reward, Segment, Step, Trajectory
from tests.rewards.support import answered, task

HERE = __name__


def reward_of(verifier: str | None, given: Task, trajectory: Trajectory, **more: Any) -> tuple[Any, ...]:
    """Reward, parts as pairs, and what went wrong."""

    async def work() -> tuple[Any, ...]:
        rewarder = Rewarder(verifier, [given], None, **more)
        try:
            reward, parts = await rewarder(given, trajectory)
        finally:
            await rewarder.close()
        return reward, [(part.name, part.value) for part in parts], rewarder.problems.get(trajectory.trajectory_id)

    return asyncio.run(work())


def single(value: float) -> float:
    """As a float32 holds it."""
    return Reward(name="", value=value).value


@pytest.mark.parametrize(
    ("text", "boxed"),
    [
        (r"\boxed{1} and \boxed{\frac{1}{2}}.", r"\frac{1}{2}"),
        (r"\boxed {a\}b}", r"a\}b"),
        (r"\boxed{1} \boxed{2", "1"),
        (r"\fbox{1} \boxed", None),
        (r"\boxed{}", ""),
    ],
)
def test_the_last_box(text: str, boxed: str | None) -> None:
    assert last_boxed(text) == boxed


def test_the_last_block_of_python() -> None:
    text = "```python\na\n```\n```\nb\n  ```\n```bash\nc\n```\n"
    assert last_python_block(text) == "b\n"
    assert last_python_block("```bash\nc\n```") == "```bash\nc\n```"
    assert last_python_block("plain") == "plain"


@pytest.mark.parametrize(
    ("answer", "said", "reward"),
    [
        ("Paris", " Paris\n", 1),
        ("Paris", r"It is \boxed{ Paris }.", 1),
        (r"\boxed{Paris}", "Paris", 1),
        ("Paris", "paris", -1),
        ("Paris", "It is Paris", -1),
        ("Paris", None, -1),
        ("", "", 1),
    ],
)
def test_exact(answer: str, said: str | None, reward: float) -> None:
    assert reward_of("exact", task(answer), answered(said)) == (reward, [("exact", max(reward, 0))], None)


def test_exact_normalises_both_sides_alike() -> None:
    assert normalised(r" x \boxed{ 1 2 } ") == "1 2"


def test_without_verifier_or_answer_there_is_no_reward() -> None:
    assert reward_of(None, task("2"), answered("2")) == (None, [], None)
    why = "the task has no answer to compare with"
    assert reward_of("exact", task(), answered("2")) == (None, [], why)
    assert reward_of("math", task(), answered("2")) == (None, [], why)


def test_the_task_names_its_verifier() -> None:
    assert reward_of("math", task("half", verifier="exact"), answered("half"))[0] == 1


def length_of(given: Task, trajectory: Trajectory) -> float:
    return len(trajectory.answer or "") / len(given.answer or "")


async def is_even(given: Task, trajectory: Trajectory) -> bool:
    await asyncio.sleep(0)
    return int(trajectory.answer or "") % 2 == 0


def in_parts(given: Task, trajectory: Trajectory) -> dict[str, float]:
    return {"accuracy": 1, "reward": 0.1, "style": -0.5}


def odd_values(given: Task, trajectory: Trajectory) -> Any:
    return {"text": "1.0", "none": None, "nan": float("nan"), "large": 1e300, "dict": {"x": 1}}[trajectory.answer or ""]


not_a_function = 3


def test_functions_of_the_user() -> None:
    name = f"{HERE}:length_of"
    assert reward_of(name, task("ab"), answered("abc")) == (1.5, [(name, 1.5)], None)
    name = f"{HERE}:is_even"
    assert reward_of(name, task(), answered("4")) == (1, [(name, 1)], None)
    assert reward_of(name, task(), answered("3")) == (-1, [(name, 0)], None)
    name = f"{HERE}:in_parts"
    assert reward_of(name, task(), answered("3")) == (
        single(0.1),
        [(name, single(0.1)), ("accuracy", 1), ("style", -0.5)],
        None,
    )


@pytest.mark.parametrize(
    ("function", "said", "why"),
    [
        ("is_even", "x", "ValueError: invalid literal for int() with base 10: 'x'"),
        ("length_of", "x", "ZeroDivisionError: division by zero"),
        ("odd_values", "text", "TypeError: its value is a str, not a number"),
        ("odd_values", "none", "TypeError: its value is a NoneType, not a number"),
        ("odd_values", "nan", "ValueError: its value is nan, not a finite number"),
        ("odd_values", "dict", "ValueError: a dict of rewards needs the member 'reward'"),
    ],
)
def test_a_function_that_fails_on_one_trajectory(function: str, said: str, why: str) -> None:
    name = f"{HERE}:{function}"
    assert reward_of(name, task(""), answered(said)) == (None, [], f"{name}: {why}")


def test_a_reward_beyond_float32() -> None:
    reward, parts, why = reward_of(f"{HERE}:odd_values", task(), answered("large"))
    assert (reward, parts) == (None, [])
    assert "does not fit a float32" in why
    assert "\n" not in why


@pytest.mark.parametrize(
    ("verifier", "why"),
    [
        ("maths", "verifier 'maths' is unknown; there are math, exact, unit_tests and module:function"),
        ("unit_tests", "the verifier unit_tests runs code and needs a sandbox"),
        (
            "no_such:f",
            "verifier no_such:f: ModuleNotFoundError: No module named 'no_such'; give module:function of an importable "
            "module (PYTHONPATH=. finds one in this folder)",
        ),
        (f"{HERE}:not_a_function", f"verifier {HERE}:not_a_function: is no function; give module:function"),
    ],
)
def test_verifiers_that_cannot_be_used_are_refused_before_the_run(verifier: str, why: str) -> None:
    with pytest.raises(PurifyError) as error:
        Rewarder(None, [task(), task(verifier=verifier, file="tasks.jsonl", row=3)], None)
    assert str(error.value) == f"tasks.jsonl, row 3: {why}"


def test_the_default_verifier_is_named_without_a_row() -> None:
    with pytest.raises(PurifyError, match=r"^verifier 'maths' is unknown"):
        Rewarder("maths", [task(file="tasks.jsonl", row=3)], None)


def test_which_tasks_need_a_sandbox() -> None:
    assert not needs_sandbox(None, [task(), task(verifier="math")])
    assert needs_sandbox(None, [task(), task(verifier="unit_tests")])
    assert needs_sandbox("unit_tests", [task()])
    assert not needs_sandbox("unit_tests", [task(verifier="exact")])


@pytest.mark.parametrize(
    ("length", "penalty"),
    [(0, 0), (16384, 0), (16385, -1 / 4096), (17408, -0.25), (18432, -0.5), (20480, -1), (9**9, -1)],
)
def test_overlong_as_in_the_paper(length: int, penalty: float) -> None:
    assert overlong_penalty(length, 20480, 4096) == penalty
    assert Overlong(max_length=20480, buffer=4096, factor=2).penalty(length) == 2 * penalty


def test_overlong_without_a_buffer_is_a_step() -> None:
    assert [overlong_penalty(length, 10, 0, 0.5) for length in (9, 10, 11)] == [0, 0, -0.5]
    with pytest.raises(ValueError, match="buffer 11 is longer than max_length 10"):
        Overlong(max_length=10, buffer=11)


def test_overlong_counts_all_after_the_prompt() -> None:
    shaped = Overlong(max_length=10, buffer=4)
    judged = [
        reward_of("exact", task("2"), answered("2", tokens=tokens), overlong=shaped)
        for tokens in ((2, 3, 1), (2, 3, 2), (9, 9, 9))
    ]
    assert judged == [
        (1, [("exact", 1), ("overlong", 0)], None),
        (0.75, [("exact", 1), ("overlong", -0.25)], None),
        (0, [("exact", 1), ("overlong", -1)], None),
    ]
    assert reward_of("exact", task(), answered("2", tokens=(9, 9, 9)), overlong=shaped)[:2] == (None, [])


def test_overlong_needs_ids() -> None:
    textual = answered("2").model_copy(update={"steps": [Step(reasoning=Segment(text="2"))]})
    shaped = Overlong(max_length=10, buffer=4)
    assert reward_of("exact", task("2"), textual, overlong=shaped) == (1, [("exact", 1)], None)


CODE = "print(int(input()) * 2)"


def stored() -> list[Trajectory]:
    """Rewarded rows as a run stores them: one task names its verifier, one has the default, one a penalty."""

    async def work() -> list[Trajectory]:
        sandbox = Unsafe(workers=1)
        tasks = [
            task("1/2", verifier="math"),
            task("half"),
            task(verifier="unit_tests", tests=[IoTest(input="1", output="2"), IoTest(input="0", output="1")]),
            task("2"),
        ]
        said = [answered("0.5", name="0"), answered("half", name="1"), answered(CODE, name="2")]
        said.append(answered("3", name="3", tokens=(5, 0, 0)))
        rewarder = Rewarder("exact", tasks, sandbox, Overlong(max_length=6, buffer=3))
        rows = []
        for one, trajectory in zip(tasks, said, strict=True):
            row = trajectory.model_copy(update={"reference": one.answer, "extra": one.stored()})
            reward, parts = await rewarder(one, row)
            rows.append(row.model_copy(update={"reward": reward, "rewards": parts}))
        await rewarder.close()
        return rows

    return asyncio.run(work())


def again(rows: Sequence[Trajectory], overlong: Overlong | None = None) -> tuple[int, int, int, list[Difference]]:
    found = asyncio.run(reverify(rows, Unsafe(workers=1), overlong))
    return found.rows, found.equal, found.unjudged, found.different


def test_stored_rewards_are_found_again_from_the_text_alone() -> None:
    rows = stored()
    assert [row.reward for row in rows] == [1, 1, -1, single(single(-2 / 3) - 1)]
    assert [part.value for part in rows[2].rewards] == [0.5, 0]
    assert again(rows) == (4, 4, 0, [])
    assert again(rows, Overlong(max_length=6, buffer=3)) == (4, 4, 0, [])


def test_rows_that_were_changed_are_found() -> None:
    rows = stored()
    rows[0] = rows[0].model_copy(update={"reward": -1.0})
    rows[1] = rows[1].model_copy(update={"answer": "hall"})
    rows[2] = rows[2].model_copy(update={"rewards": [Reward(name="unit_tests", value=1)]})
    plain = answered("2", name="4")
    assert again([*rows, plain]) == (
        5,
        1,
        1,
        [Difference("0", -1, 1, None), Difference("1", 1, -1, None), Difference("2", -1, -1, None)],
    )
    assert again(rows[3:], Overlong(max_length=5, buffer=3))[3] == [Difference("3", rows[3].reward, -2, None)]
