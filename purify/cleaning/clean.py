"""`purify clean`: read raw shards, write purified ones. One shard in, one shard out, row group by row group.

purify clean rollouts/ -o purified/ --gamma 0.5
purify clean rollouts/ -o purified2/ --scored scored/ --min-importance 0.5
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from purify.cleaning.groups import group_means
from purify.cleaning.ratios import check_scored, log_ratios
from purify.datasets import Dataset, Progress, ShardSink, Stage, WriteMode, run_stage
from purify.datasets.parquet import row_groups
from purify.digests import config_digest
from purify.errors import PurifyError
from purify.saar import SaarConfig, load_similarity
from purify.saar.batch import purify_table
from purify.saar.similarity import recorded
from purify_schemas import PURIFIED_SCHEMA, Shard


@dataclass(frozen=True)
class _Pass:
    """What a worker needs besides its shard. Picklable: it crosses to other processes."""

    dataset: Dataset
    config: SaarConfig
    means: Mapping[str, float] | None
    scored: Dataset | None = None

    def __call__(self, shard: Shard, sink: ShardSink) -> None:
        self.dataset.check_shard(shard)
        similarity = load_similarity(self.config)
        ratios = None if self.scored is None else log_ratios(self.scored, self.dataset.manifest.shards.index(shard))
        for table in row_groups(self.dataset.path / shard.path):
            rows = range(sink.rows, sink.rows + len(table))
            purified, counts = purify_table(
                table,
                self.config,
                similarity,
                parent_digest=self.dataset.manifest.digest,
                group_means=self.means,
                log_ratios=None if ratios is None else [ratios.get(row, {}) for row in rows],
            )
            sink.write_group(purified, records=len(table))
            sink.counts.update(counts)


def clean(
    source: str | Path,
    out: str | Path,
    config: SaarConfig | None = None,
    *,
    scored: str | Path | None = None,
    mode: WriteMode = "new",
    workers: int = 1,
    progress: Progress | None = None,
) -> Dataset:
    """Purify a dataset: replace failed calls by the trajectory's own later successes.

    `scored` is an earlier purification of the same dataset with scores: where `config.min_importance` finds the ratios
    of the edits.

    Raises `PurifyError` if `source` is no dataset, is purified already, is scored or damaged, if `config` asks for
    winners where there are no rewards to compare, or for a least importance without a `scored` dataset that fits; and
    for everything that `run_stage` refuses.
    """
    config = config or SaarConfig()
    dataset = Dataset.open(source)
    if dataset.scored:
        raise PurifyError(f"{source}: is scored; clean the raw dataset it was scored from")
    if dataset.purified:
        raise PurifyError(f"{source}: is purified already; clean the raw dataset, or `purify restore` it first")
    judged = None if scored is None else Dataset.open(scored)
    check_scored(dataset, config, judged)
    means = group_means(dataset) if config.apply_to == "winners" else None
    # Loaded here, so that a missing extra or model does not fail in a worker.
    named = recorded(config, load_similarity(config))
    stage = Stage(
        name="clean",
        kind="purified",
        schema=PURIFIED_SCHEMA,
        config=named.model_dump(mode="json") | ({"scored": judged.manifest.digest} if judged else {}),
        config_digest=config_digest(named),
        inputs=[shard.sha256 for shard in (*dataset.manifest.shards, *(judged.manifest.shards if judged else ()))],
        parent=dataset,
    )
    run_stage(
        stage,
        dataset.manifest.shards,
        _Pass(dataset, config, means, judged),
        Path(out),
        mode=mode,
        workers=workers,
        progress=progress,
    )
    return Dataset.open(out)
