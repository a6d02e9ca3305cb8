"""A whole evaluation with a real engine and a tiny random model: what is sampled, kept, resumed and refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from purify.datasets import Dataset
from purify.datasets.stage import only_writer
from purify.datasets.verify import verify
from purify.errors import PurifyError
from purify.evaluating import EvaluateConfig, Evaluation, evaluate
from purify.evaluating.stage import policy_of
from purify.generating.journal import read_journal
from purify_schemas import RAW_SCHEMA
from tests.tiny import tiny_model

TASKS = [
    {"task_id": f"t{n}", "prompt": f"What is {n} + 1?", "answer": str(n + 1), "verifier": "exact"} for n in range(4)
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("tiny"), max_length=512)


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    path = tmp_path / "held_out.jsonl"
    path.write_text("".join(json.dumps(task) + "\n" for task in TASKS))
    return path


def options(**given: Any) -> EvaluateConfig:
    return EvaluateConfig(**{"tool": "none", "max_turn_tokens": 6, "max_response_tokens": 20, "k": 2, **given})


def run_of(folder: Path, model: Path, *steps: int, complete: bool = True) -> Path:
    """The folder of a training run, as `purify train` leaves it."""
    for step in steps:
        checkpoint = folder / f"checkpoints/step-{step:06d}"
        shutil.copytree(model, checkpoint)
        if complete:
            (checkpoint / "complete.json").write_text(f'{{"step": {step}}}\n')
    return folder


def runs(dataset: Path) -> int:
    """How often a dataset was written to."""
    return len((dataset / "run_log.jsonl").read_text().splitlines())


def test_a_model_on_tasks(model: Path, tasks: Path, tmp_path: Path) -> None:
    found = evaluate(model, tasks, options(), out=tmp_path / "out")
    assert (found.tasks, found.model.split("@")[0], found.rejected) == ("held_out.jsonl", model.name, 0)
    assert (found.rollouts.tasks, found.rollouts.trajectories, found.rollouts.rewarded) == (4, 8, 8)
    assert set(found.rollouts.pass_at) == {1, 2} and found.saar is None
    rows = list(Dataset.open(tmp_path / "out/rollouts"))
    written = sum(len(part.token_ids or ()) for row in rows for s in row.steps for part in (s.reasoning, s.action))
    assert (found.rollouts.tokens.value, found.rollouts.tokens.of) == (written / 8, 8)
    assert verify(tmp_path / "out/rollouts").findings == []
    assert Evaluation.model_validate_json((tmp_path / "out/evaluation.json").read_bytes()) == found
    assert str(tmp_path) not in (tmp_path / "out/evaluation.json").read_text()


def test_again_nothing_is_sampled_and_other_figures_can_be_asked_for(model: Path, tasks: Path, tmp_path: Path) -> None:
    first = evaluate(model, tasks, options(), out=tmp_path / "out")
    assert evaluate(model, tasks, options(), out=tmp_path / "out") == first
    again = evaluate(model, tasks, options(k=1, group_size=2), out=tmp_path / "out")
    assert (set(again.rollouts.pass_at), again.rollouts.tokens) == ({1}, first.rollouts.tokens)
    assert runs(tmp_path / "out/rollouts") == 1


def test_saar_stands_beside_and_changes_nothing(model: Path, tasks: Path, tmp_path: Path) -> None:
    first = evaluate(model, tasks, options(), out=tmp_path / "out")
    both = evaluate(model, tasks, options(saar=True, gamma=0.3), out=tmp_path / "out")
    assert both.rollouts == first.rollouts and both.saar is not None
    assert both.saar.trajectories == 8 and both.options["gamma"] == 0.3
    assert runs(tmp_path / "out/rollouts") == 1
    beside = Dataset.open(tmp_path / "out/saar-rollouts")
    assert beside.purified and not Dataset.open(tmp_path / "out/rollouts").purified
    with pytest.raises(PurifyError, match="its saar-rollouts are of another policy, other tasks or other options"):
        evaluate(model, tasks, options(saar=True, gamma=0.4), out=tmp_path / "out")


def test_the_newest_complete_checkpoint_of_a_run(model: Path, tasks: Path, tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", model, 5, 20)
    run_of(run, model, 40, complete=False)
    assert policy_of(run) == (str(run / "checkpoints/step-000020"), run)
    assert policy_of(run / "checkpoints/step-000005") == (str(run / "checkpoints/step-000005"), None)
    assert policy_of("Qwen/Qwen3-4B") == ("Qwen/Qwen3-4B", None)
    found = evaluate(run, tasks, options())
    (folder,) = (run / "evaluations").iterdir()
    assert folder.name.startswith("held_out-") and (folder / "evaluation.json").is_file()
    assert found.model.startswith("step-000020@")
    evaluate(run, tasks, options(temperature=0.5))
    assert len(list((run / "evaluations").iterdir())) == 2


def test_a_run_without_a_checkpoint(model: Path, tasks: Path, tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", model, 5, complete=False)
    with pytest.raises(PurifyError, match="run: has no complete checkpoint yet"):
        evaluate(run, tasks, options())


def test_one_that_was_cut_off_goes_on_by_itself(model: Path, tasks: Path, tmp_path: Path) -> None:
    class CutOffError(Exception):
        pass

    ended = 0

    def cut(*, total: int | None = None, units: int = 0, rows: int = 0) -> None:
        nonlocal ended
        ended += units
        if ended == 3:
            raise CutOffError

    out = tmp_path / "out"
    with pytest.raises(CutOffError):
        evaluate(model, tasks, options(), out=out, concurrency=1, progress=cut)
    assert not (out / "evaluation.json").exists()
    kept = read_journal(out / "rollouts/.partial/journal", RAW_SCHEMA)
    assert len(kept) == 3
    found = evaluate(model, tasks, options(), out=out, concurrency=1)
    assert found == evaluate(model, tasks, options(), out=tmp_path / "whole", concurrency=1)
    rows = {row.trajectory_id: row for row in Dataset.open(out / "rollouts")}
    assert len(rows) == 8 and set(kept) < set(rows)


@pytest.mark.parametrize("other", [{"temperature": 0.5}, {"seed": 1}, {"k": 3}])
def test_another_evaluation_is_not_written_over(
    model: Path, tasks: Path, tmp_path: Path, other: dict[str, object]
) -> None:
    evaluate(model, tasks, options(), out=tmp_path / "out")
    with pytest.raises(PurifyError, match="its rollouts are of another policy, other tasks or other options"):
        evaluate(model, tasks, options(**other), out=tmp_path / "out")


def test_changed_tasks_and_changed_weights_are_noticed(model: Path, tasks: Path, tmp_path: Path) -> None:
    evaluate(model, tasks, options(), out=tmp_path / "out")
    with pytest.raises(PurifyError, match="of another policy"):
        evaluate(
            tiny_model(tmp_path / "other" / model.name, max_length=512, seed=1), tasks, options(), out=tmp_path / "out"
        )
    tasks.write_text(tasks.read_text().replace('"answer": "1"', '"answer": "2"'))
    with pytest.raises(PurifyError, match="other tasks"):
        evaluate(model, tasks, options(), out=tmp_path / "out")


def test_an_attempt_that_sampled_nothing_binds_nobody(model: Path, tasks: Path, tmp_path: Path) -> None:
    with pytest.raises(PurifyError, match="no server answers"):
        evaluate(model, tasks, options(engine="server", url="http://localhost:1/v1"), out=tmp_path / "out")
    assert evaluate(model, tasks, options(), out=tmp_path / "out").rollouts.trajectories


def test_an_attempt_that_is_under_way_is_not_taken_over(model: Path, tasks: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(PurifyError, match="no server answers"):
        evaluate(model, tasks, options(engine="server", url="http://localhost:1/v1"), out=out)
    before = (out / "rollouts.identity").read_text()
    with only_writer(out / "rollouts"), pytest.raises(PurifyError, match="another run is writing here"):
        evaluate(model, tasks, options(), out=out)
    assert (out / "rollouts.identity").read_text() == before


def test_a_file_where_the_folder_should_be(model: Path, tasks: Path) -> None:
    with pytest.raises(PurifyError, match="is a file; name a directory"):
        evaluate(model, tasks, options(), out=tasks)


def test_a_folder_of_something_else(model: Path, tasks: Path, tmp_path: Path) -> None:
    (tmp_path / "out/rollouts").mkdir(parents=True)
    with pytest.raises(PurifyError, match="holds something else than an evaluation"):
        evaluate(model, tasks, options(), out=tmp_path / "out")


def test_tasks_that_cannot_be_used_are_counted(model: Path, tasks: Path, tmp_path: Path) -> None:
    tasks.write_text(tasks.read_text() + '{"prompt": \n' + json.dumps({"prompt": "word " * 600}) + "\n")
    assert evaluate(model, tasks, options(), out=tmp_path / "out").rejected == 2


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="needs bubblewrap")
def test_with_the_sandbox(model: Path, tasks: Path, tmp_path: Path) -> None:
    found = evaluate(model, tasks, options(tool="python", k=1), out=tmp_path / "out")
    assert (found.rollouts.trajectories, found.rollouts.rewarded) == (4, 4)
    assert found.rollouts.calls == found.rollouts.failed_calls
