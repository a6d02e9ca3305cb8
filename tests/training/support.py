"""Scored datasets for training tests: random ids, real scores of a real (tiny) model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from purify.datasets import Dataset, ShardSink, Stage, run_stage
from purify_schemas import PURIFIED_SCHEMA, RAW_SCHEMA, Scores, Source, Trajectory, scored_schema, to_table
from tests.support import call, step, trajectory


def draw_rows(groups: int = 4, size: int = 4, *, seed: int = 0, failures: bool = True) -> list[Trajectory]:
    """Rollouts of three steps; in each group some rewards are 1 and some 0, and every other row has a failed call."""
    random = np.random.default_rng(seed)

    def ids(low: int, high: int) -> list[int]:
        found: list[int] = random.integers(20, 300, random.integers(low, high)).tolist()
        return found

    rows = []
    for group in range(groups):
        for sample in range(size):
            failed = failures and sample % 2 == 1
            rows.append(
                trajectory(
                    step(
                        call("print(1)", status="error" if failed else "ok"),
                        reasoning_ids=ids(2, 9),
                        action_ids=ids(2, 9),
                        observation_ids=ids(1, 9),
                    ),
                    step(call("print(2)"), reasoning_ids=ids(2, 9), action_ids=ids(2, 9), observation_ids=ids(1, 9)),
                    step(reasoning_ids=ids(2, 9), action_ids=[], observation_ids=[]),
                    id=f"t{group}-{sample}",
                    group=f"g{group}",
                    reward=float((sample + group) % 3 == 0),
                    prompt_ids=ids(3, 9),
                ).model_copy(update={"source": Source(temperature=1.0)})
            )
    return rows


def with_scores(rows: Sequence[Trajectory], model: Path, *, temperature: float = 1.0) -> list[Trajectory]:
    """The rows with the scores that the model gives them, by its own plain forward pass."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from purify.chat.identity import template_digest, tokenizer_digest
    from purify.engines.loading import portable_name, revision_of

    tokenizer = AutoTokenizer.from_pretrained(model)
    policy = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    named = {
        "model": portable_name(str(model)),
        "revision": revision_of(str(model)),
        "tokenizer_digest": tokenizer_digest(tokenizer),
        "template_digest": template_digest(tokenizer),
        "temperature": temperature,
    }
    return [
        row.model_copy(update={"scores": Scores(**named, logprobs=plain_logprobs(policy, row, temperature))})
        for row in rows
    ]


def plain_logprobs(model: Any, row: Trajectory, temperature: float = 1.0) -> list[float]:
    """Of the model's own tokens of a row, in order."""
    import torch

    ids, own = flat(row)
    with torch.no_grad():
        logp = (model(input_ids=torch.tensor([ids])).logits[0].float() / temperature).log_softmax(-1)
    return [logp[at - 1, ids[at]].item() for at in range(len(ids)) if own[at]]


def flat(row: Trajectory) -> tuple[list[int], list[bool]]:
    """The row's training sequence, and which of its tokens are the model's."""
    ids, own = list(row.prompt_token_ids or ()), [False] * len(row.prompt_token_ids or ())
    for one in row.steps:
        for part, mine in ((one.reasoning, True), (one.action, True), (one.observation, False)):
            ids += part.token_ids or []
            own += [mine] * len(part.token_ids or [])
    return ids, own


@dataclass(frozen=True)
class _Write:
    schema: pa.Schema

    def __call__(self, rows: list[Trajectory], sink: ShardSink) -> None:
        sink.append(to_table(rows, self.schema), records=len(rows))


def write(path: Path, rows: Sequence[Trajectory]) -> Dataset:
    """A dataset of two shards; its schema is that of the rows."""
    purified = any(row.provenance is not None for row in rows)
    schema = PURIFIED_SCHEMA if purified else RAW_SCHEMA
    if any(row.scores is not None for row in rows):
        schema = scored_schema(schema)
    half = (len(rows) + 1) // 2
    units = [list(rows[:half]), list(rows[half:])]
    stage = Stage(
        name="score",
        kind="purified" if purified else "raw",
        schema=schema,
        config={},
        config_digest="hand-made",
        inputs=["0", "1"],
    )
    run_stage(stage, units, _Write(schema), path)
    return Dataset.open(path)
