"""`purify train`: GRPO and offline RL from a stored dataset."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from purify.errors import PurifyError
from purify.training.config import TrainConfig
from purify_cli.options import configured
from purify_cli.writing import rich_bar, say

if TYPE_CHECKING:
    from purify.training.stage import Progress, TrainReport

Out = Annotated[Path, typer.Option("--out", "-o", help="Folder of the run: metrics and checkpoints.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the run at --out.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint of an unfinished run.")]


@configured(TrainConfig)
def command(
    source: Annotated[Path, typer.Argument(help="A scored dataset (sft and rft take any with token ids).")],
    out: Out,
    config: TrainConfig,
    overwrite: Overwrite = False,
    resume: Resume = False,
) -> None:
    """Train a policy on stored trajectories: GRPO and its kin, offline RL, RFT, DPO on what edits replaced.

    Example: purify train scored/ -o run/ --model checkpoint/ --algorithm grpo
    """
    if overwrite and resume:
        raise PurifyError("--overwrite starts again and --resume goes on; choose one")
    from purify.training import train

    with progress_line() as progress:
        report = train(source, out, config, resume=resume, overwrite=overwrite, progress=progress)
    if os.environ.get("RANK", "0") == "0":
        _print(out, report)


def _print(out: Path, report: TrainReport) -> None:
    counts, last = report.counts, report.last
    left = {name: n for name, n in counts.items() if n and name not in ("trajectories", "groups", "pairs")}
    say(f"{out}: {report.updates:,} updates, last checkpoint {out / report.checkpoint}")
    say(
        f"{counts.get('trajectories', 0):,} trajectories in {counts.get('groups', 0):,} groups"
        + (f", {counts['pairs']:,} pairs" if "pairs" in counts else "")
        + (
            f"; left out: {', '.join(f'{name.replace(chr(95), chr(32))} {n:,}' for name, n in left.items())}"
            if left
            else ""
        )
    )
    if report.config.warmup > report.updates:
        say(f"the warm-up was not over: it takes {report.config.warmup:,} updates (--warmup)")
    shown = ("loss", "reward_mean", "approx_kl", "entropy", "grad_norm", "tokens_per_s", "mfu")
    told = (f"{name.replace('_', ' ')} {value:,.4g}" for name in shown if (value := last.get(name)) is not None)
    say(f"last update: {', '.join(told)}; all of them: {out / 'metrics.jsonl'}, tensorboard --logdir {out}")


@contextmanager
def progress_line() -> Iterator[Progress]:
    """A bar over updates with the time left, on standard error; silent where that is no terminal."""
    text = "updates  loss {task.fields[loss]:.4g}  {task.fields[rate]:,.0f} tokens/s"
    with rich_bar("train", text) as bar:
        task = bar.add_task("train", total=None, loss=float("nan"), rate=0.0)

        def advance(step: int, total: int, values: Mapping[str, float | None]) -> None:
            bar.update(
                task,
                total=total,
                completed=step,
                loss=values.get("loss") or 0.0,
                rate=values.get("tokens_per_s") or 0.0,
            )

        try:
            yield advance
        except KeyboardInterrupt:
            typer.echo("purify: interrupted; the last checkpoint is kept, add --resume to go on", err=True)
            raise
