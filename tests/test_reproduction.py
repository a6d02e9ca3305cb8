"""The reproduction: what its tables compute, and that the page in docs/ is what its results file says."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from benchmarks.reproduction import analysis, arms
from benchmarks.reproduction.report import DOCS, RESULTS, Tables, pages, with_figures
from benchmarks.reproduction.results import SCHEMA, gather
from benchmarks.reproduction.runs import is_done, run_all
from purify.demo.script import TOY


def row(**given: Any) -> dict[str, Any]:
    known = {"design": "C", "algorithm": "grpo", "arm": "raw", "seed": 3, "tasks": "held_out", "trajectories": 10}
    return {**dict.fromkeys(SCHEMA), **known, "updates": 24, **given}


def frame(*rows: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=SCHEMA)


def test_a_mean_has_students_interval() -> None:
    # s = 1, t(0.975, 2) = 4.302653: half = 4.302653 / sqrt(3)
    mean = analysis.mean_of([1.0, 2.0, 3.0])
    assert mean is not None and mean.half is not None
    assert (mean.value, mean.seeds) == (2.0, 3)
    assert mean.half == pytest.approx(2.484138, abs=1e-6)
    assert analysis.mean_of([0.5]) == (0.5, None, 1)
    assert analysis.mean_of([]) is None


def test_arms_are_compared_seed_by_seed() -> None:
    assert analysis.paired({3: 0.25, 4: 0.5, 5: 1.0}, {3: 0.5, 4: 0.25, 6: 0.0}) == [-0.25, 0.25]


def test_the_last_policy_is_not_the_first() -> None:
    rows = frame(
        row(updates=0, accuracy=0.1),
        row(updates=0, tasks="train", accuracy=0.2),
        row(updates=20, tasks="train", accuracy=0.3),
        row(updates=24, accuracy=0.4),
        row(updates=24, seed=4, accuracy=None),
    )
    assert analysis.first(rows, "accuracy") == {3: 0.1}
    assert analysis.last(rows, "accuracy") == {3: 0.4}


def test_a_curve_is_of_what_the_rounds_sample() -> None:
    rows = frame(
        *(row(updates=0, tasks="train", seed=seed, accuracy=value) for seed, value in ((3, 0.25), (4, 0.75))),
        row(updates=4, tasks="train", accuracy=0.75),
        row(updates=8, accuracy=1.0),
    )
    updates, means = analysis.curve(rows, "accuracy")
    assert updates == [0, 4]
    assert [(mean.value, mean.seeds) for mean in means] == [(0.5, 2), (0.75, 1)]


@pytest.mark.parametrize(
    ("values", "falling", "reached"),
    [
        ([0.5, 0.25, 0.125], True, 4.0),  # exactly at a round
        ([0.75, 0.25, 0.0], True, 4.0),
        ([0.75, 0.5, 0.0], True, 6.0),  # halfway between two
        ([0.25, 0.5, 0.5], True, 0.0),  # there from the start
        ([0.5, 0.5, 0.5], True, None),
        ([0.0, 0.0, 0.5], False, 6.0),
    ],
)
def test_updates_to_reach(values: list[float], falling: bool, reached: float | None) -> None:
    assert analysis.updates_to_reach([0, 4, 8], values, 0.25, falling=falling) == reached


def arm(name: str, *values: float) -> pl.DataFrame:
    return frame(
        *(row(arm=name, tasks="train", updates=4 * at, tool_error_rate=value) for at, value in enumerate(values))
    )


@pytest.mark.parametrize(
    ("own", "raw", "found"),
    [
        ((0.5, 0.25, 0.0), (0.5, 0.5, 0.25), analysis.Sooner(0.5, True)),
        ((0.5, 0.5, 0.5), (0.5, 0.5, 0.25), analysis.Sooner(None, True)),
        ((0.5, 0.5, 0.25), (0.5, 0.5, 0.25), analysis.Sooner(1.0, True)),
        (
            (0.5, 0.5, 0.25),
            (0.5, 0.125, 0.25),
            analysis.Sooner(1.0, True),
        ),  # of all of raw's updates, not its first dip
        ((0.25, 0.125, 0.0), (0.25, 0.5, 0.5), analysis.Sooner(0.0, False)),
    ],
)
def test_how_much_sooner(own: Sequence[float], raw: Sequence[float], found: analysis.Sooner) -> None:
    assert analysis.sooner(arm("all", *own), arm("raw", *raw), "tool_error_rate", falling=True) == found


def test_theory_is_seed_by_seed_weighted_by_how_many_recovered() -> None:
    told = {"tasks": "train", "trajectories": 8}
    found = analysis.theory(
        frame(
            row(advantage_recovered=1.0, recovered=1, updates=0, **told),
            row(advantage_recovered=-1.0, recovered=3, updates=4, **told),
            row(advantage_recovered=-0.5, recovered=8, seed=4, **told),
            row(advantage_recovered=None, recovered=0, seed=5, **told),
        )
    )
    assert found is not None
    assert (found.advantage.value, found.advantage.seeds) == (-0.5, 2)
    assert found.push.value == pytest.approx((-0.5 * 4 / 16 + -0.5) / 2)
    assert analysis.theory(frame(row(recovered=0, **told))) is None


@pytest.mark.parametrize(("values", "sign"), [([0.5, 0.5], 1), ([-0.5, -0.49], -1), ([0.5, -0.4], 0), ([0.5], 0)])
def test_a_sign_is_predicted_where_the_interval_is_clear_of_0(values: list[float], sign: int) -> None:
    mean = analysis.mean_of(values)
    assert mean is not None
    assert analysis.Theory(mean, mean).sign == sign


def test_results_of_two_settings_are_not_mixed() -> None:
    rows = frame(row(learning_rate=1e-4, accuracy=0.1), row(learning_rate=2e-4, accuracy=0.9))
    with pytest.raises(ValueError, match="C grpo raw: a seed has several results"):
        analysis.of_arm(rows, "C", "grpo", "raw")


def test_arms_share_all_but_what_they_are_about(tmp_path: Path) -> None:
    schedule = arms.SCHEDULES["grpo"]
    runs = [run for run in arms.core((3,)) if (run.design, run.algorithm) == ("C", "grpo")]
    configs = {run.arm: arms.config(run, tmp_path, schedule) for run in runs}
    assert configs.keys() == arms.CORE.keys()
    assert len({config.generate.model_dump_json() for config in configs.values()}) == 1
    apart = {"mask_failed": "none", "allow": ()}
    assert len({config.train.model_copy(update=apart).model_dump_json() for config in configs.values()}) == 1
    applied = [None if config.clean is None else config.clean.apply_to for config in configs.values()]
    assert applied == [None, "all", "winners", None]
    assert configs["masked"].train.mask_failed == "winners"


def test_no_setting_is_chosen_on_a_reported_seed() -> None:
    assert not set(arms.CHOICE_SEEDS) & set(arms.SEEDS)
    assert {run.arm for run in arms.choices()} == {"raw"}
    runs = [*arms.core(), *arms.more()]
    assert len({(run.design, run.seed, run.name) for run in runs}) == len(runs)
    assert len(list(arms.core())) == 3 * 4 * 2 * 5
    for run in runs:
        arms.config(run, Path("toy"), arms.SCHEDULES[run.algorithm])  # every option has a reader


def test_a_small_reproduction(tmp_path: Path) -> None:
    """Every stage is real; the policy is the demo's. What is finished is run again only with other settings."""
    if shutil.which("bwrap") is None:
        pytest.skip("needs bubblewrap: apt-get install bubblewrap")
    shutil.copytree(TOY, tmp_path / "policies/C")
    small = arms.Schedule(rounds=2, tasks=2, updates=1, batch_size=4, learning_rate=1e-4)
    budget = arms.Budget({"grpo": small, "dpo": small}, held_out=4)
    names = [("grpo", "raw"), ("grpo", "winners"), ("grpo", "online"), ("dpo", "all")]
    runs = [arms.Run("C", algorithm, arm, 3, 1e-4) for algorithm, arm in names]
    assert list(run_all(runs, tmp_path, 1, budget)) == ["C, seed 3: 4 runs"]
    assert list(run_all(runs, tmp_path, 1, budget)) == []
    assert [is_done(run, tmp_path, budget) for run in runs] == [True] * 4
    other = arms.Budget(budget.schedules, held_out=5)
    assert [is_done(run, tmp_path, other) for run in runs] == [False] * 4
    found = gather((tmp_path / "results").rglob("*.json"))
    assert found.schema == SCHEMA
    assert not (tmp_path / "runs/C-3").exists()
    for run in runs:
        rows = found.filter(pl.col("arm") == run.arm)
        measured = rows.select("tasks", "updates", "trajectories").rows()
        assert measured == [("held_out", 0, 4), ("held_out", 2, 4), ("train", 0, 16), ("train", 1, 16)]
        assert (rows.filter(pl.col("tasks") == "train")["edits"].null_count() == 2) == (run.arm == "raw")
    first = found.filter(pl.col("updates") == 0, pl.col("arm") != "online")
    told = ("tool_error_rate", "accuracy", "advantage_recovered", "recovered")
    assert len(first.unique(("tasks", *told))) == 2, "the first round is one for all arms"


def test_the_page_says_where_raw_does_better_at_another_rate() -> None:
    results = pl.read_parquet(RESULTS)
    tried = Tables(results)
    assert tried.choices.filter(pl.col("tasks") == "held_out").n_unique(["algorithm", "learning_rate", "seed"]) == 18
    assert {name: (arms.learning_rate(name), tried.best_rate(name)) for name in arms.CHOICES} == {
        "rft": (1.5e-4, 3e-4),
        "grpo": (2e-4, 4e-4),
    }
    lines = list(tried.better_rates())
    page = pages(results)["reproduction.md"]
    assert len(lines) == 2 and all(f"\n- {line}\n" in page for line in lines)


def test_the_page_is_what_the_results_say() -> None:
    results = pl.read_parquet(RESULTS)
    readme = (DOCS.parent / "README.md").read_text(encoding="utf-8")
    assert with_figures(readme, Tables(results)) == readme
    for name, text in pages(results).items():
        assert (DOCS / name).read_text(encoding="utf-8") == text, (
            f"docs/{name}: run `python -m benchmarks.reproduction report`"
        )
