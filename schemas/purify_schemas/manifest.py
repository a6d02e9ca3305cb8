"""`manifest.json`: what a dataset directory holds and where it comes from.

It is written last, so its existence means that the dataset is complete. It has no wall-clock and no absolute path:
the same input, config and seed give the same bytes.
"""

from __future__ import annotations

import hashlib
from typing import Any, Literal

from pydantic import Field

from purify_schemas.rows import Row

Kind = Literal["raw", "purified"]


class Shard(Row):
    path: str = Field(description="Relative to the dataset directory, with forward slashes.")
    rows: int
    bytes: int
    sha256: str


class Ancestor(Row):
    """One earlier dataset in the lineage, oldest first."""

    digest: str
    stage: str
    config_digest: str
    rows: int


class Manifest(Row):
    schema_version: int
    kind: Kind
    scored: bool = Field(default=False, description="Whether rows carry `scores`.")
    stage: str = Field(description="The verb that wrote it: import, clean, restore, ...")
    config: dict[str, Any] = Field(description="Every option of the stage.")
    config_digest: str
    rows: int
    rejected: int = Field(description="Records that could not be read; they are in rejected/ with their reason.")
    records_in: int = Field(description="Input records; rows out, counted per record, plus rejected account for all.")
    counts: dict[str, int] = Field(default={}, description="The stage's own counters.")
    shards: list[Shard]
    rejected_files: list[Shard] = []
    digest: str = Field(description="blake2b over the shards' digests: the identity of the data.")
    lineage: list[Ancestor] = Field(default=[], description="Ancestors, oldest first; the last one is the parent.")
    versions: dict[str, str] = Field(default={}, description="Of the libraries that wrote the bytes.")


def dataset_digest(shards: list[Shard]) -> str:
    """The identity of a dataset: depends on its Parquet bytes and on nothing else."""
    joined = "\n".join(f"{shard.sha256} {shard.rows}" for shard in shards)
    return hashlib.blake2b(joined.encode(), digest_size=16).hexdigest()
