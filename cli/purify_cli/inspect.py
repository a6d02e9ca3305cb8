"""`purify inspect`: trajectories before and after purifying, and why.

On a terminal it opens the browser (`browser/app.py`); else, or where the options are about printing, it prints.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, get_args

import typer

from purify_cli.options import build
from purify_schemas.provenance import EditReason

_PAGE = 5


def command(
    source: Annotated[Path, typer.Argument(help="A dataset, raw or purified.")],
    edited: Annotated[bool, typer.Option("--edited", help="Only trajectories with an accepted edit.")] = False,
    refused: Annotated[bool, typer.Option("--refused", help="Only those with a refused edit.")] = False,
    granularity: Annotated[
        str | None, typer.Option(metavar="shallow|deep", help="Only with an accepted edit of this kind.")
    ] = None,
    reason: Annotated[
        str | None,
        typer.Option(metavar="|".join(get_args(EditReason)), help="Only with an edit refused for this reason."),
    ] = None,
    error_type: Annotated[str | None, typer.Option(help="Only with a failed call of this error type.")] = None,
    tool: Annotated[
        str | None, typer.Option(help="Only with a call of this tool; the same call as --error-type.")
    ] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only with a failed call left; the same call, too.")] = False,
    id: Annotated[str | None, typer.Option(metavar="PREFIX", help="Only where trajectory_id starts so.")] = None,
    row: Annotated[int | None, typer.Option(min=0, help="Only this row, from 0.")] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Trajectories a page.", show_default=f"{_PAGE}; all with --json")
    ] = None,
    page: Annotated[int | None, typer.Option(min=1, help="Which page.", show_default="1")] = None,
    full: Annotated[bool, typer.Option("--full", help="Shorten nothing; show untouched steps, too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the matching rows as JSON lines.")] = False,
    printed: Annotated[bool, typer.Option("--print", help="Print, on a terminal too.")] = False,
) -> None:
    """Show trajectories; of purified ones, each edit with what stood there before, and why.

    On a terminal, opens a browser with the matching ones. Piped, or with --print, --limit, --page, --full or --json,
    prints them.

    Example: purify inspect purified/ --edited --error-type NameError
    """
    from purify.reporting.browse import browse
    from purify.reporting.filters import Filter
    from purify_cli.terminal import console, plain
    from purify_cli.writing import say

    given = {"granularity": granularity, "reason": reason, "error_type": error_type, "tool": tool, "id": id, "row": row}
    flags = {"edited": edited or None, "refused": refused or None, "failed": failed or None}
    wanted = build(Filter, None, given | flags)
    # Textual draws on standard error.
    on_terminal = all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr))
    if on_terminal and not (printed or limit or page or full or as_json):
        from purify.datasets import Dataset
        from purify_cli.browser.app import open_browser

        open_browser(Dataset.open(source), wanted)
        return
    page = page or 1
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
