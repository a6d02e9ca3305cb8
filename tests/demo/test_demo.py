"""The demo as a user runs it, shortened: every command is real, and the report is opened in a real browser."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from purify.datasets.verify import verify
from purify.demo import DemoConfig, scenes, set_up
from purify.demo.script import ARMS, TOY
from purify.errors import PurifyError
from purify.iterating import read_config
from purify.toy import ToyConfig
from purify.toy.config import DESIGNS
from purify.toy.demonstrations import draw_demonstrations
from purify.toy.tasks import draw_split, task_lines
from purify.toy.tokenizer import train_tokenizer
from purify_cli.demo import _run

pytestmark = pytest.mark.xdist_group("demo")  # one demo for all of them

SHORT = ["--rounds", "2", "--tasks", "2", "--updates", "1", "--held-out", "4"]
CHROMIUM = shutil.which("chromium")


def demo(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "purify_cli", "demo", *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder that holds demo/, and what was printed."""
    if shutil.which("bwrap") is None:
        pytest.skip("needs bubblewrap: apt-get install bubblewrap")
    folder = tmp_path_factory.mktemp("demo")
    run = demo(folder, *SHORT)
    assert run.returncode == 0, run.stderr
    return folder, run.stdout


def test_it_shows_every_command_that_it_runs(done: tuple[Path, str]) -> None:
    folder, printed = done
    shown = re.findall(r"^\$ purify (\w+)", printed, re.MULTILINE)
    stages = [
        "generate",
        "clean",
        "inspect",
        "stats",
        "score",
        "iterate",
        "iterate",
        "evaluate",
        "evaluate",
        "evaluate",
    ]
    assert shown == stages
    assert f"{(folder / 'demo/report.html').as_uri()} shows what came of it" in printed
    for name in ("rollouts", "purified", "scored"):
        assert verify(folder / "demo" / name).findings == []


def test_both_policies_are_trained_alike(done: tuple[Path, str]) -> None:
    folder, _ = done
    raw, purified = (yaml.safe_load((folder / f"demo/{arm}.yaml").read_text()) for arm in ARMS)
    assert (raw.pop("clean"), purified.pop("clean")) == (False, {})
    assert raw == purified
    reports = [orjson.loads((folder / f"demo/{arm}/iterate.json").read_bytes()) for arm in ARMS]
    assert [[one["updates"] for one in report["rounds"]] for report in reports] == [[1, 1], [1, 1]]
    first = [report["rounds"][0]["rollouts"] for report in reports]
    assert first[0] == first[1], "the first round samples the same rollouts"


