"""`purify evaluate` as a user meets it: the table, the JSON, and one line for what cannot be done."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from purify.evaluating import Evaluation, measure
from purify_cli.evaluate import show
from tests.cli.test_commands import purify
from tests.cli.test_generate import model as model  # a fixture
from tests.support import call, step, trajectory, write_dataset

OPTIONS = ["--tool", "none", "--max-turn-tokens", "6"]
BAD, GOOD, ANSWER = call("print(x)", "error"), call("print(y)"), step(think="42")


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    path = tmp_path / "held_out.jsonl"
    rows = ({"task_id": str(n), "prompt": f"{n} + 1?", "answer": "1", "verifier": "exact"} for n in range(3))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def ran(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    ended = purify("evaluate", *arguments)
    assert ended.returncode == 0, ended.stderr
    return ended


def one_line(*arguments: str | Path) -> str:
    ended = purify("evaluate", *arguments)
    assert ended.returncode == 2, ended.stderr
    (line,) = (line for line in ended.stderr.splitlines() if not line.startswith("Error in cpuinfo"))
    assert ended.stdout == ""
    return line


def test_a_table_with_intervals_and_the_same_as_json(model: Path, tasks: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    said = ran(model, tasks, "-o", out, *OPTIONS, "--k", "2").stdout
    assert f"{model.name}@" in said and "on held_out.jsonl" in said
    assert "SAAR off: 3 tasks, 6 trajectories, 0 calls (0 failed)" in said
    assert "tool-error rate, first call failed: no calls" in " ".join(said.split())
    assert "nan" not in said.lower()
    told = json.loads(ran(model, tasks, "-o", out, *OPTIONS, "--k", "2", "--json").stdout)
    assert told == json.loads((out / "evaluation.json").read_text())
    assert set(told["rollouts"]["pass_at"]) == {"1", "2"} and told["saar"] is None


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is cropped in the narrowest usual terminal."""
    monkeypatch.setenv("COLUMNS", "80")


def shown(evaluation: Evaluation, capsys: pytest.CaptureFixture[str]) -> list[str]:
    show(evaluation)
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


@pytest.fixture
def evaluation(tmp_path: Path) -> Evaluation:
    rows = [
        trajectory(step(BAD), step(GOOD), ANSWER, id="a0", group="a", reward=1),
        trajectory(step(GOOD), ANSWER, id="a1", group="a", reward=1),
        trajectory(step(GOOD), ANSWER, id="b0", group="b", reward=-1),
        trajectory(step(BAD), step(BAD), id="b1", group="b", reward=-1),
    ]
    metrics = measure(write_dataset(tmp_path / "raw", rows), k=(1, 2))
    return Evaluation(model="m@0", tasks="t.jsonl", rejected=0, options={}, rollouts=metrics)


def test_every_line_of_the_table(evaluation: Evaluation, capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(evaluation, capsys) == [
        "m@0 on t.jsonl",
        "SAAR off: 2 tasks, 4 trajectories, 6 calls (3 failed)",
        "",
        "95% interval of",
        "pass@1 50.0% 0.0 – 100.0% 2 tasks",
        "pass@2 50.0% 0.0 – 100.0% 2 tasks",
        "tool-error rate 50.0% 33.3 – 66.7% 6 calls",
        "first call failed 50.0% 50.0 – 50.0% 4 with a call",
        "correct, no failed call 25.0% 0.0 – 50.0% 4 trajectories",
        "recovery rate 50.0% 0.0 – 100.0% 2 with a failed call",
        "mean reward 0.000 -1.000 – 1.000 4 trajectories",
        "mean turns 2.25 2.00 – 2.50 4 trajectories",
        "mean tokens written – – 0 trajectories",
        "first call failed: the same in every task: an interval of width 0",
        "mean tokens written: no token ids are stored",
    ]


def test_saar_stands_in_a_second_column(evaluation: Evaluation, capsys: pytest.CaptureFixture[str]) -> None:
    removed = evaluation.rollouts.model_copy(update={"removed_calls": 1, "calls": 5, "failed_calls": 2})
    lines = shown(evaluation.model_copy(update={"saar": removed}), capsys)
    assert lines[1:3] == [
        "SAAR off: 2 tasks, 4 trajectories, 6 calls (3 failed)",
        "SAAR on: 2 tasks, 4 trajectories, 5 calls (2 failed)",
    ]
    assert lines[4] == "SAAR off 95% interval SAAR on 95% interval"
    assert lines[7:9] == [
        "tool-error rate 50.0% 33.3 – 66.7% 50.0% 33.3 – 66.7%",
        "as sampled 50.0% 33.3 – 66.7% 50.0% 33.3 – 66.7%",
    ]
    assert "pass@1 50.0% 0.0 – 100.0% 50.0% 0.0 – 100.0%" in lines


def test_what_a_policy_needs(model: Path, tasks: Path, tmp_path: Path) -> None:
    out = ["-o", str(tmp_path / "out")]
    said = one_line(model, tasks, *OPTIONS)
    assert "is a model, not a run of `purify train`; say where to write with -o DIR" in said
    assert "./nothing: no such folder" in one_line("./nothing", tasks, *out)
    (tmp_path / "empty").mkdir()
    assert "empty: the folder has no config.json" in one_line(tmp_path / "empty", tasks, *out)
    (tmp_path / "run/checkpoints").mkdir(parents=True)
    assert "run: has no complete checkpoint yet" in one_line(tmp_path / "run", tasks, *out)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--k", "8", "--group-size", "4"], "pass@8 needs a group_size of at least that, got 4"),
        (["--k", "0"], "--k: Input should be greater than or equal to 1"),
        (["--gamma", "0.3"], "gamma is read only with saar"),
        (["--engine", "vlm"], "--engine: Input should be 'transformers', 'vllm' or 'server'"),
    ],
)
def test_wrong_options(tasks: Path, options: list[str], said: str) -> None:
    assert said in one_line("m", tasks, *options)


def test_wrong_tasks(model: Path, tmp_path: Path) -> None:
    out = ["-o", str(tmp_path / "out")]
    assert "no.jsonl: no such file" in one_line(model, tmp_path / "no.jsonl", *out)
    (tmp_path / "bad.jsonl").write_text('{"question": "?"}\n')
    assert "no row is a task" in one_line(model, tmp_path / "bad.jsonl", *out)
    assert not (tmp_path / "out").exists()


def test_tasks_without_rewards_and_rows_that_are_no_tasks(model: Path, tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"prompt": "1 + 1?"}\n{"prompt": \n')
    ended = ran(model, tmp_path / "t.jsonl", "-o", tmp_path / "out", *OPTIONS)
    assert "no trajectory has a reward: no task names an answer and a verifier (see --verifier)" in ended.stderr
    assert "1 task(s) could not be used; they are in rollouts/rejected/ with the reason" in ended.stderr
    assert "pass@1: no task has 1 rewarded sample" in ended.stdout
