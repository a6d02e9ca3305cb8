"""`purify stats`: the numbers of a dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    source: Annotated[Path, typer.Argument(help="A dataset, raw or purified.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print every number as JSON.")] = False,
    top: Annotated[int, typer.Option(min=1, help="How many error types and tools to list.")] = 10,
) -> None:
    """Count failures, edits, refusals and rewards; of a purified dataset, before and after side by side.

    Example: purify stats purified/
    """
    import orjson

    from purify.reporting import stats
    from purify_cli.writing import say, warn

    report = stats(source)
    if as_json:
        say(orjson.dumps(report.model_dump(), option=orjson.OPT_INDENT_2).decode())
        return
    from purify_cli.show_stats import show_stats
    from purify_cli.terminal import console

    show_stats(report, source, console(), top)
    for line in report.warnings:
        warn(line)
