"""Rounds with every real stage and a tiny random model: what follows from what, cut off anywhere, changed, extended."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from purify.datasets import Dataset, Progress
from purify.datasets.verify import verify
from purify.digests import file_sha256
from purify.engines.loading import revision_of
from purify.errors import PurifyError
from purify.evaluating import EvaluateConfig, Evaluation, evaluate, measure
from purify.generating import generate
from purify.iterating import IterateConfig, IterateReport, Stages, iterate
from purify.iterating.folder import claim
from tests.tiny import tiny_model

MADE = {"generate": "rollouts", "clean": "purified", "score": "scored", "train": "run", "evaluate": "evaluation"}
ALL = [
    "start: evaluate",
    *(
        f"round {number}: {stage}"
        for number in range(2)
        for stage in ("generate", "clean", "score", "train", "evaluate")
    ),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("iterating")
    tiny_model(path / "model", max_length=512)
    for name, size in (("train", 3), ("held_out", 2)):
        task = {"prompt": "1 + 1?", "answer": "1", "verifier": "exact"}
        lines = (json.dumps({"task_id": f"{name}{number}", **task}) + "\n" for number in range(size))
        (path / f"{name}.jsonl").write_text("".join(lines))
    return path


def config(folder: Path, **given: Any) -> IterateConfig:
    """A random model is never right, so it learns from all it says."""
    options: dict[str, Any] = {
        "model": str(folder / "model"),
        "tasks": str(folder / "train.jsonl"),
        "held_out": str(folder / "held_out.jsonl"),
        "rounds": 2,
        "generate": {"tool": "none", "group_size": 2, "max_turn_tokens": 6, "max_response_tokens": 20},
        "train": {
            "algorithm": "sft",
            "learning_rate": 1e-3,
            "warmup": 0,
            "batch_size": 3,
            "save_every": 1,
            "allow": "unresolved",
        },
        **given,
    }
    return IterateConfig.model_validate(options)


def one_at_a_time() -> Stages:
    """Batches of another make-up may round otherwise, and then sample otherwise."""
    return replace(Stages.real(), generate=partial(generate, concurrency=1), evaluate=partial(evaluate, concurrency=1))


class CutOffError(Exception):
    """Stands for a kill."""


class Watch:
    """Notes which stages ran, and cuts one of them off at its first finished unit."""

    def __init__(self, cut: str | None = None) -> None:
        self.ran: list[str] = []
        self.cut = cut

    @contextmanager
    def __call__(self, what: str) -> Iterator[Progress]:
        self.ran.append(what)
        done = 0

        def progress(*, total: int | None = None, units: int = 0, rows: int = 0) -> None:
            nonlocal done
            done += units
            if what == self.cut and done:
                raise CutOffError

        yield progress


def digests(out: Path) -> dict[str, str]:
    """Every dataset and every checkpoint that is there, by content."""
    found = {
        str(path.relative_to(out)): Dataset.open(path.parent).manifest.digest for path in out.rglob("manifest.json")
    }
    return found | {str(path.relative_to(out)): file_sha256(path) for path in out.rglob("model.safetensors")}


@pytest.fixture(scope="module")
def whole(folder: Path) -> tuple[Path, IterateReport]:
    """Two rounds, never cut off."""
    watch = Watch()
    report = iterate(config(folder), folder / "whole", stages=one_at_a_time(), show=watch)
    assert watch.ran == ALL
    return folder / "whole", report


def test_each_round_samples_from_the_policy_of_the_one_before(folder: Path, whole: tuple[Path, IterateReport]) -> None:
    out, report = whole
    rounds = [out / f"round-{number:03d}" for number in range(2)]
    for number, path in enumerate(rounds):
        names = ["rollouts", "purified", "scored"]
        chain = [Dataset.open(path / name) for name in names]
        assert [verify(path / name).findings for name in names] == [[], [], []]
        assert chain[2].manifest.lineage[0].digest == chain[0].manifest.digest
        assert chain[2].manifest.lineage[1].digest == chain[1].manifest.digest
        assert {row.source.round for row in chain[0]} == {number}
        assert json.loads((path / "run/run.json").read_text())["dataset"] == chain[2].manifest.digest
    first, second = ({row.source.revision for row in Dataset.open(path / "rollouts")} for path in rounds)
    assert first == {revision_of(str(folder / "model"))}
    assert second == {revision_of(str(rounds[0] / "run/checkpoints/step-000002"))}
    assert first != second
    seeds = {json.loads((path / "rollouts/manifest.json").read_text())["config"]["seed"] for path in rounds}
    assert len(seeds) == 2
    assert [one.updates for one in report.rounds] == [2, 2]


def test_the_report_is_that_of_the_stages(whole: tuple[Path, IterateReport]) -> None:
    out, report = whole
    assert IterateReport.model_validate_json((out / "iterate.json").read_bytes()) == report
    for number, one in enumerate(report.rounds):
        folder = out / f"round-{number:03d}"
        assert one.rollouts == measure(Dataset.open(folder / "rollouts"))
        assert one.rollouts.trajectories == 6 and one.edits == 0
        assert one.evaluation == measure(Dataset.open(folder / "evaluation/rollouts"))
    assert report.start == measure(Dataset.open(out / "start/rollouts"))
    assert report.start is not None and report.start.trajectories == 2


@pytest.mark.parametrize("cut", [what for what in ALL if what.startswith("round")])
def test_cut_off_anywhere_it_ends_as_if_it_never_was(
    folder: Path, whole: tuple[Path, IterateReport], tmp_path: Path, cut: str
) -> None:
    out = tmp_path / "out"
    _begin(whole[0], out, cut)
    watch = Watch(cut)
    with pytest.raises(CutOffError):
        iterate(config(folder), out, stages=one_at_a_time(), show=watch)
    assert watch.ran == [cut]
    again = Watch()
    assert iterate(config(folder), out, stages=one_at_a_time(), show=again) == whole[1]
    assert again.ran == ALL[ALL.index(cut) :]
    assert digests(out) == digests(whole[0])


def _begin(whole: Path, out: Path, cut: str) -> None:
    """What is there when the stage `cut` begins: a copy of all that comes before it."""
    shutil.copytree(whole, out)
    (out / "iterate.json").unlink()
    for later in ALL[ALL.index(cut) :]:
        number, stage = later.removeprefix("round ").split(": ")
        shutil.rmtree(out / f"round-{int(number):03d}" / MADE[stage])


def test_a_finished_one_only_reports_and_rounds_can_be_added(
    folder: Path, whole: tuple[Path, IterateReport], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(whole[0], out)
    watch = Watch()
    assert iterate(config(folder), out, show=watch) == whole[1]
    assert watch.ran == []
    longer = iterate(config(folder, rounds=3), out, show=watch)
    assert longer.rounds[:2] == whole[1].rounds and longer.rounds[2].round == 2
    assert {what.partition(":")[0] for what in watch.ran} == {"round 2"}


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"seed": 1}, r"seed was 0, now 1"),
        ({"clean": {"gamma": 0.4}}, r"clean\.gamma was 0\.5, now 0\.4"),
        ({"clean": False}, r"clean was on, now off"),
        ({"held_out": None}, r"held_out was 'held_out\.jsonl@\w{12}', now None"),
        ({"evaluate": {"temperature": 0.5}}, r"evaluate\.temperature was 1\.0, now 0\.5"),
    ],
)
def test_another_configuration_is_refused(
    folder: Path, whole: tuple[Path, IterateReport], other: dict[str, Any], said: str
) -> None:
    with pytest.raises(PurifyError, match=f"whole: was begun with other options \\(({said})\\); repeat those"):
        iterate(config(folder, **other), whole[0])


def test_what_training_refuses_at_its_start_can_be_mended(folder: Path, tmp_path: Path) -> None:
    """Nothing was trained, so nothing that is kept depends on its options; what was sampled does on others."""
    options = {"algorithm": "sft", "warmup": 0, "updates": 1, "batch_size": 3}
    with pytest.raises(PurifyError, match="no trajectory is left to train on"):
        iterate(config(folder, rounds=1, train={**options, "algorithm": "rft"}), tmp_path / "out")
    with pytest.raises(PurifyError, match=r"was begun with other options \(clean was on, now off\)"):
        iterate(config(folder, rounds=1, clean=False, train=options), tmp_path / "out")
    watch = Watch()
    iterate(config(folder, rounds=1, train={**options, "allow": "unresolved"}), tmp_path / "out", show=watch)
    assert watch.ran == ["round 0: train", "round 0: evaluate"]


def test_changed_tasks_and_another_model_are_refused(
    folder: Path, whole: tuple[Path, IterateReport], tmp_path: Path
) -> None:
    (tmp_path / "train.jsonl").write_text((folder / "train.jsonl").read_text() + "\n")
    with pytest.raises(PurifyError, match=r"\(tasks was 'train\.jsonl@\w{12}', now 'train\.jsonl@\w{12}'\)"):
        iterate(config(folder, tasks=str(tmp_path / "train.jsonl")), whole[0])
    other = tiny_model(tmp_path / "model", max_length=512, seed=1)
    with pytest.raises(PurifyError, match=r"\(model was 'model@\w{12}', now 'model@\w{12}'\)"):
        iterate(config(folder, model=str(other)), whole[0])


def test_the_same_files_elsewhere_are_the_same(folder: Path, whole: tuple[Path, IterateReport], tmp_path: Path) -> None:
    shutil.copytree(folder / "model", tmp_path / "model")
    for name in ("train.jsonl", "held_out.jsonl"):
        shutil.copy(folder / name, tmp_path / name)
    here = config(folder)
    generate = {**here.generate.model_dump(include=here.generate.model_fields_set - {"model"}), "max_batch": 8}
    assert iterate(config(tmp_path, generate=generate), whole[0]) == whole[1]


def test_the_first_evaluation_is_of_the_revision_that_round_0_samples(folder: Path, tmp_path: Path) -> None:
    class BegunError(Exception):
        pass

    def begun(model: str, tasks: str, options: EvaluateConfig, **_: Any) -> Evaluation:
        raise BegunError(options.rollouts(model, saar=False).revision)

    with pytest.raises(BegunError, match="v2"):
        iterate(config(folder, revision="v2"), tmp_path / "out", stages=replace(Stages.real(), evaluate=begun))


def test_less_memory_for_scoring_may_be_used_to_go_on(folder: Path, tmp_path: Path) -> None:
    claim(tmp_path / "out", config(folder))
    claim(tmp_path / "out", config(folder, score={"pack_tokens": 32}))


def test_the_raw_arm_trains_on_what_was_sampled(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    report = iterate(config(folder, clean=False, score=False, held_out=None, rounds=1), out)
    assert sorted(path.name for path in (out / "round-000").iterdir()) == ["rollouts", "run"]
    assert sorted(path.name for path in out.iterdir()) == ["iterate.json", "options.json", "round-000"]
    trained = json.loads((out / "round-000/run/run.json").read_text())
    assert trained["dataset"] == Dataset.open(out / "round-000/rollouts").manifest.digest
    assert (report.start, report.rounds[0].edits, report.rounds[0].evaluation) == (None, None, None)


def test_a_folder_of_something_else(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.txt").write_text("")
    with pytest.raises(PurifyError, match=r"holds 'mine\.txt', which is no iteration's"):
        iterate(config(folder), tmp_path / "out")
    with pytest.raises(PurifyError, match="is a file; name a directory"):
        iterate(config(folder), tmp_path / "out/mine.txt")
