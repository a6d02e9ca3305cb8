"""`purify verify`: is a dataset whole and what it says it is?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    source: Annotated[Path, typer.Argument(help="A dataset.")],
    parent: Annotated[Path | None, typer.Option(help="The dataset it was made from, to check the lineage.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Recompute every digest and count, check every row, and check the lineage. Exit code 1 if anything is wrong.

    Example: purify verify purified/ --parent rollouts/
    """
    import orjson

    from purify.datasets.verify import verify
    from purify_cli.writing import say

    report = verify(source, parent)
    if as_json:
        say(orjson.dumps(report.model_dump(), option=orjson.OPT_INDENT_2).decode())
    else:
        for finding in report.findings:
            say(finding)
        say(
            f"{source}: {report.rows:,} rows in {report.shards} shard(s), "
            + (f"{len(report.findings)} finding(s)" if report.findings else "all digests, counts and rows are right")
        )
    raise typer.Exit(1 if report.findings else 0)
