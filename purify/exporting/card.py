"""The card (`README.md`) of an export: what is in it, and what is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from purify.exporting.base import Exporter

if TYPE_CHECKING:
    from purify.exporting.stage import ExportReport

# No `configs` block: with one, `datasets` names its cache after the block alone, and another export would be given the
# rows of the first. The files in `data/` are found without it.
_CARD = """---
tags:
- tool-use
- trajectories
- purify
---
# Tool-using trajectories, format {format}

Written by `purify export` from the dataset with digest `{digest}`, for {reader}.
{records:,} records from {rows:,} trajectories.

{failed}{lost}{skipped}"""
_FAILED = (
    "{count:,} failed calls are left in the records. A trainer counts those turns like any other: leave out the rows"
    " whose `failed_calls` is not 0, or purify the dataset first.\n\n"
)


def export_card(report: ExportReport, exporter: Exporter) -> str:
    """Markdown with the front matter that the hub and `datasets` read."""
    lost = "".join(f"| {report.losses[name]} | {count:,} |\n" for name, count in report.lost.items())
    skipped = "".join(f"| {reason} | {count:,} |\n" for reason, count in report.skipped.items())
    return _CARD.format(
        format=report.format,
        digest=report.source_digest,
        reader=exporter.reader,
        records=report.records,
        rows=report.rows,
        failed=_FAILED.format(count=report.failed_calls) if report.failed_calls else "",
        lost=f"| not kept by this format | trajectories |\n|---|---|\n{lost}\n" if lost else "",
        skipped=f"| trajectories without a record | |\n|---|---|\n{skipped}" if skipped else "",
    )
