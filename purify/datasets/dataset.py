"""Read a dataset directory.

    for trajectory in purify.open("rollouts/"):
        ...

`datasets.load_dataset(dir)` and `polars.scan_parquet(dir / "data/*.parquet")` read the same files without us.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
from pydantic import ValidationError

from purify.datasets.parquet import row_groups
from purify.digests import file_sha256
from purify.errors import PurifyError
from purify_schemas import SCHEMA_VERSION, Manifest, Shard, Trajectory, from_table

if TYPE_CHECKING:
    import polars as pl

MANIFEST = "manifest.json"
PARTIAL = ".partial"


@dataclass(frozen=True)
class Dataset:
    """A finished dataset. Iterating gives its trajectories in order, one row group in memory at a time."""

    path: Path
    manifest: Manifest

    @classmethod
    def open(cls, path: str | Path) -> Dataset:
        """Open a dataset directory.

        Raises `PurifyError` if there is none, it is unfinished, or its schema version is another one.
        """
        path = Path(path)
        manifest = path / MANIFEST
        if not manifest.is_file():
            if (path / PARTIAL).is_dir():
                raise PurifyError(f"{path}: unfinished dataset; run the command that was writing it with --resume")
            what = "no such directory" if not path.exists() else f"not a dataset (no {MANIFEST})"
            raise PurifyError(f"{path}: {what}; `purify import DUMP -o DIR` makes one")
        try:
            parsed = Manifest.model_validate_json(manifest.read_bytes())
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the file"
            raise PurifyError(f"{manifest}: damaged or of another version ({where}: {first['msg']})") from None
        if parsed.schema_version != SCHEMA_VERSION:
            raise PurifyError(
                f"{manifest}: schema version {parsed.schema_version}, this purify reads version {SCHEMA_VERSION}; "
                "use the purify version that wrote it, or import the source again"
            )
        return cls(path, parsed)

    def __iter__(self) -> Iterator[Trajectory]:
        for table in self.tables():
            yield from from_table(table)

    def __len__(self) -> int:
        return self.manifest.rows

    @property
    def purified(self) -> bool:
        return self.manifest.kind == "purified"

    @property
    def scored(self) -> bool:
        return self.manifest.scored

    def tables(self, columns: list[str] | None = None) -> Iterator[pa.Table]:
        """The row groups of all shards, in order."""
        for shard in self.manifest.shards:
            yield from row_groups(self.path / shard.path, columns)

    def scan(self) -> pl.LazyFrame:
        """A lazy polars frame over all shards."""
        import polars as pl

        return pl.scan_parquet([self.path / shard.path for shard in self.manifest.shards])

    def tool_names(self) -> set[str]:
        """Every tool that a row declares a state of (importers declare all that are called)."""
        import polars as pl

        names = self.scan().select(pl.col("tool_state").explode().struct.field("name").unique()).collect()
        return {name for name in names.to_series() if name is not None}

    def repeated_ids(self) -> int:
        """How many rows carry a trajectory_id that an earlier row has: the source names one sample twice."""
        import polars as pl

        ids = pl.col("trajectory_id")
        return int(self.scan().select(ids.len() - ids.n_unique()).collect().item())

    def check_shard(self, shard: Shard) -> None:
        """Raise `PurifyError` if a shard's bytes are not those the manifest names."""
        path = self.path / shard.path
        if not path.is_file():
            raise PurifyError(f"{path}: missing; restore it from a copy, or write the dataset again with --overwrite")
        if file_sha256(path) != shard.sha256:
            raise PurifyError(
                f"{path}: its bytes changed after it was written (sha256 differs from {MANIFEST}); "
                "restore it from a copy, or write the dataset again with --overwrite"
            )
