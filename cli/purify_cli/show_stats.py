"""Draw the numbers of a dataset in the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from purify.reporting.figures import CallStats, EditStats, Stats
from purify.reporting.remarks import verdict
from purify_cli.terminal import one_line

_BAR = 26


def show_stats(report: Stats, source: Path, console: Console, top: int) -> None:
    """Everything but the warnings. `top` is how many error types and tools are listed."""
    shared = f"{report.groups_shared:,} with more than one"
    title = f"{source}: {report.rows:,} trajectories ({report.kind}) in {report.groups:,} groups ({shared})"
    views = [report.before] + ([report.after] if report.after else [])
    console.print(title, style="bold", soft_wrap=True)
    console.print(_calls(views, report.rows))
    for name, counts in (("failed calls by error type", _errors(views)), ("failed calls by tool", _tools(views))):
        if counts:
            console.print()
            console.print(_breakdown(name, counts, views, top))
    if report.edits:
        console.print()
        _show_edits(report.edits, report, console)
    console.print()
    _show_advantage(report, console)


def _table(title: str, views: list[CallStats]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=bool(title) or len(views) > 1)
    # Only the names may wrap: a cropped number would read as another number.
    table.add_column(title, min_width=10, header_style="bold", overflow="fold")
    for name in ("before", "after") if len(views) > 1 else ("",):
        table.add_column(name, justify="right", min_width=18, no_wrap=True, overflow="ignore")
    return table


def _calls(views: list[CallStats], rows: int) -> Table:
    table = _table("", views)
    table.add_row("steps (assistant turns)", *(f"{view.steps:,}" for view in views))
    table.add_row("calls", *(f"{view.calls:,}" for view in views))
    for status in views[0].by_status:
        counts = (view.by_status.get(status, 0) for view in views)
        table.add_row(f"  {status}", *(f"{count:,}" for count in counts))
    failed = [_share(view.failed, view.calls) for view in views]
    table.add_row("failed calls", *failed, style="red" if views[0].failed else "")
    table.add_row("trajectories with a failed call", *(_share(view.trajectories_with_failure, rows) for view in views))
    return table


def _errors(views: list[CallStats]) -> dict[str, list[str]]:
    return {name: [f"{view.by_error_type.get(name, 0):,}" for view in views] for name in views[0].by_error_type}


def _tools(views: list[CallStats]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, tool in views[0].by_tool.items():
        stored = [view.by_tool.get(name) for view in views]
        found[name] = [f"{tool.failed:,} of {tool.calls:,}" if tool else "0 of 0" for tool in stored]
    return found


def _breakdown(title: str, counts: Mapping[str, list[str]], views: list[CallStats], top: int) -> Table:
    table = _table(title, views)
    for name in list(counts)[:top]:
        table.add_row(Text("  " + one_line(name, 32)), *counts[name])
    if len(counts) > top:
        table.add_row(f"  … {len(counts) - top:,} more (--top, --json)", style="dim")
    return table


def _show_edits(edits: EditStats, report: Stats, console: Console) -> None:
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(min_width=34, no_wrap=True)
    table.add_column(overflow="fold")
    made = sum(edits.accepted.values())
    kinds = _listed(edits.accepted.items())
    table.add_row(Text("edits made", style="bold"), f"{made:,} in {edits.rows_edited:,} trajectories: {kinds}")
    refused = _listed(edits.refused.items())
    table.add_row("edits refused", f"{sum(edits.refused.values()):,}" + (f": {refused}" if refused else ""))
    for gate, verdicts in edits.gates.items():
        table.add_row(f"{one_line(gate, 24)} gate", _listed(verdicts.items()))
    table.add_row("trajectories left raw on purpose", _share(edits.rows_mixed_in, report.rows))
    table.add_row("steps removed", _share(edits.turns_removed, report.before.steps))
    ids = "" if edits.tokens_removed is None else f"{edits.tokens_removed:,} token ids, "
    table.add_row("text removed", f"{ids}{edits.characters_removed:,} characters")
    console.print(table)
    if sum(edits.similarity) + edits.not_comparable:
        console.print()
        _show_similarity(edits, console)


def _show_similarity(edits: EditStats, console: Console) -> None:
    """A histogram; gamma divides deep from shallow, and is marked in the bin it falls in."""
    console.print("similarity of failed and corrected call", style="bold")
    most = max(edits.similarity) or 1
    for index, count in enumerate(edits.similarity):
        low, high = index / 10, (index + 1) / 10
        marks = [gamma for gamma in edits.thresholds if low <= gamma < high or gamma == high == 1]
        shallow = bool(edits.thresholds) and low >= min(edits.thresholds)
        bar = Text("█" * max(round(_BAR * count / most), 1 if count else 0), style="green" if shallow else "yellow")
        mark = "".join(f"  ◀ gamma {gamma:g}: shallow from here" for gamma in marks)
        console.print(Text.assemble(f"  {low:.1f}–{high:.1f}  ", f"{count:>7,}  ", bar, (mark, "bold")))
    if edits.not_comparable:
        console.print(f"  none     {edits.not_comparable:>7,}  (a call could not be parsed: deep)")


def _show_advantage(report: Stats, console: Console) -> None:
    mean = "" if report.reward_mean is None else f", mean {report.reward_mean:.4g}"
    console.print(Text.assemble(("rewards", "bold"), f"  {_share(report.rewarded, report.rows)} have one{mean}"))
    advantage = report.advantage
    if advantage.missing:
        console.print(f"mean advantage: not computed, {advantage.missing}")
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("mean advantage of trajectories", min_width=34, no_wrap=True, header_style="bold")
    for name in ("count", "mean", "std. error"):
        table.add_column(name, justify="right")
    for entry in advantage.means:
        mean, error = (
            "–" if value is None else f"{value:{form}}"
            for value, form in ((entry.mean, "+z.3f"), (entry.standard_error, ".3f"))
        )
        table.add_row(f"  {entry.of}", f"{entry.trajectories:,}", mean, error)
    console.print(table)
    shared = f"over the {advantage.trajectories:,} trajectories with a reward in groups of two or more"
    console.print(Text(f"  {shared}", style="dim"))
    console.print(verdict(advantage), style="dim")


def _share(count: int, total: int) -> str:
    return f"{count:,} of {total:,}" + (f" ({count / total:.1%})" if total else "")


def _listed(counts: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{count:,} {one_line(name, 32)}" for name, count in counts)
