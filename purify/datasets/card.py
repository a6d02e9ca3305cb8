"""The dataset card (`README.md`): tells people, the hub and `datasets` what the shards are."""

from __future__ import annotations

from purify_schemas import Manifest

_OF_THE_INPUT = frozenset({"steps", "calls", "failed_calls"})
# No `configs` block: with one, `datasets` names its cache after the block alone, and an overwritten dataset would give
# its old rows. `data/train-*` is found without it.
_CARD = """---
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
        if not name.startswith("unheeded_")  # of no use to readers: options that had nothing to act on
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
