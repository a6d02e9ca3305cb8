"""The card (`README.md`) of an export: `datasets.load_dataset` finds the files by it, people what is not in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from purify.exporting.base import Exporter

if TYPE_CHECKING:
    from purify.exporting.stage import ExportReport

_CARD = """---
configs:
- config_name: default
  data_files:
  - split: train
    path: data/*
tags:
- tool-use
- trajectories
- purify
---
# Tool-using trajectories, format {format}

Written by `purify export` from the dataset with digest `{digest}`, for {reader}.
{records:,} records from {rows:,} trajectories.

{lost}{skipped}"""


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
        lost=f"| not kept by this format | trajectories |\n|---|---|\n{lost}\n" if lost else "",
        skipped=f"| trajectories without a record | |\n|---|---|\n{skipped}" if skipped else "",
    )
