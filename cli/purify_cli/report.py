"""`purify report`: a dataset as one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_LIMIT = 10_000
_LARGE = 60 * 2**20
"""Bytes of a page from which a browser takes long to open it, and much memory."""


def command(
    source: Annotated[Path, typer.Argument(help="A dataset, raw or purified.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The HTML file to write.")] = Path("report.html"),
    limit: Annotated[
        int, typer.Option(min=1, help="Trajectories to list; of more, edited ones first. The numbers count all.")
    ] = _LIMIT,
    title: Annotated[str | None, typer.Option(help="Heading of the page; by default the dataset's name.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file at --out.")] = False,
) -> None:
    """Write one HTML file that needs no network: the numbers, and a browser of the trajectories before and after.

    Example: purify report purified/ -o report.html
    """
    from purify.reporting.page import write_page
    from purify_cli.writing import say, warn

    written = write_page(source, out, title=title, limit=limit, overwrite=overwrite)
    say(written.path.resolve().as_uri())
    size = f"{written.bytes / 2**20:,.1f} MB"
    say(f"{written.rows:,} trajectories counted, {written.shown:,} listed, {size}")
    if written.shown < written.rows:
        say(f"{written.rows - written.shown:,} trajectories are not listed (--limit {limit}): edited ones come first")
    if written.texts_shortened:
        say(f"{written.texts_shortened:,} long texts are shortened; each says by how much")
    if written.bytes > _LARGE:
        warn(f"{size} are slow to open in a browser: list fewer trajectories with --limit")
