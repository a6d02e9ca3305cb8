"""`purify iterate` as a user meets it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.test_commands import purify
from tests.cli.test_generate import model as model  # a fixture


@pytest.fixture
def config(model: Path, tmp_path: Path) -> Path:
    task = {"prompt": "1 + 1?", "answer": "2", "verifier": "exact"}
    (tmp_path / "tasks.jsonl").write_text(json.dumps(task) + "\n")
    path = tmp_path / "c.yaml"
    path.write_text(
        f"model: {model}\ntasks: {tmp_path / 'tasks.jsonl'}\nheld_out: {tmp_path / 'tasks.jsonl'}\nrounds: 1\n"
        "generate: {tool: none, group_size: 2, max_turn_tokens: 6}\n"
        "train: {algorithm: sft, batch_size: 2, allow: unresolved}\n"
    )
    return path


def test_a_row_a_round(config: Path, tmp_path: Path) -> None:
    ended = purify("iterate", config, "-o", tmp_path / "out")
    assert ended.returncode == 0, ended.stderr
    stages = [f"round 0: {stage}" for stage in ("generate", "clean", "score", "train", "evaluate")]
    assert [line for line in ended.stderr.splitlines() if line in stages] == stages
    lines = [line.split() for line in ended.stdout.splitlines()]
    assert lines[1] == [
        "round",
        "reward",
        "calls",
        "edits",
        "updates",
        "tokens",
        "pass@1",
        "calls",
        "no",
        "failed",
        "recovery",
    ]
    assert lines[2][0] == "start"
    assert lines[3][:2] == ["0", "-1.000"] and lines[3][3:5] == ["0", "1"]
    again = purify("iterate", config, "-o", tmp_path / "out")
    assert again.stdout == ended.stdout
    assert not any(line.startswith("round") for line in again.stderr.splitlines())
    told = json.loads(purify("iterate", config, "-o", tmp_path / "out", "--json").stdout)
    assert told == json.loads((tmp_path / "out/iterate.json").read_text())
    changed = config.read_text().replace("max_turn_tokens: 6", "max_turn_tokens: 7")
    config.write_text(changed)
    refused = purify("iterate", config, "-o", tmp_path / "out")
    assert refused.returncode == 2
    assert "was begun with other options (generate.max_turn_tokens was 6, now 7)" in refused.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("model: m\ntasks: nowhere.jsonl\nrounds: 1\n", "purify: nowhere.jsonl: no such file\n"),
        ("model: m\nrounds: 1\n", "c.yaml: tasks is required\n"),
        (
            "model: m\ntasks: t\nrounds: 1\ntrain: {algorithm: ppo}\n",
            "c.yaml: train.algorithm: Input should be 'g",
        ),
    ],
)
def test_one_line_for_what_is_wrong(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "c.yaml").write_text(text)
    ended = purify("iterate", tmp_path / "c.yaml", "-o", tmp_path / "out")
    assert ended.returncode == 2 and len(ended.stderr.splitlines()) == 1
    assert said in ended.stderr
    assert not (tmp_path / "out").exists()
