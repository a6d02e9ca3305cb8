"""`purify score`: log-probs of every model token under a checkpoint and the stored context, shard by shard.

    purify score purified/ -o scored/ --model checkpoint/ --both

Rows stay where they are; each gets `scores`. A row that cannot be scored says why in `scores.problem`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from purify.chat.rendering import Renderer
from purify.datasets import Dataset, Progress, ShardSink, Stage, WriteMode, run_stage
from purify.datasets.parquet import row_groups
from purify.datasets.sink import ShardResult
from purify.digests import config_digest, digest
from purify.engines.loading import check_model, load_tokenizer, portable_name
from purify.errors import PurifyError
from purify.scoring.config import ScoreConfig
from purify.scoring.identity import Identity, check_rows, identity_of
from purify.scoring.rows import TableScorer
from purify.scoring.scorers import Scorer, load_scorer
from purify_schemas import PURIFIED_SCHEMA, RAW_SCHEMA, Shard, scored_schema


@dataclass
class _Run:
    """The work of one run, in this process. The model is loaded once the output directory is ours."""

    dataset: Dataset
    config: ScoreConfig
    identity: Identity
    tokenizer: Any
    progress: Progress | None
    scorer: Scorer | None = None
    scored: int = 0
    problem: str | None = None

    def prepare(self, folder: Path) -> None:
        finished = list(_finished(folder))
        self.scored = sum(result.counts.get("rows_scored", 0) for result in finished)
        if self.progress:
            self.progress(total=self.dataset.manifest.rows, units=sum(result.rows for result in finished))
        if len(finished) < len(self.dataset.manifest.shards):
            vocabulary = max(self.tokenizer.get_vocab().values()) + 1
            self.scorer = load_scorer(self.config, vocabulary)

    def __call__(self, shard: Shard, sink: ShardSink) -> None:
        assert self.scorer is not None
        self.dataset.check_shard(shard)
        renderer = Renderer(self.tokenizer, self.config.model)
        score_table = TableScorer(self.config, self.identity, self.scorer, renderer, self._advance)
        for table in row_groups(self.dataset.path / shard.path):
            scored, counts = score_table(table)
            sink.write_group(scored, records=len(table))
            sink.counts.update(counts)
            self.scored += counts["rows_scored"]
            if len(table) and self.problem is None:
                self.problem = scored.column("scores")[0]["problem"].as_py()
        if self.problem and not self.scored and shard == self.dataset.manifest.shards[-1]:
            raise PurifyError(f"{self.dataset.path}: no row can be scored with {self.config.model} ({self.problem})")

    def _advance(self, rows: int, tokens: int) -> None:
        if self.progress:
            self.progress(units=rows, rows=tokens)

    def close(self) -> None:
        if self.scorer is not None:
            self.scorer.close()


def _finished(folder: Path) -> Iterator[ShardResult]:
    """What an earlier run has left. A damaged marker proves nothing: its shard is written again."""
    for path in sorted(folder.glob("*.done")):
        with suppress(ValidationError):
            yield ShardResult.model_validate_json(path.read_bytes())


def score(
    source: str | Path,
    out: str | Path,
    config: ScoreConfig,
    *,
    mode: WriteMode = "new",
    progress: Progress | None = None,
) -> Dataset:
    """Score a raw or purified dataset.

    Raises `PurifyError` if `source` is no dataset, is scored already or damaged, if the model cannot be used or does
    not fit the rows (tokenizer, temperature of an engine), if no row can be scored, and for everything that `run_stage`
    refuses.
    """
    dataset = Dataset.open(source)
    if dataset.scored:
        raise PurifyError(f"{source}: is scored already; score the dataset that it was made from")
    if config.engine != "server":
        check_model(config.model)
    tokenizer = load_tokenizer(config)
    identity = identity_of(config, tokenizer)
    check_rows(dataset, config, identity)
    named = config.recorded(identity.model, config.tokenizer and portable_name(config.tokenizer))
    stage = Stage(
        name="score",
        kind=dataset.manifest.kind,
        schema=scored_schema(PURIFIED_SCHEMA if dataset.purified else RAW_SCHEMA),
        config=named.model_dump(mode="json"),
        config_digest=config_digest(named),
        inputs=[digest(*identity), *(shard.sha256 for shard in dataset.manifest.shards)],
        parent=dataset,
    )
    run = _Run(dataset, config, identity, tokenizer, progress)
    try:
        run_stage(stage, dataset.manifest.shards, run, Path(out), mode=mode, prepare=run.prepare)
    finally:
        run.close()
    return Dataset.open(out)
