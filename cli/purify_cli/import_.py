"""`purify import`: a foreign dump becomes a dataset."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from purify.importing.config import ImportConfig
from purify_cli.options import configured
from purify_cli.writing import (
    Out,
    Overwrite,
    Resume,
    Workers,
    progress_bar,
    say,
    summary,
    warn,
    warn_of_unknown_tools,
    write_mode,
)

if TYPE_CHECKING:
    from purify.importing.stage import ImportReport

Dump = Annotated[Path, typer.Argument(help="A .jsonl, .json, .traj, .eval, .pt or .parquet file, or a folder of them.")]


@configured(ImportConfig)
def command(
    dump: Dump,
    out: Out,
    config: ImportConfig,
    workers: Workers = 1,
    overwrite: Overwrite = False,
    resume: Resume = False,
) -> None:
    """Read a dump of rollouts from another framework into a dataset.

    Example: purify import dump.jsonl -o rollouts/
    """
    from purify.importing import import_dump

    with progress_bar("import") as progress:
        report = import_dump(dump, out, config, mode=write_mode(overwrite, resume), workers=workers, progress=progress)
    _print(report)
    _warn_of_unheeded(report, config)
    warn_of_unknown_tools(report.dataset, config.tool_state)


def _warn_of_unheeded(report: ImportReport, config: ImportConfig) -> None:
    counts = report.dataset.manifest.counts
    if lacking := counts.get("unheeded_task_by"):
        read = report.dataset.manifest.records_in - report.dataset.manifest.rejected
        which = "no record has" if lacking == read else f"{lacking:,} of {read:,} records lack"
        warn(f"{which} the field {config.task_by!r}, which names a row's group; is --task-by right?")
    if carried := counts.get("unheeded_rules"):
        warn(
            f"{carried:,} record(s) carry how each call ended, as purify export wrote it, and --rules did not judge"
            " them; it would if they had no member purify"
        )


def _print(report: ImportReport) -> None:
    from purify.importing.registry import lossy_note
    from purify.importing.stage import rejection_reasons

    dataset, formats = report.dataset, report.formats
    for name in sorted({entry.format for entry in formats if entry.format}):
        of_format = [entry for entry in formats if entry.format == name]
        say(f"format {name}: {len(of_format)} file(s), {of_format[0].file}: {of_format[0].why}")
        if (note := lossy_note(name)) is not None:
            say(f"format {name}: {note}")
    for entry in formats:
        if entry.format is None:
            warn(f"{entry.file}: {entry.why}{'; its records are put aside' if entry.puts_aside else ''}")
    if report.passed_over:
        say(f"{report.passed_over} other file(s) passed over: no suffix that is read")
    manifest = dataset.manifest
    counts = manifest.counts
    failed = sum(counts.get(f"calls_{status}", 0) for status in ("error", "timeout", "malformed"))
    say(summary(dataset))
    say(
        f"{manifest.records_in:,} records = {manifest.records_in - manifest.rejected:,} read + "
        f"{manifest.rejected:,} rejected; {counts.get('steps', 0):,} steps, {counts.get('calls', 0):,} calls, "
        f"{failed:,} failed"
    )
    if manifest.rejected:
        reason, count = rejection_reasons(dataset).most_common(1)[0]
        warn(
            f"{manifest.rejected:,} record(s) could not be read, {count:,} x {reason!r}; "
            f"all of them with their reasons are in {dataset.path}/rejected/"
        )
    if repeated := dataset.repeated_ids():
        warn(f"{repeated:,} row(s) repeat a (task, sample) pair of the source, so their trajectory_id is not unique")
    if not manifest.rows:
        warn("the dataset has no rows: no record could be read; is --format right?")
    elif not counts.get("calls"):
        warn("no tool call was found; is --format (and --preset) right?")
    elif not failed:
        warn("no failed call was found, so `clean` will change nothing; is --rules right for these tools?")
