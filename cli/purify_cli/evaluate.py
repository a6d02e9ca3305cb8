"""`purify evaluate`: how good a policy is, with confidence intervals."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from purify.evaluating.config import EvaluateConfig
from purify_cli.options import configured
from purify_cli.writing import GO_ON, progress_bar, say, warn

if TYPE_CHECKING:
    from rich.table import Table

    from purify.evaluating import Estimate, Evaluation, Metrics


@configured(EvaluateConfig)
def command(
    policy: Annotated[
        str,
        typer.Argument(
            metavar="RUN_OR_MODEL",
            help="A run of `purify train` (its newest checkpoint), or a model: a folder or a Hugging Face name.",
        ),
    ],
    tasks: Annotated[Path, typer.Argument(help="Held-out tasks: a .jsonl, .json or .parquet file.")],
    config: EvaluateConfig,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Where rollouts and report go (default: RUN/evaluations/TASKS-DIGEST)."),
    ] = None,
    concurrency: Annotated[
        int, typer.Option("--concurrency", "-j", min=1, help="Sequences that the engine decodes at once.")
    ] = 64,
    as_json: Annotated[bool, typer.Option("--json", help="Print every number as JSON.")] = False,
) -> None:
    """Sample a policy on held-out tasks and report accuracy, tool errors and recovery, with 95 % confidence intervals.

    SAAR is off: this is what the policy does by itself. --saar samples a second time with it on and reports both.
    The rollouts are kept; run again, a finished evaluation is only reported, and one that was cut off goes on.

    Correct is a reward above 0. pass@k: one of k tries is correct. Tool-error rate: failed calls of all calls. Recovery
    rate: correct, of the trajectories with a failed call. Intervals come from drawing the tasks again.

    Example: purify evaluate run/ held_out.jsonl --k 8
    """
    from purify.evaluating import evaluate

    with progress_bar("evaluate", units="trajectories", rows="tokens", go_on=GO_ON) as progress:
        evaluation = evaluate(policy, tasks, config, out=out, concurrency=concurrency, progress=progress)
    if as_json:
        say(evaluation.model_dump_json(indent=2))
        return
    show(evaluation)


def show(evaluation: Evaluation) -> None:
    """The figures as a table, SAAR on beside SAAR off, then what to know of them."""
    from purify_cli.terminal import console

    screen = console()
    arms = [evaluation.rollouts] + ([evaluation.saar] if evaluation.saar else [])
    screen.print(f"{evaluation.model} on {evaluation.tasks}", style="bold", soft_wrap=True)
    for name, arm in zip(("SAAR off", "SAAR on"), arms, strict=False):
        screen.print(f"{name}: {_size(arm)}", soft_wrap=True)
    screen.print()
    screen.print(_table(arms))
    for note in _notes(arms):
        screen.print(note, style="dim", soft_wrap=True)
    _warn(evaluation)


def _table(arms: list[Metrics]) -> Table:
    """One arm with what each figure is counted over, or two side by side in 80 columns."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("", overflow="fold")
    names = ("SAAR off", "SAAR on") if len(arms) > 1 else ("",)
    for name in names:
        # Wide enough for every number: a cropped one would read as another.
        table.add_column(name, justify="right", min_width=8)
        table.add_column("95% interval", justify="right", min_width=14, style="dim")
    if len(arms) == 1:
        table.add_column("of", overflow="fold", style="dim")
    for label, form, unit, estimates in _rows(arms):
        of = [f"{estimates[0].of:,} {unit}"] if len(arms) == 1 else []
        table.add_row(label, *(cell for each in estimates for cell in _cells(each, form)), *of)
    return table


def _rows(arms: list[Metrics]) -> Iterator[tuple[str, str, str, list[Estimate]]]:
    """Label, format, what it is counted over, and one estimate an arm, for every line of the table."""
    for k in arms[0].pass_at:
        yield f"pass@{k}", ".1%", "tasks", [arm.pass_at[k] for arm in arms]
    for label, form, unit, name in _LINES:
        if name != "tool_error_rate_as_sampled" or any(arm.removed_calls for arm in arms):
            yield label, form, unit, [getattr(arm, name) for arm in arms]


_LINES = (
    ("tool-error rate", ".1%", "calls", "tool_error_rate"),
    ("  as sampled", ".1%", "calls", "tool_error_rate_as_sampled"),
    ("first call failed", ".1%", "with a call", "first_call_failures"),
    ("correct, no failed call", ".1%", "trajectories", "correct_without_failed_call"),
    ("recovery rate", ".1%", "with a failed call", "recovery_rate"),
    ("mean reward", ".3f", "trajectories", "reward"),
    ("mean turns", ".2f", "trajectories", "turns"),
    ("mean tokens written", ",.0f", "trajectories", "tokens"),
)


def _cells(estimate: Estimate, form: str) -> tuple[str, str]:
    value, low, high = ("–" if n is None else format(n, form) for n in (estimate.value, estimate.low, estimate.high))
    return value, "–" if estimate.low is None else f"{low.rstrip('%')} – {high}"


def _notes(arms: list[Metrics]) -> list[str]:
    """Why numbers are missing, each reason once."""
    found: dict[str, list[str]] = {}
    for label, _, _, estimates in _rows(arms):
        for estimate in estimates:
            if estimate.note is not None and label not in found.setdefault(estimate.note, []):
                found[estimate.note].append(label)
    return [f"{', '.join(map(str.strip, labels))}: {note}" for note, labels in found.items()]


def _warn(evaluation: Evaluation) -> None:
    metrics = evaluation.rollouts
    if not metrics.rewarded:
        warn("no trajectory has a reward: no task names an answer and a verifier (see --verifier)")
    elif missing := metrics.trajectories - metrics.rewarded:
        warn(f"{missing:,} trajectories have no reward and are left out of every figure that asks for one")
    if evaluation.rejected:
        warn(f"{evaluation.rejected:,} task(s) could not be used; they are in rollouts/rejected/ with the reason")


def _size(metrics: Metrics) -> str:
    return (
        f"{metrics.tasks:,} tasks, {metrics.trajectories:,} trajectories, {metrics.calls:,} calls "
        f"({metrics.failed_calls:,} failed)"
    )
