"""`purify export`: a dataset in another tool's format."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from purify.exporting.config import ExportConfig
from purify_cli.options import configured
from purify_cli.writing import Overwrite, Workers, progress_bar, say, warn


@configured(ExportConfig)
def command(
    source: Annotated[Path, typer.Argument(help="A dataset, raw or purified.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Directory to write.")],
    config: ExportConfig,
    workers: Workers = 1,
    overwrite: Overwrite = False,
) -> None:
    """Write a dataset in the format of another tool, and say what that format cannot hold.

    Example: purify export purified/ -o chat/ --to messages
    """
    from purify.exporting import export

    with progress_bar("export", go_on="run the same command again") as progress:
        report = export(source, out, config, overwrite=overwrite, workers=workers, progress=progress)
    say(f"{out}: {report.records:,} records in {len(report.files):,} file(s) from {report.rows:,} trajectories")
    for name, count in report.lost.items():
        say(f"not kept for {count:,} trajectories: {report.losses[name]}")
    for reason, count in report.skipped.items():
        say(f"no record for {count:,} trajectories: {reason}")
    if not report.records:
        warn("nothing was written: the dataset has no rows")
