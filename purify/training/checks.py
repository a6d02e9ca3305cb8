"""What must be true of a dataset before it is trained on, and what `--allow` takes back.

Each refusal says what is wrong, and the command or option that mends it.
"""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from purify.datasets import Dataset
from purify.errors import PurifyError
from purify.training.config import TrainConfig


def check_dataset(dataset: Dataset, config: TrainConfig, *, needs_old: bool) -> None:
    """Raises `PurifyError` if the dataset cannot be trained on with these options, whatever the model."""
    if not dataset.manifest.rows:
        raise PurifyError(f"{dataset.path}: the dataset has no rows, there is nothing to train on")
    for shard in dataset.manifest.shards:
        dataset.check_shard(shard)
    if needs_old and not dataset.scored and "unscored" not in config.allow:
        stale = (
            "sampled log-probs are stale behind every edit" if dataset.purified else "its log-probs are the sampler's"
        )
        raise PurifyError(
            f"{dataset.path}: is not scored ({stale}); run `{score_command(dataset, config)}` and train on SCORED, "
            "or add --allow unscored to use sampled log-probs where they hold"
        )
    if config.algorithm == "dpo" and not dataset.purified:
        raise PurifyError(
            f"{dataset.path}: dpo learns from what edits replaced, and this dataset has none; "
            "`purify clean` makes a purified one"
        )


def check_digests(
    dataset: Dataset, config: TrainConfig, *, revision: str | None, tokenizer: str, template: str | None
) -> None:
    """Raises `PurifyError` if the dataset was made with another tokenizer, template or (its scores) policy.

    What a dataset does not say cannot differ.
    """
    found = _stored(dataset)
    if "tokenizer" not in config.allow:
        _same("tokenizer", found["tokenizer_digest"], tokenizer, dataset, config, "was made with")
    if "template" not in config.allow and template is not None:
        _same("template", found["template_digest"], template, dataset, config, "was rendered with")
    if "policy" not in config.allow and dataset.scored and config.algorithm not in ("sft", "rft", "awr", "dpo"):
        _same("policy", found["revision"], revision, dataset, config, "was scored with")


def _stored(dataset: Dataset) -> dict[str, list[str]]:
    """The distinct digests that the rows name."""
    columns = [pl.col("source").struct.field(name) for name in ("tokenizer_digest", "template_digest")]
    if dataset.scored:
        scores = pl.col("scores").struct
        columns = [
            pl.coalesce(scores.field(name), column).alias(name)
            for name, column in zip(("tokenizer_digest", "template_digest"), columns, strict=True)
        ]
        columns.append(scores.field("revision"))
    frame = dataset.scan().select(*columns).unique().collect()
    return {name: sorted(frame[name].drop_nulls().unique().to_list()) for name in frame.columns}


_MENDS = {
    "tokenizer": "use the checkpoint that the rollouts come from",
    "template": "use that checkpoint's chat template",
    "policy": "run `{score}` and train on SCORED",
}


def _same(what: str, found: Iterable[str], own: str | None, dataset: Dataset, config: TrainConfig, verb: str) -> None:
    other = next((value for value in found if value != own), None)
    if other is None or own is None:
        return
    mend = _MENDS[what].format(score=score_command(dataset, config))
    noun = {"tokenizer": "tokenizer", "template": "chat template", "policy": "policy"}[what]
    raise PurifyError(
        f"{dataset.path}: {verb} another {noun} ({other[:12]}) than that of {config.model} ({own[:12]}); "
        f"{mend}, or add --allow {what}"
    )


def check_unresolved(dataset: Dataset, config: TrainConfig, rows: pl.Series) -> None:
    """Raises `PurifyError` if `rows`, which would be reinforced, hold failures that were never corrected."""
    if not dataset.purified or config.mask_failed != "none" or "unresolved" in config.allow:
        return
    reasons = pl.col("provenance").struct.field("edits").list.eval(pl.element().struct.field("reason"))
    frame = dataset.scan().select("trajectory_id", unresolved=reasons.list.contains("unresolved"))
    held = frame.with_row_index("row").filter(pl.col("unresolved"), pl.col("row").is_in(rows.implode())).collect()
    if not held.is_empty():
        raise PurifyError(
            f"{dataset.path}: {len(held):,} trajectories that would be reinforced hold failed turns that were never "
            f"corrected (the first: {held['trajectory_id'][0]}); add --mask-failed winners to leave those turns out of "
            "the loss, or --allow unresolved to train on them as they are"
        )


def score_command(dataset: Dataset, config: TrainConfig) -> str:
    """The command that scores this data with this policy. Scored data is scored anew from its parent."""
    source = "DATA" if dataset.scored else str(dataset.path)
    return f"purify score {source} -o SCORED --model {config.model}"