@pytest.fixture
def page(done: tuple[Path, str]) -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("needs a browser: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser.new_page(viewport={"width": 1200, "height": 900})
        browser.close()


def test_the_report_in_a_browser(done: tuple[Path, str], page: Any) -> None:
    folder, _ = done
    report = folder / "demo/report.html"
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(report.as_uri())
    evaluations = {
        name: orjson.loads((folder / f"demo/evaluation-{name}/evaluation.json").read_bytes())["rollouts"]
        for name in ("before", *ARMS)
    }
    rows = page.locator("tbody tr").all()
    assert [row.locator("th").inner_text() for row in rows] == ["before", "trained on raw", "trained on purified"]
    for row, found in zip(rows, evaluations.values(), strict=True):
        cells = row.locator("td").all_inner_texts()
        assert cells[0].startswith(f"{found['tool_error_rate']['value']:.1%}")
        assert cells[2].startswith(f"{found['pass_at']['1']['value']:.1%}")
    plot = page.locator("figure svg")
    assert plot.bounding_box()["width"] > 400
    assert "trained on purified" in plot.text_content() and "failed calls of all calls" in plot.text_content()
    assert page.locator("pre", has_text="purify clean demo/rollouts -o demo/purified").count() == 1
    assert (said, asked) == ([], [report.as_uri()])


def test_the_report_on_a_phone(done: tuple[Path, str], page: Any) -> None:
    folder, _ = done
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto((folder / "demo/report.html").as_uri())
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= 390


def test_what_is_there_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo/mine.txt").write_text("mine")
    run = demo(tmp_path, *SHORT)
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr == "purify: demo: is there already; remove it, or choose another directory with -o\n"
    assert (tmp_path / "demo/mine.txt").read_text() == "mine"


def test_a_missing_library_is_named_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden/matplotlib.py").write_text("raise ModuleNotFoundError('no', name='matplotlib')")
    run = demo(tmp_path, *SHORT, PYTHONPATH=str(tmp_path / "hidden"))
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.endswith("matplotlib; install it with: pip install 'purify-trajectories[demo]'\n")
    assert not (tmp_path / "demo").exists()


def test_without_isolation_nothing_is_run_unasked(tmp_path: Path) -> None:
    run = demo(tmp_path, *SHORT, PATH="/nonexistent")
    assert (run.returncode, run.stdout) == (2, "")
    (line,) = run.stderr.splitlines()
    assert "bwrap is not installed" in line and "--unsafe-sandbox" in line
    assert not (tmp_path / "demo").exists()


def test_a_command_that_fails_ends_the_demo(tmp_path: Path) -> None:
    with pytest.raises(PurifyError, match="the command above ended with exit code 2; the demo cannot go on"):
        _run([["stats", str(tmp_path / "nothing")]])
    with pytest.raises(PurifyError, match="a command above failed; the demo cannot go on"):
        _run([["schema"], ["stats", str(tmp_path / "nothing")]])


def test_the_script_follows_the_options(tmp_path: Path) -> None:
    config = DemoConfig(rounds=3, tasks=5, updates=2, held_out=7, seed=4)
    set_up(tmp_path / "d", config)
    lines = {
        name: len((tmp_path / f"d/{name}.jsonl").read_text().splitlines()) for name in ("train", "tasks", "held_out")
    }
    assert lines == {"train": 15, "tasks": 5, "held_out": 7}
    for arm in ARMS:
        read = read_config(tmp_path / f"d/{arm}.yaml")
        assert (read.rounds, read.tasks_per_round, read.seed, read.train.updates) == (3, 5, 4, 2)
    commands = [command for scene in scenes(tmp_path / "d", config) for command in scene.commands]
    sampled = [command for command in commands if command[0] in ("generate", "evaluate")]
    assert [command[command.index("--seed") + 1] for command in sampled] == ["4"] * 4
    assert not any("--unsafe-sandbox" in command for command in commands)
    unsafe = scenes(tmp_path / "d", config.model_copy(update={"unsafe_sandbox": True}))
    assert sum("--unsafe-sandbox" in command for scene in unsafe for command in scene.commands) == 4
    last = commands[-2:]
    assert [command[1].endswith("/round-002/run") for command in last] == [True, True]
    with pytest.raises(PurifyError, match="is there already"):
        set_up(tmp_path / "d", config)


def test_the_kept_policy_is_that_of_its_command() -> None:
    """`purify toy -o purify/demo/toy --overwrite`: what does not depend on the machine is made again and compared."""
    from transformers import AutoTokenizer

    kept = orjson.loads((TOY / "toy.json").read_bytes())
    kept_tokenizer = AutoTokenizer.from_pretrained(TOY / "model")
    assert ToyConfig.model_validate(kept["config"]) == ToyConfig()
    split = draw_split(ToyConfig().tasks, ToyConfig().held_out, ToyConfig().seed)
    for name in ("train", "held_out"):
        assert (TOY / f"{name}.jsonl").read_text() == task_lines(getattr(split, name), name)
    demonstrations = draw_demonstrations(DESIGNS["C"], split.taken, 0)
    made = train_tokenizer(next(demonstrations).messages for _ in range(500))
    assert made.backend_tokenizer.to_str() == kept_tokenizer.backend_tokenizer.to_str()


def test_the_kept_policy_loads_and_is_small() -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(TOY / "model")
    assert model.num_parameters() == orjson.loads((TOY / "toy.json").read_bytes())["parameters"]
    assert sum(path.stat().st_size for path in TOY.rglob("*")) < 4_500_000
