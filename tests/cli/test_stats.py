"""`purify stats` as a user sees it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from purify.cleaning import clean
from purify.errors import PurifyError
from purify.reporting import stats
from purify_cli.main import app
from tests.support import call, step, trajectory, write_dataset

BAD, GOOD = call("print(x)", "error", error_type="Name\x1b[31mError"), call("print(y)")
ROWS = [
    trajectory(step(BAD), step(GOOD), id="a", reward=1),
    trajectory(step(GOOD), id="b", reward=0),
    trajectory(step(call("1/0", "error", error_type="[bold]Error")), id="c"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("stats")
    write_dataset(path / "raw", ROWS)
    clean(path / "raw", path / "purified")
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["stats", *map(str, arguments)], env={"COLUMNS": "80"})


def lines(*arguments: object) -> list[str]:
    return [" ".join(line.split()) for line in run(*arguments).stdout.splitlines()]


def test_raw(folder: Path) -> None:
    assert lines(folder / "raw") == [
        f"{folder / 'raw'}: 3 trajectories (raw) in 1 groups (1 with more than one)",
        "steps (assistant turns) 4",
        "calls 4",
        "ok 2",
        "error 2",
        "failed calls 2 of 4 (50.0%)",
        "trajectories with a failed call 2 of 3 (66.7%)",
        "",
        "failed calls by error type",
        "NameError 1",
        "[bold]Error 1",
        "",
        "failed calls by tool",
        "python 2 of 4",
        "",
        "rewards 2 of 3 (66.7%) have one, mean 0.5",
        "mean advantage of trajectories count mean std. error",
        "without a failed call 1 -0.707 –",
        "whose first call failed 1 +0.707 –",
        "recovered from a failed call 1 +0.707 –",
        "over the 2 trajectories with a reward in groups of two or more",
        "Only one trajectory with a reward recovered from a failed call: too few to tell",
        "whether purifying helps.",
    ]


def test_purified(folder: Path) -> None:
    shown = lines(folder / "purified")
    assert shown[1:20] == [
        "before after",
        "steps (assistant turns) 4 3",
        "calls 4 3",
        "ok 2 2",
        "error 2 1",
        "failed calls 2 of 4 (50.0%) 1 of 3 (33.3%)",
        "trajectories with a failed call 2 of 3 (66.7%) 1 of 3 (33.3%)",
        "",
        "failed calls by error type before after",
        "NameError 1 0",
        "[bold]Error 1 1",
        "",
        "failed calls by tool before after",
        "python 2 of 4 1 of 3",
        "",
        "edits made 1 in 1 trajectories: 1 shallow, 0 deep",
        "edits refused 1: 1 unresolved",
        "state gate 1 pass",
        "trajectories left raw on purpose 0 of 3 (0.0%)",
    ]
    assert shown[20:34] == [
        "steps removed 1 of 4 (25.0%)",
        "text removed 28 characters",
        "",
        "similarity of failed and corrected call",
        *(f"0.{low}–0.{low + 1} 0" for low in range(5)),
        "0.5–0.6 0 ◀ gamma 0.5: shallow from here",
        *(f"0.{low}–0.{low + 1} 0" for low in range(6, 8)),
        "0.8–0.9 1 " + "█" * 26,
        "0.9–1.0 0",
    ]


def test_top_shortens_the_lists(folder: Path) -> None:
    assert "… 1 more (--top, --json)" in lines(folder / "raw", "--top", 1)


def test_json_is_the_report(folder: Path) -> None:
    assert json.loads(run(folder / "purified", "--json").stdout) == stats(folder / "purified").model_dump()


def test_warnings_go_to_standard_error(tmp_path: Path) -> None:
    write_dataset(tmp_path / "raw", [])
    result = run(tmp_path / "raw")
    assert (result.exit_code, result.stderr) == (0, "warning: the dataset has no rows\n")


@pytest.mark.parametrize(
    ("rewards", "verdict"),
    [
        ((1, 1, 0), "above their group's mean"),
        ((0, 0, 1), "below their group's mean"),
        ((0.5, 0.5, 1, 0), "about their group's mean: no clear sign"),
        ((1, 1, 1), "every advantage is 0"),
    ],
)
def test_the_verdict_follows_the_sign(tmp_path: Path, rewards: tuple[float, ...], verdict: str) -> None:
    # Two of three recover, in four groups: the recovered have no spread at all.
    rows = [
        trajectory(
            *([step(BAD), step(GOOD)] if at < 2 else [step(GOOD)]), id=f"{group}{at}", group=group, reward=reward
        )
        for group in "abcd"
        for at, reward in enumerate(rewards)
    ]
    write_dataset(tmp_path / "raw", rows)
    assert verdict in " ".join(lines(tmp_path / "raw"))


def test_not_a_dataset(tmp_path: Path) -> None:
    assert isinstance(run(tmp_path).exception, PurifyError)


def test_as_a_program(folder: Path) -> None:
    program = [sys.executable, "-c", "from purify_cli.main import run; run()"]
    done = subprocess.run([*program, "stats", str(folder / "purified")], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "edits made" in done.stdout


def test_large_numbers_are_never_cropped() -> None:
    from io import StringIO

    from rich.console import Console

    from purify.reporting.figures import CallStats
    from purify_cli.show_stats import _calls

    view = CallStats(
        steps=12_475_000,
        calls=10_775_000,
        failed=1_080_000,
        failure_rate=0.1002,
        by_status={"ok": 9_695_000, "error": 1_080_000},
        by_error_type={},
        by_tool={},
        trajectories_with_failure=1_000_000,
    )
    out = StringIO()
    Console(file=out, width=80).print(_calls([view, view], 2_000_000))
    for number in ("12,475,000", "10,775,000", "1,080,000 of 10,775,000 (10.0%)", "1,000,000 of 2,000,000 (50.0%)"):
        assert out.getvalue().count(number) >= 2, out.getvalue()
