"""The YAML file: what it fills in, and one line for everything that is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from purify.errors import PurifyError
from purify.iterating import IterateConfig, read_config

LEAST = "model: m\ntasks: t.jsonl\nrounds: 2\n"


def read(tmp_path: Path, text: str) -> IterateConfig:
    (tmp_path / "c.yaml").write_text(text)
    return read_config(tmp_path / "c.yaml")


def problem(tmp_path: Path, text: str) -> str:
    with pytest.raises(PurifyError) as caught:
        read(tmp_path, text)
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"{tmp_path / 'c.yaml'}: ")
    return line.removeprefix(f"{tmp_path / 'c.yaml'}: ")


def test_stages_that_are_not_named_have_their_defaults(tmp_path: Path) -> None:
    config = read(tmp_path, LEAST)
    assert (config.generate.model, config.train.model) == ("m", "m")
    assert config.clean is not None and config.clean.gamma == 0.5
    assert config.score is not None and config.score.model == "m"
    assert (config.generate.group_size, config.evaluate.group_size, config.seed) == (16, 1, 0)


@pytest.mark.parametrize("stage", ["clean", "score"])
def test_a_stage_can_be_left_out(tmp_path: Path, stage: str) -> None:
    assert getattr(read(tmp_path, f"{LEAST}{stage}: false\n"), stage) is None


def test_evaluating_samples_as_generating_does_unless_it_says_otherwise(tmp_path: Path) -> None:
    config = read(
        tmp_path,
        LEAST + "clean: false\n"
        "generate: {group_size: 8, max_turns: 4, temperature: 0.7, saar: true, gamma: 0.3, tool_state: {f: unknown}}\n"
        "evaluate: {temperature: 0.5, k: 2}\n",
    )
    found = config.evaluate
    assert (found.max_turns, found.temperature, found.group_size) == (4, 0.5, 2)
    assert (found.saar, found.gamma, found.tool_state) == (False, 0.5, {"f": "unknown"})


def test_seeds_differ_by_stage_and_round_and_follow_from_the_files(tmp_path: Path) -> None:
    config = read(tmp_path, LEAST)
    seeds = [config.seed_of(stage, number) for stage in ("generate", "train") for number in range(3)]
    assert len(set(seeds)) == 6 and all(0 <= seed < 2**31 for seed in seeds)
    assert seeds[0] == read(tmp_path, LEAST).seed_of("generate", 0)
    assert seeds[0] != read(tmp_path, f"{LEAST}seed: 1\n").seed_of("generate", 0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rounds: 1\n", "model is required"),
        ("model: m\nrounds: 1\n", "tasks is required"),
        ("model: m\ntasks: t\n", "rounds is required"),
        ("model: m\ntasks: t\nrounds: 0\n", "rounds: Input should be greater than or equal to 1, got 0"),
        (
            LEAST + "trian: {}\n",
            "unknown key trian; known: model, revision, tasks, tasks_per_round, held_out, rounds, seed, generate",
        ),
        (LEAST + "clean: {gama: 1}\n", "unknown key clean.gama; known: gamma, max_retries, "),
        (LEAST + "evaluate: {model: m}\n", "unknown key evaluate.model; known: engine, tokenizer, "),
        (LEAST + "train: {seed: 3}\n", "train.seed is decided by the rounds; leave it out"),
        (LEAST + "generate: {model: m}\n", "generate.model is decided by the rounds; leave it out"),
        (LEAST + "train: {updates: none}\n", "train.updates: Input should be a valid integer"),
        (LEAST + "train: false\n", "train: Input should be a valid dictionary or instance of TrainConfig, got False"),
        (LEAST + "clean: 3\n", "clean: Input should be a valid dictionary or instance of SaarConfig, got 3"),
        (LEAST + "generate: {gamma: 0.3}\n", "generate: gamma is read only with saar"),
        (LEAST + "generate: {saar: true}\n", "generate.saar edits while it samples, so there is nothing left to clean"),
        (LEAST + "clean: {min_importance: 0.5}\n", "clean.min_importance needs an earlier, scored purification"),
        (LEAST + "clean: {apply_to: winners}\ngenerate: {group_size: 1}\n", "clean.apply_to winners compares rewards"),
        ("- model\n", "must be a mapping with at least model, tasks and rounds"),
        ("", "must be a mapping with at least model, tasks and rounds"),
        ("model: [\n", "not YAML ("),
    ],
)
def test_one_line_for_what_is_wrong(tmp_path: Path, text: str, said: str) -> None:
    assert problem(tmp_path, text).startswith(said)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(PurifyError, match=r"no\.yaml: No such file or directory"):
        read_config(tmp_path / "no.yaml")


def test_the_documented_file_is_read(tmp_path: Path) -> None:
    document = (Path(__file__).parents[2] / "docs/evaluate.md").read_text()
    config = read(tmp_path, document.partition("```yaml\n")[2].partition("```")[0])
    assert config.clean is not None and config.clean.apply_to == "winners"
    assert (config.rounds, config.train.learning_rate, config.evaluate.max_turns) == (5, 1.5e-4, 6)
