"""Write the published copy: shards, manifest, audit, card, croissant.json, checksums."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl

from purify.datasets import Dataset, Progress
from purify.datasets.dataset import MANIFEST
from purify.datasets.parquet import library_versions
from purify.digests import file_sha256
from purify.errors import PurifyError
from purify.publishing import folder
from purify.publishing.audit import audit
from purify.publishing.card import Facts, card
from purify.publishing.config import PublishConfig
from purify.publishing.croissant import croissant
from purify.publishing.scan import Scan
from purify.publishing.sources import sources
from purify.publishing.texts import dataset_schema
from purify.reporting import stats
from purify_schemas import Ancestor, Manifest, dataset_digest

AUDIT = "audit.json"
_OF_THE_UPLOAD = frozenset({"dry_run", "public", "token_env", "replace_repo", "allow_findings", "benchmark"})
"""Options that change nothing in the folder. (Benchmarks count by their contents.)"""


def copy_options(dataset: Dataset, config: PublishConfig) -> dict[str, Any]:
    """What the manifest of the copy says: the options of this stage, and of the one that wrote the dataset.

    Raises `PurifyError` if a benchmark is no file.
    """
    benchmarks = [Path(name) for name in config.benchmark]
    for path in benchmarks:
        if path.is_dir():
            raise PurifyError(f"{path}: is a folder; name the file in it that holds the questions")
        if not path.is_file():
            raise PurifyError(f"{path}: no such benchmark file")
    return config.model_dump(mode="json", exclude=set(_OF_THE_UPLOAD)) | {
        "benchmark": [{"name": path.name, "sha256": file_sha256(path)} for path in benchmarks],
        "of": _made_by(dataset.manifest),
    }


def _made_by(manifest: Manifest) -> dict[str, Any]:
    """Stage and options of a dataset; of a published one, those of what was published."""
    if manifest.stage == "publish":
        of: dict[str, Any] = manifest.config["of"]
        return of
    return {"stage": manifest.stage, "config": manifest.config}


def write_copy(
    dataset: Dataset,
    out: Path,
    config: PublishConfig,
    options: dict[str, Any],
    identity: str,
    *,
    overwrite: bool,
    progress: Progress | None,
) -> None:
    """Audit the dataset and write the copy to `out`. Its manifest names the dataset as its parent."""
    schema = dataset_schema(dataset)
    with folder.new_folder(out, overwrite=overwrite, drops=config.drop_contaminated) as building:
        scan = Scan()
        found = audit(dataset, config, progress, options=options, scan=scan)
        if found.dropped:
            without = {row.row for row in found.contaminated}
            shards = folder.rewrite_shards(dataset, building, schema, without)
            folder.keep_dropped(dataset, found, building)
        else:
            shards = folder.place_shards(dataset, building)
        of = dataset.manifest
        parent = Ancestor(digest=of.digest, stage=of.stage, config_digest=of.config_digest, rows=of.rows)
        manifest = Manifest(
            schema_version=of.schema_version,
            kind=of.kind,
            scored=of.scored,
            stage="publish",
            config=options,
            config_digest=identity,
            rows=sum(shard.rows for shard in shards),
            rejected=0,
            records_in=of.rows,
            counts={"findings": len(found.findings), "rows_dropped_contaminated": found.dropped},
            shards=shards,
            digest=dataset_digest(shards),
            lineage=[*of.lineage, parent],
            versions=library_versions(),
        )
        (building / MANIFEST).write_bytes(manifest.model_dump_json(indent=2).encode() + b"\n")
        (building / AUDIT).write_bytes(found.model_dump_json(indent=2).encode() + b"\n")
        copy = Dataset.open(building)
        facts = Facts(
            manifest=manifest,
            made_by=options["of"]["stage"],
            options=options["of"]["config"],
            online=_edited_online(copy),
            log_probs=_has_log_probs(copy),
            repeated=repeated_ids(copy),
            redacted=scan.redacted,
            stats=stats(building),
            sources=sources(copy, config.source_license),
            audit=found,
            config=config,
        )
        (building / "README.md").write_bytes(card(facts, schema, building).encode())
        url = None if config.repo is None else f"https://huggingface.co/datasets/{config.repo}"
        described = croissant(
            manifest,
            schema,
            title=facts.title,
            text=facts.summary,
            license=config.license,
            url=url,
            date=config.date_published,
            unique=not facts.repeated,
        )
        (building / "croissant.json").write_bytes(described)


def _edited_online(dataset: Dataset) -> bool:
    """Whether any row was edited while it was generated: no raw rollout of it ever existed."""
    if not dataset.purified:
        return False
    leaves = (pl.from_arrow(table) for table in dataset.tables(["provenance.online"]))
    return any(frame.select(pl.col("provenance").struct.field("online").any()).item() for frame in leaves)  # type: ignore[union-attr]


def _has_log_probs(dataset: Dataset) -> bool:
    """Whether any sampled text has the log-probs that it was sampled with."""
    sides = [f"steps.list.element.{side}.logprobs.list.element" for side in ("reasoning", "action")]
    segments = (
        step[side] for table in dataset.tables(sides) for steps in table["steps"] for step in steps for side in step
    )
    return any(segment["logprobs"].is_valid for segment in segments)


def repeated_ids(dataset: Dataset) -> int:
    """How many trajectory_ids are on more than one row."""
    ids = Counter(name for table in dataset.tables(["trajectory_id"]) for name in table["trajectory_id"].to_pylist())
    return sum(count > 1 for count in ids.values())
