"""The dataset card (`README.md`): lets `datasets.load_dataset(dir)` find the shards and tells people what they are."""

from __future__ import annotations

from purify_schemas import Manifest

_OF_THE_INPUT = frozenset({"steps", "calls", "failed_calls"})
_CARD = """---
configs:
- config_name: default
  data_files:
  - split: train
    path: data/*.parquet
tags:
- tool-use
- trajectories
- purify
---
# Tool-using trajectories ({kind})

Written by `purify {stage}`. One row is one trajectory; `manifest.json` has the digests, options and lineage.

| | |
|---|---|
| rows | {rows} |
| rejected records | {rejected} |
| schema version | {version} |
| data digest | `{digest}` |
{counts}
"""


def dataset_card(manifest: Manifest) -> str:
    """Markdown with the YAML front matter that the hub and `datasets` read. No wall-clock, no paths."""
    before = " (before)" if manifest.stage == "clean" else ""
    counts = "".join(
        f"| {name.replace('_', ' ')}{before if name in _OF_THE_INPUT else ''} | {value} |\n"
        for name, value in manifest.counts.items()
    )
    return _CARD.format(
        kind=f"{manifest.kind}, scored" if manifest.scored else manifest.kind,
        stage=manifest.stage,
        rows=manifest.rows,
        rejected=manifest.rejected,
        version=manifest.schema_version,
        digest=manifest.digest,
        counts=counts.rstrip("\n"),
    )
