"""One pass over a dataset that looks for everything `audit.json` reports."""

from __future__ import annotations

from typing import Any

from purify.datasets import Dataset, Progress
from purify.publishing import report
from purify.publishing.config import KINDS, PublishConfig
from purify.publishing.contamination import Contamination
from purify.publishing.duplicates import Duplicates
from purify.publishing.scan import Scan, libraries
from purify.publishing.texts import rows


def audit(
    dataset: Dataset,
    config: PublishConfig,
    progress: Progress | None = None,
    *,
    options: dict[str, Any] | None = None,
    scan: Scan | None = None,
) -> report.Audit:
    """Scan, compare with benchmarks, look for near-duplicates. `options`: what else is published, in manifest.json.

    Rows that `config.drop_contaminated` leaves out are not scanned: row numbers are those of the published copy, but
    for the contaminated rows themselves, which have their numbers in `dataset`.
    """
    scan = scan or Scan()
    scan.add_options(options or {})
    contamination = Contamination(config.benchmark, config.benchmark_field) if config.benchmark else None
    duplicates = Duplicates(config.near_duplicates) if config.near_duplicates else None
    if progress:
        progress(total=len(dataset))
    kept = 0
    for number, row in enumerate(rows(dataset)):
        contaminated = contamination is not None and contamination.add(number, row)
        if not (contaminated and config.drop_contaminated):
            scan.add(kept, row)
            if duplicates is not None:
                duplicates.add(kept, row)
            kept += 1
        if progress:
            progress(units=1, rows=1)
    return report.Audit(
        rows=kept,
        texts=scan.texts,
        kinds=list(KINDS),
        libraries=libraries(),
        findings=scan.findings,
        contamination=contamination
        and report.Contamination(
            benchmarks=contamination.benchmarks,
            rows=[
                row.model_copy(update={"trajectory_id": scan.redacted(row.trajectory_id)}) for row in contamination.rows
            ],
            dropped=config.drop_contaminated,
        ),
        near_duplicates=duplicates and duplicates.report(),
    )
