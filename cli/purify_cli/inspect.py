"""`purify inspect`: trajectories before and after purifying, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from purify_cli.options import build

_PAGE = 5


def command(
    source: Annotated[Path, typer.Argument(help="A dataset, raw or purified.")],
    edited: Annotated[bool, typer.Option("--edited", help="Only trajectories with an accepted edit.")] = False,
    refused: Annotated[bool, typer.Option("--refused", help="Only those with a refused edit.")] = False,
    granularity: Annotated[str | None, typer.Option(metavar="shallow|deep", help="Only with such an edit.")] = None,
    reason: Annotated[
        str | None,
        typer.Option(
            metavar="unresolved|not_a_correction|parallel_partial|boundary|gate",
            help="Only with an edit refused for this reason.",
        ),
    ] = None,
    error_type: Annotated[str | None, typer.Option(help="Only with a failed call of this error type.")] = None,
    tool: Annotated[
        str | None, typer.Option(help="Only with a call of this tool; the same call as --error-type.")
    ] = None,
    id: Annotated[str | None, typer.Option(metavar="PREFIX", help="Only where trajectory_id starts so.")] = None,
    row: Annotated[int | None, typer.Option(min=0, help="Only this row, from 0.")] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Trajectories a page.", show_default=f"{_PAGE}; all with --json")
    ] = None,
    page: Annotated[int, typer.Option(min=1, help="Which page.")] = 1,
    full: Annotated[bool, typer.Option("--full", help="Shorten nothing; show untouched steps, too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the matching rows as JSON lines.")] = False,
) -> None:
    """Show trajectories; of purified ones, each edit with what stood there before, and why.

    Example: purify inspect purified/ --edited --error-type NameError
    """
    from purify.reporting.browse import browse
    from purify.reporting.filters import Filter
    from purify_cli.terminal import console, plain
    from purify_cli.writing import say

    given = {"granularity": granularity, "reason": reason, "error_type": error_type, "tool": tool, "id": id, "row": row}
    wanted = build(Filter, None, given | {"edited": edited or None, "refused": refused or None})
    found = browse(source, wanted, page=page, limit=limit or (None if as_json else _PAGE))
    if found.nothing:
        typer.echo(plain(f"{source}: {found.nothing}"), err=as_json)
    elif as_json:
        for _, trajectory in found.rows:
            say(trajectory.model_dump_json())
    else:
        from purify_cli.show_trajectory import show_trajectory

        screen = console()
        for number, trajectory in found.rows:
            show_trajectory(number, trajectory, screen, full=full)
        more = f"; --page {page + 1} shows more" if found.last < found.matching else ""
        say(f"{found.first + 1:,} to {found.last:,} of {found.matching:,} matching trajectories{more}")
