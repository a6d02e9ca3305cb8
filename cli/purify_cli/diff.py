"""`purify diff`: what differs between two datasets."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from purify_cli.writing import say

if TYPE_CHECKING:
    from purify.reporting.diff import Diff


def command(
    a: Annotated[Path, typer.Argument(help="A dataset.")],
    b: Annotated[Path, typer.Argument(help="The dataset to compare it with.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print all of it as JSON.")] = False,
    top: Annotated[int, typer.Option(min=1, help="How many rows and edits to list of each kind.")] = 10,
) -> None:
    """Compare two datasets: options, lineage, rows, figures and edits.

    Exit code 0 if all rows are equal and in the same order, 1 if not. Options and lineage are shown, and do not count.

    Example: purify diff purified/ purified-2/
    """
    from purify.reporting.diff import diff

    found = diff(a, b)
    if as_json:
        say(found.model_dump_json(indent=2))
    else:
        _show(found, top)
    raise typer.Exit(0 if found.equal else 1)


def _show(found: Diff, top: int) -> None:
    from purify_cli.terminal import one_line

    for name, side in (("A", found.a), ("B", found.b)):
        say(f"{name}: {side.path}: {side.kind}, by {side.stage}, {side.rows:,} rows, digest {side.digest}")
    say(f"lineage: {found.relation}" + (f", digest {found.ancestor}" if found.ancestor else ""))
    for name, (one, other) in found.options.items():
        say(f"option {name}: {one_line(str(one), 80)} -> {one_line(str(other), 80)}")
    for figure in found.figures:
        if figure.a != figure.b:
            say(f"{figure.name}: {_number(figure.a)} -> {_number(figure.b)}")
    say(
        f"rows: {found.same:,} equal, {len(found.changed):,} changed, {len(found.only_a):,} only in A, "
        f"{len(found.only_b):,} only in B" + (", in another order" if found.reordered else "")
    )
    columns = Counter(name for names in found.changed.values() for name in names)
    if columns:
        say("changed columns: " + ", ".join(f"{name} {count:,}" for name, count in columns.most_common()))
    _some("only in A", found.only_a, top)
    _some("only in B", found.only_b, top)
    _some("changed", [f"{row}: {', '.join(names)}" for row, names in found.changed.items()], top)
    kinds = Counter(edit.change for edit in found.edits)
    if kinds:
        say("edits: " + ", ".join(f"{name} {count:,}" for name, count in kinds.most_common()))
    lines = [
        f"{one.trajectory_id} steps {one.raw_steps}: {one.a or 'none'} -> {one.b or 'none'}" for one in found.edits
    ]
    _some("edit", lines, top)


def _some(what: str, lines: list[str], top: int) -> None:
    from purify_cli.terminal import one_line

    for line in lines[:top]:
        say(f"  {what}: {one_line(line, 200)}")
    if len(lines) > top:
        say(f"  and {len(lines) - top:,} more (--top, --json)")


def _number(value: float | None) -> str:
    if value is None:
        return "none"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
