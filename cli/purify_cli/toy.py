"""`purify toy`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from purify.toy.config import ToyConfig
from purify_cli.options import configured
from purify_cli.writing import rich_bar, say

if TYPE_CHECKING:
    from purify.toy.training import Progress

Out = Annotated[Path, typer.Option("--out", "-o", help="Folder to write: model/, train.jsonl, held_out.jsonl.")]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace the toy folder at --out once the new one is done.")
]


@configured(ToyConfig)
def command(out: Out, config: ToyConfig, overwrite: Overwrite = False) -> None:
    """Train a tiny policy that really fails and really corrects itself, with tasks for it. For trying things out.

    Example: purify toy -o toy/ && purify generate toy/train.jsonl -o rollouts/ --model toy/model
    """
    from purify.toy import make_toy

    with progress_line(config.steps) as progress:
        report = make_toy(out, config, progress, overwrite=overwrite)
    say(
        f"{out}: model/ ({report.parameters:,} parameters), train.jsonl ({report.train_tasks:,} tasks), "
        f"held_out.jsonl ({report.held_out_tasks:,} tasks)"
    )
    say(
        f"design {config.design}, {config.steps:,} updates on {report.demonstrations:,} demonstrations; "
        f"loss {report.first_loss:.3f} -> {report.last_loss:.3f} nats a token"
    )


@contextmanager
def progress_line(steps: int) -> Iterator[Progress]:
    """A bar over updates with the loss, on standard error; silent where that is no terminal."""
    with rich_bar("toy", "updates  loss {task.fields[loss]:.3f}") as bar:
        task = bar.add_task("toy", total=steps, loss=float("nan"))
        yield lambda step, loss: bar.update(task, completed=step, loss=loss)
