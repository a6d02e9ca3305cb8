"""`purify generate` and `purify doctor` as a user meets them, wrong input first."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_commands import purify
from tests.tiny import tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("tiny"), max_length=512)


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    path = tmp_path / "tasks.jsonl"
    path.write_text('{"task_id": "a", "prompt": "What is 1 + 1?", "answer": "2", "verifier": "exact"}\n')
    return path


def one_line(*arguments: str | Path) -> str:
    """What a command that cannot run says: exit code 2, one line, nothing else."""
    ended = purify("generate", *arguments)
    assert ended.returncode == 2, ended.stderr
    # torch cannot read some virtual machines' processors, and says so before anything else.
    (line,) = (line for line in ended.stderr.splitlines() if not line.startswith("Error in cpuinfo"))
    assert ended.stdout == ""
    return line


def test_a_run_and_what_it_says(tmp_path: Path, model: Path, tasks: Path) -> None:
    options = ["--tool", "none", "--group-size", "2", "--max-turn-tokens", "8"]
    ended = purify("generate", tasks, "-o", tmp_path / "out", "--model", model, *options)
    assert ended.returncode == 0, ended.stderr
    assert "2 rows in 1 shard(s)" in ended.stdout
    assert "0 of 2 rewarded trajectories have a positive reward" in ended.stdout
    assert "warning" not in ended.stderr
    again = purify("generate", tasks, "-o", tmp_path / "out", "--model", model, *options)
    assert again.returncode == 2 and "already holds a dataset" in again.stderr


def test_rollouts_that_were_rolled_back_cannot_be_restored(tmp_path: Path, model: Path, tasks: Path) -> None:
    options = ["--tool", "none", "--group-size", "2", "--max-turn-tokens", "8", "--saar"]
    assert purify("generate", tasks, "-o", tmp_path / "out", "--model", model, *options).returncode == 0
    ended = purify("restore", tmp_path / "out", "-o", tmp_path / "raw")
    assert ended.returncode == 2 and "no raw rollout ever existed" in ended.stderr
    assert purify("verify", tmp_path / "out").returncode == 0
    cleaned = purify("clean", tmp_path / "out", "-o", tmp_path / "twice")
    assert cleaned.returncode == 2 and "is purified already" in cleaned.stderr


def test_a_config_file_holds_the_options(tmp_path: Path, model: Path, tasks: Path) -> None:
    (tmp_path / "c.yaml").write_text(f"model: {model}\ntool: none\ngroup_size: 1\nmax_turn_tokens: 4\nsaar: true\n")
    ended = purify("generate", tasks, "-o", tmp_path / "out", "--config", tmp_path / "c.yaml", "--gamma", "0.3")
    assert ended.returncode == 0, ended.stderr
    config = json.loads((tmp_path / "out/manifest.json").read_text())["config"]
    assert (config["gamma"], config["group_size"], config["saar"]) == (0.3, 1, True)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "--model is required"),
        (["--model", "./nothing"], "./nothing: no such folder; give a model's folder or its Hugging Face name"),
        (["--model", "m", "--gamma", "0.3"], "gamma is read only with saar"),
        (["--model", "m", "--temperature", "-1"], "--temperature: Input should be greater than or equal to 0"),
        (["--model", "m", "--engine", "vlm"], "--engine: Input should be 'transformers', 'vllm' or 'server'"),
    ],
)
def test_wrong_options(tmp_path: Path, tasks: Path, options: list[str], said: str) -> None:
    assert said in one_line(tasks, "-o", tmp_path / "out", *options)


def test_wrong_task_files(tmp_path: Path, model: Path) -> None:
    assert "no such file" in one_line(tmp_path / "no.jsonl", "-o", tmp_path / "out", "--model", model)
    (tmp_path / "bad.jsonl").write_text('{"question": "?"}\n')
    said = one_line(tmp_path / "bad.jsonl", "-o", tmp_path / "out", "--model", model)
    assert "no row is a task (row 0: has no prompt and no messages)" in said


def test_a_model_without_a_chat_template(tmp_path: Path, model: Path, tasks: Path) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(model, bare)
    (bare / "chat_template.jinja").unlink()
    said = one_line(tasks, "-o", tmp_path / "out", "--model", bare)
    assert "its tokenizer has no chat template" in said


def test_a_context_longer_than_the_models(tmp_path: Path, model: Path, tasks: Path) -> None:
    said = one_line(tasks, "-o", tmp_path / "out", "--model", model, "--max-model-len", "100000")
    assert "512" in said and "100" in said


def test_a_prompt_that_no_task_fits(tmp_path: Path, model: Path) -> None:
    path = tmp_path / "long.jsonl"
    path.write_text(json.dumps({"prompt": "word " * 1000}) + "\n")
    said = one_line(path, "-o", tmp_path / "out", "--model", model, "--tool", "none")
    assert "none of 1 records could be read" in said and "the model's context is 512" in said


def test_a_tool_that_is_not_there(tmp_path: Path, model: Path, tasks: Path) -> None:
    said = one_line(tasks, "-o", tmp_path / "out", "--model", model, "--tool", "os:no_such_function")
    assert "--tool os:no_such_function: module 'os' has no attribute" in said


def test_a_sandbox_that_cannot_start(tmp_path: Path, model: Path, tasks: Path) -> None:
    said = one_line(tasks, "-o", tmp_path / "out", "--model", model, "--sandbox-url", "http://127.0.0.1:9")
    assert "127.0.0.1:9" in said


def test_a_server_that_is_not_there(tmp_path: Path, model: Path, tasks: Path) -> None:
    options = ["--model", str(model), "--engine", "server", "--url", "http://127.0.0.1:9/v1", "--tool", "none"]
    said = one_line(tasks, "-o", tmp_path / "out", *options)
    assert "127.0.0.1:9" in said


def test_doctor_says_what_can_be_used() -> None:
    ended = purify("doctor", "--json")
    found: dict[str, list[dict[str, Any]]] = json.loads(ended.stdout)
    engines = {entry["name"]: entry for entry in found["engines"]}
    assert engines["transformers"]["usable"]
    assert engines["vllm"]["usable"] or "pip install" in engines["vllm"]["detail"]
    isolation = {entry["name"]: entry for entry in found["isolation"]}
    assert isolation["bubblewrap"]["usable"] == (shutil.which("bwrap") is not None)
    assert ended.returncode == (0 if isolation["bubblewrap"]["usable"] else 1)
    assert purify("doctor").stdout.startswith("isolation\n")
