"""The folder of `purify toy`: complete or absent, loadable, never over what is not its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from purify.errors import PurifyError
from purify.toy import ToyConfig, ToyReport, make_toy
from purify_cli.toy import command

pytest.importorskip("torch")
transformers: Any = pytest.importorskip("transformers")

TINY = ToyConfig(steps=3, batch_size=4, tasks=18, held_out=9)
FILES = ["README.md", "held_out.jsonl", "model", "toy.json", "train.jsonl"]


def quiet(step: int, loss: float) -> None: ...


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ToyReport]:
    out = tmp_path_factory.mktemp("toy") / "toy"
    return out, make_toy(out, TINY, quiet)


def test_the_folder(made: tuple[Path, ToyReport]) -> None:
    out, report = made
    assert sorted(path.name for path in out.iterdir()) == FILES
    assert len((out / "train.jsonl").read_text().splitlines()) == 18
    assert len((out / "held_out.jsonl").read_text().splitlines()) == 9
    assert ToyReport.model_validate_json((out / "toy.json").read_bytes()) == report
    assert (report.config, report.demonstrations, report.parameters) == (TINY, 12, 869_760)
    card = (out / "README.md").read_text()
    assert "$" not in card and "scaffolding" in card and "869760 parameters" in card
    assert "| it fails | 0.55 | 0.3 |\n| having run, it printed a wrong answer | 0.45 | 0.08 |\n" in card
    assert len({path.stat().st_mode for path in (out / "model").iterdir()}) == 1


def test_the_model_loads_and_goes_on(made: tuple[Path, ToyReport]) -> None:
    folder = made[0] / "model"
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    text = "Sort [40, 7] from largest to smallest.\n"
    assert tokenizer.convert_ids_to_tokens(tokenizer.encode("[40, 7]")) == ["[", "4", "0", ",Ġ", "7", "]"]
    ids = tokenizer.apply_chat_template(
        [{"role": "user", "content": text}], add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    longer = model.generate(**ids, max_new_tokens=3, min_new_tokens=3)
    assert longer.shape == (1, ids["input_ids"].shape[1] + 3)
    settings = json.loads((folder / "generation_config.json").read_text())
    assert (settings["do_sample"], settings.get("top_k"), settings["eos_token_id"]) == (True, 0, [2, 0])


def test_the_same_seed_gives_the_same_folder(made: tuple[Path, ToyReport], tmp_path: Path) -> None:
    out, _ = made
    again = tmp_path / "again"
    make_toy(again, TINY, quiet)
    for path in (path for path in out.rglob("*") if path.is_file()):
        assert (again / path.relative_to(out)).read_bytes() == path.read_bytes(), path


def test_a_toy_folder_is_replaced_only_when_asked(tmp_path: Path) -> None:
    out = tmp_path / "toy"
    make_toy(out, TINY, quiet)
    with pytest.raises(PurifyError, match="not empty; choose another --out, or add --overwrite"):
        make_toy(out, TINY, quiet)
    make_toy(out, TINY.model_copy(update={"tasks": 9}), quiet, overwrite=True)
    assert len((out / "train.jsonl").read_text().splitlines()) == 9
    assert sorted(path.name for path in out.iterdir()) == FILES


def test_nothing_of_others_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(PurifyError, match=r"no toy\.json, so it is not overwritten"):
        make_toy(tmp_path, TINY, quiet, overwrite=True)
    (tmp_path / "toy.json").write_text("{}")
    with pytest.raises(PurifyError, match=r"notes\.txt is not of purify toy"):
        make_toy(tmp_path, TINY, quiet, overwrite=True)
    with pytest.raises(PurifyError, match="is a file; give --out a folder"):
        make_toy(tmp_path / "notes.txt", TINY, quiet)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_run_that_is_stopped_leaves_nothing(tmp_path: Path) -> None:
    def stop(step: int, loss: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_toy(tmp_path, TINY, stop)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_left_is_cleared(tmp_path: Path) -> None:
    (tmp_path / ".toy-abc" / "new").mkdir(parents=True)
    make_toy(tmp_path, TINY, quiet)
    assert sorted(path.name for path in tmp_path.iterdir()) == FILES


@pytest.fixture(scope="module")
def app() -> typer.Typer:
    app = typer.Typer()
    app.command()(command)
    return app


def test_the_command(app: typer.Typer, tmp_path: Path) -> None:
    arguments = ["--steps", "1", "--batch-size", "2", "--tasks", "9", "--held-out", "9", "--design", "A"]
    ended = CliRunner().invoke(app, ["-o", str(tmp_path / "toy"), *arguments])
    assert ended.exit_code == 0, ended.output
    first, second = ended.output.splitlines()
    assert first.endswith("train.jsonl (9 tasks), held_out.jsonl (9 tasks)")
    assert second.startswith("design A, 1 updates on 2 demonstrations; loss 6.")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--steps", "0"], "--steps: Input should be greater than or equal to 1"),
        (["--design", "D"], "--design: Input should be 'A', 'B' or 'C'"),
        (["--tasks", "10001"], "--tasks: Input should be less than or equal to 10000"),
        (["--threads", "0"], "--threads: Input should be greater than or equal to 1"),
    ],
)
def test_bad_options(app: typer.Typer, tmp_path: Path, arguments: list[str], message: str) -> None:
    ended = CliRunner().invoke(app, ["-o", str(tmp_path / "toy"), *arguments])
    assert isinstance(ended.exception, PurifyError)
    assert message in str(ended.exception)
    assert not (tmp_path / "toy").exists()
