"""`purify iterate`: generate, clean, score and train in rounds; each round samples from the policy of the last.

    purify iterate config.yaml -o runs/

    runs/options.json     what is iterated; another configuration is refused
         round-000/       rollouts/ purified/ scored/ run/ evaluation/, each what its own command would write;
                          tasks.json where a round has tasks of its own
         start/           the evaluation of the policy that round 0 begins with
         iterate.json     a row a round

A stage that is complete is not run again and one that was cut off goes on, so that the same command ends what it began.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import orjson

from purify.datasets import Dataset, Progress, WriteMode
from purify.datasets.sink import write_atomically
from purify.evaluating import Evaluation, Metrics, measure
from purify.evaluating.stage import REPORT as EVALUATION
from purify.evaluating.stage import next_mode
from purify.iterating.config import IterateConfig
from purify.iterating.folder import REPORT, claim
from purify.iterating.report import IterateReport, RoundReport
from purify.iterating.tasks import round_tasks
from purify.training.config import TrainConfig

Show = Callable[[str], AbstractContextManager[Progress | None]]
"""Given what is being done ("round 2: train"), shows how far it is."""


class MakesData(Protocol):
    """`clean` and `score`; of `generate`, the source is the task file."""

    def __call__(
        self, source: str | Path, out: str | Path, config: Any, /, *, mode: WriteMode, progress: Progress | None
    ) -> Dataset: ...


@dataclass(frozen=True)
class Stages:
    """The five stages, as their own commands call them."""

    generate: MakesData
    clean: MakesData
    score: MakesData
    train: Callable[..., object]
    evaluate: Callable[..., Evaluation]

    @classmethod
    def real(cls) -> Stages:
        """Those of this library."""
        from purify.cleaning import clean
        from purify.evaluating import evaluate
        from purify.generating import generate
        from purify.scoring import score
        from purify.training import train

        return cls(generate, clean, score, train, evaluate)


@contextmanager
def _unseen(_: str) -> Iterator[None]:
    yield None


def iterate(
    config: IterateConfig, out: str | Path, *, stages: Stages | None = None, show: Show = _unseen
) -> IterateReport:
    """Run all rounds that `out` lacks, or the rest of the one that was cut off.

    Raises `PurifyError` if `out` belongs to another configuration, and for everything that the stages refuse.
    """
    out = Path(out)
    claim(out, config)
    rounds = _Rounds(config, out, stages or Stages.real(), show)
    report = IterateReport(
        start=rounds.evaluated("start", config.model, out / "start", revision=config.revision), rounds=[]
    )
    model = config.model
    for number in range(config.rounds):
        one, model = rounds.run(number, model)
        report = report.model_copy(update={"rounds": [*report.rounds, one]})
        write_atomically(out / REPORT, report.model_dump_json(indent=2).encode() + b"\n")
    return report


@dataclass(frozen=True)
class _Rounds:
    config: IterateConfig
    out: Path
    stages: Stages
    show: Show

    def run(self, number: int, model: str) -> tuple[RoundReport, str]:
        """One round from the policy `model`: its row, and the policy it ends with."""
        config, stages, folder = self.config, self.stages, self.out / f"round-{number:03d}"
        told = {"revision": config.revision if number == 0 else None, "model": model}
        sampling = {**told, "round": number, "seed": config.seed_of("generate", number)}

        tasks = round_tasks(config, number, folder)
        rollouts = data = self._dataset(
            f"round {number}: generate", stages.generate, tasks, folder / "rollouts", config.generate, sampling
        )
        if config.clean is not None:
            seed = {"seed": config.seed_of("clean", number)}
            data = self._dataset(
                f"round {number}: clean", stages.clean, data.path, folder / "purified", config.clean, seed
            )
        edited = data
        if config.score is not None:
            data = self._dataset(
                f"round {number}: score", stages.score, data.path, folder / "scored", config.score, told
            )
        training = config.train.model_copy(update={**told, "seed": config.seed_of("train", number)})
        trained = self._trained(f"round {number}: train", data, folder / "run", training)
        report = RoundReport(
            round=number,
            rollouts=measure(rollouts),
            edits=_edits(edited) if edited.purified else None,
            updates=trained.updates,
            evaluation=self.evaluated(f"round {number}", trained.checkpoint, folder / "evaluation"),
        )
        return report, trained.checkpoint

    def evaluated(self, what: str, model: str, out: Path, *, revision: str | None = None) -> Metrics | None:
        """The figures of a policy on the held-out tasks; None where there are none. Evaluating resumes by itself."""
        if self.config.held_out is None:
            return None
        if (out / EVALUATION).is_file():
            return Evaluation.model_validate_json((out / EVALUATION).read_bytes()).rollouts
        # One seed for all rounds: they differ by their policies alone.
        told = {"seed": self.config.seed_of("evaluate"), "revision": revision}
        config = self.config.evaluate.model_copy(update=told)
        with self.show(f"{what}: evaluate") as progress:
            return self.stages.evaluate(model, self.config.held_out, config, out=out, progress=progress).rollouts

    def _dataset(
        self, what: str, stage: MakesData, source: str | Path, out: Path, config: Any, told: Mapping[str, object]
    ) -> Dataset:
        mode = next_mode(out)
        if mode is None:
            return Dataset.open(out)
        with self.show(what) as progress:
            return stage(source, out, config.model_copy(update=told), mode=mode, progress=progress)

    def _trained(self, what: str, data: Dataset, run: Path, config: TrainConfig) -> _Trained:
        from purify.training.checkpoints import latest

        if not (run / "report.json").is_file():
            with self.show(what) as progress:
                told = _updates(progress) if progress else None
                self.stages.train(data.path, run, config, resume=latest(run) is not None, progress=told)
        report = orjson.loads((run / "report.json").read_bytes())
        return _Trained(report["updates"], str(run / report["checkpoint"]))


class _Trained(NamedTuple):
    updates: int
    checkpoint: str


def _updates(progress: Progress) -> Callable[[int, int, Mapping[str, float | None]], None]:
    """What `train` tells of an update, as units of a stage."""
    seen = 0

    def told(step: int, total: int, _: Mapping[str, float | None]) -> None:
        nonlocal seen
        progress(total=total, units=step - seen)
        seen = step

    return told


def _edits(dataset: Dataset) -> int:
    return sum(dataset.manifest.counts.get(f"edits_{kind}", 0) for kind in ("shallow", "deep"))
