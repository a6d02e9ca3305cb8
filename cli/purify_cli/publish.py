"""`purify publish`: a checked, described copy of a dataset, and its upload to the hub."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from purify.publishing.config import PublishConfig
from purify_cli.options import configured
from purify_cli.writing import progress_bar, say, summary, warn

if TYPE_CHECKING:
    from purify.publishing import Published
    from purify.publishing.report import Benchmark


@configured(PublishConfig)
def command(
    source: Annotated[Path, typer.Argument(help="A dataset, raw or purified.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the published copy.")],
    config: PublishConfig,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the published copy at --out.")] = False,
) -> None:
    """Write a publishable copy of a dataset, and upload it to --repo if there is nothing in it that must not be seen.

    The copy has a dataset card, croissant.json, checksums, and audit.json: what was found of secrets, personal data,
    benchmark questions and near-duplicates. Rejected records and the run log are not in it.

    Exit code 1 if secrets or personal data were found that --allow-findings does not name: then nothing is uploaded.
    The same command goes on where an upload was cut off.

    Example: purify publish purified/ -o published/ --license apache-2.0 --repo USER/NAME
    """
    from purify.publishing import publish

    with progress_bar("publish", units="rows", go_on="run the same command again") as progress:
        made = publish(source, out, config, overwrite=overwrite, progress=progress)
    _show(made, config)
    raise typer.Exit(1 if made.blocking else 0)


def _show(made: Published, config: PublishConfig) -> None:
    out = made.dataset.path
    say(summary(made.dataset) + (", as it was made before" if made.reused else ""))
    for line in made.warnings:
        warn(line)
    audit = made.audit
    if audit.contamination is not None:
        kept = f" and kept in {made.aside}" if made.aside else ""
        left_out = f", left out{kept}" if audit.dropped else ""
        say(f"benchmark questions in {len(audit.contaminated):,} row(s){left_out}")
        for benchmark in audit.contamination.benchmarks:
            _show_what_was_not_looked_for(benchmark)
        if audit.dropped and not made.dataset.manifest.rows:
            warn("no row is left")
    if audit.near_duplicates is not None:
        near = audit.near_duplicates
        say(
            f"near-duplicates: {near.clustered:,} of {near.rows:,} row(s) in {len(near.clusters):,} cluster(s), "
            f"{near.across:,} across groups"
        )
    counts = ", ".join(f"{kind} {count:,}" for kind, count in audit.counts().items())
    say(f"secrets and personal data: {f'{counts}; the places are in {out}/audit.json' if counts else 'none found'}")
    if made.blocking:
        stopped = "" if config.repo is None or config.dry_run else ", so nothing was uploaded"
        warn(
            f"{sum(made.blocking.values()):,} finding(s){stopped}: mend the data, "
            f"or accept them with --allow-findings {next(iter(made.blocking))}"
        )
    elif made.uploaded is not None:
        say(f"uploaded: {made.uploaded.url} ({'private' if made.uploaded.private else 'public'})")
    else:
        say("nothing was uploaded: " + ("--dry-run" if config.dry_run else "name a repository with --repo USER/NAME"))


def _show_what_was_not_looked_for(benchmark: Benchmark) -> None:
    from purify.publishing.contamination import COMMON, SHORTEST

    for count, why in (
        (benchmark.too_short, f"too short to look for (fewer than {SHORTEST} words)"),
        (benchmark.shared, f"without words of their own to look for (more than {COMMON} questions share them)"),
    ):
        if count:
            say(f"{benchmark.name}: {count:,} of {benchmark.questions:,} question(s) {why}")
