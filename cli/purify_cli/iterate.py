"""`purify iterate`: rounds of generate, clean, score and train."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from purify_cli.writing import GO_ON, progress_bar, say

if TYPE_CHECKING:
    from purify.datasets import Progress
    from purify.evaluating import Estimate, Metrics
    from purify.iterating import IterateReport


def command(
    config_file: Annotated[Path, typer.Argument(metavar="CONFIG", help="YAML file with the options of every stage.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder of all rounds (default: the file's name without .yaml).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print every number as JSON.")] = False,
) -> None:
    """Generate, clean, score and train in rounds, each sampling from the policy of the one before.

    CONFIG names model, tasks, rounds and, if wanted, held_out (tasks to evaluate on), seed and revision. Under
    generate, clean, score, train and evaluate stand options of those commands. clean: false trains on what was sampled.

    What each stage writes stays: OUT/round-000/rollouts, purified, scored, run, evaluation. The same command goes on
    where it was cut off, and adds rounds where CONFIG asks for more.

    Example: purify iterate config.yaml -o runs/
    """
    from purify.iterating import iterate, read_config

    report = iterate(read_config(config_file), out or Path(config_file.stem), show=_shown)
    if as_json:
        say(report.model_dump_json(indent=2))
    else:
        show(report)


@contextmanager
def _shown(what: str) -> Iterator[Progress]:
    """A line for each stage, and its progress bar."""
    typer.echo(what, err=True)
    with progress_bar(what, units="done", go_on=GO_ON) as progress:
        yield progress


def show(report: IterateReport) -> None:
    """A row a round: what was sampled and trained, and the held-out figures after it."""
    from rich.table import Table

    from purify_cli.terminal import console

    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    names = ["round", "mean\nreward", "failed\ncalls", "edits", "updates", "tokens"]
    if report.start is not None:
        names += ["held-out\npass@1", "failed\ncalls", "correct,\nno failed", "recovery"]
    for name in names:
        table.add_column(name, justify="right", vertical="bottom", min_width=max(map(len, name.split("\n"))))
    if report.start is not None:
        table.add_row("start", *[""] * 5, *_held_out(report.start))
    for one in report.rounds:
        tokens = one.rollouts.tokens
        table.add_row(
            str(one.round),
            _cell(one.rollouts.reward, ".3f"),
            _cell(one.rollouts.tool_error_rate, ".1%"),
            "–" if one.edits is None else f"{one.edits:,}",
            f"{one.updates:,}",
            "–" if tokens.value is None else _short(tokens.value * tokens.of),
            *(_held_out(one.evaluation) if one.evaluation else ()),
        )
    screen = console()
    screen.print(table)
    screen.print("Left: what the round sampled and trained on. Right: the policy after it.", style="dim")


def _held_out(metrics: Metrics) -> list[str]:
    figures = (metrics.pass_at[1], metrics.tool_error_rate, metrics.correct_without_failed_call, metrics.recovery_rate)
    return [_cell(figure, ".1%") for figure in figures]


def _cell(estimate: Estimate, form: str) -> str:
    return "–" if estimate.value is None else format(estimate.value, form)


def _short(count: float) -> str:
    """12.3k, 4.6M: a column has room for six characters."""
    for unit in ("", "k", "M", "G"):
        if count < 999.5:
            return f"{count:.3g}{unit}"
        count /= 1000
    return f"{count:,.3g}T"
