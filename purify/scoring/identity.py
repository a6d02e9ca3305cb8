"""Who scores, and whether it may score these rows."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any, NamedTuple

import orjson
import pyarrow.compute as pc

from purify.chat.identity import template_digest, tokenizer_digest
from purify.datasets import Dataset
from purify.engines.loading import portable_name, revision_of
from purify.errors import PurifyError
from purify.scoring.config import ScoreConfig


class Identity(NamedTuple):
    """What stands in `scores` of every row."""

    model: str
    revision: str | None
    tokenizer_digest: str
    template_digest: str | None


def identity_of(config: ScoreConfig, tokenizer: Any) -> Identity:
    """Of the checkpoint that `config` names."""
    return Identity(
        portable_name(config.model),
        revision_of(config.model, config.revision),
        tokenizer_digest(tokenizer),
        template_digest(tokenizer),
    )


def check_rows(dataset: Dataset, config: ScoreConfig, identity: Identity) -> None:
    """One look at where the rows come from, before any model is loaded.

    Raises `PurifyError` if another tokenizer made their ids, or if the engine cannot score at their temperature.
    """
    made_by: Counter[str] = Counter()
    temperatures: Counter[float] = Counter()
    for table in dataset.tables(["source.tokenizer_digest", "source.temperature", "prompt_token_ids.list.element"]):
        source = table.column("source").combine_chunks()
        digests = pc.struct_field(source, "tokenizer_digest")
        with_ids = digests.filter(pc.is_valid(table.column("prompt_token_ids")).combine_chunks())
        made_by.update({entry["values"]: entry["counts"] for entry in pc.value_counts(with_ids).to_pylist()})
        drawn = pc.value_counts(pc.struct_field(source, "temperature")).to_pylist()
        temperatures.update({temperature_of(entry["values"], config): entry["counts"] for entry in drawn})
    strange = made_by.keys() - {identity.tokenizer_digest, None}
    if strange and not config.allow_tokenizer_mismatch:
        theirs = min(strange)
        raise PurifyError(
            f"{dataset.path}: the ids of {made_by[theirs]:,} rows are of tokenizer {theirs}, that of {config.model} is "
            f"{identity.tokenizer_digest}; score with a checkpoint of their policy, or add --allow-tokenizer-mismatch"
        )
    hot = temperatures.keys() - {1.0}
    if hot and config.engine != "transformers":
        raise PurifyError(
            f"{dataset.path}: rows were sampled at temperature {min(hot):g}, and engine {config.engine} scores at 1 "
            "only; add --engine transformers"
        )


def temperature_of(sampled: float | None, config: ScoreConfig) -> float:
    """At which a row is scored. Greedy and unknown count as 1: engines record greedy log-probs so."""
    return config.temperature or sampled or 1.0


def sampled_alike(source: dict[str, Any], temperature: float, identity: Identity) -> bool:
    """Whether stored log-probs of a row are those of this very policy at this temperature, over all tokens."""
    if source["temperature"] is None or identity.revision is None or source["revision"] != identity.revision:
        return False
    sampling = orjson.loads(source["sampling"] or "{}")
    tempered = source["temperature"] or 1.0
    drawn = source["temperature"] > 0 and (sampling.get("top_p", 1.0) != 1.0 or sampling.get("top_k", 0) > 0)
    raw = source["logprobs_mode"] == "raw_logprobs"
    return not drawn and math.isclose(1.0 if raw else tempered, temperature)
