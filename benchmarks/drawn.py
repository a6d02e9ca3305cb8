"""A model and scored trajectories drawn at random, for the benchmarks of `train`: speed does not depend on weights.

Lengths are as rollouts have them: most are short, some are many times longer.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from purify.datasets import Dataset, ShardSink, Stage, run_stage
from purify_schemas import RAW_SCHEMA, Observation, Scores, Segment, Source, Step, Trajectory, scored_schema, to_table

SHAPES: dict[str, dict[str, int]] = {
    "small": {
        "hidden_size": 256, "intermediate_size": 768, "num_hidden_layers": 6, "num_attention_heads": 8,
        "num_key_value_heads": 4, "head_dim": 32, "vocab_size": 8192,
    },
    "Qwen3-0.6B": {
        "hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 28, "num_attention_heads": 16,
        "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151936,
    },
    "Qwen3-4B": {
        "hidden_size": 2560, "intermediate_size": 9728, "num_hidden_layers": 36, "num_attention_heads": 32,
        "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151936,
    },
}  # fmt: skip


class Sequence(NamedTuple):
    """A trajectory as ids, and which of them the model wrote."""

    ids: np.ndarray
    own: np.ndarray


def new_model(folder: Path, shape: str, dtype: str) -> Path:
    """A Qwen3 of this shape with random weights, saved with some tokenizer."""
    import torch
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(0)
    config = Qwen3Config(**SHAPES[shape], max_position_embeddings=32768, tie_word_embeddings=True)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        Qwen3ForCausalLM(config).to(getattr(torch, dtype)).save_pretrained(folder)
    words = {f"t{index}": index for index in range(SHAPES[shape]["vocab_size"])}
    backend = Tokenizer(models.WordLevel(words, unk_token="t0"))
    PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="t1", pad_token="t0").save_pretrained(folder)
    return folder


def draw(count: int, median: int, longest: int, vocabulary: int, seed: int = 0) -> list[Sequence]:
    """Lognormal lengths (sigma 0.8), two fifths of a trajectory the model's own, in turns."""
    random = np.random.default_rng(seed)
    found = []
    for length in np.clip(random.lognormal(np.log(median), 0.8, count), 32, longest).astype(int):
        own = (np.arange(length) // max(8, length // 10)) % 5 >= 3
        found.append(Sequence(random.integers(2, vocabulary, length).astype(np.int32), own))
    return found


def write(path: Path, sequences: list[Sequence], group_size: int = 8) -> Dataset:
    """The sequences as a scored dataset; the old log-probs are those of a uniform policy, for speed alone."""
    rows = [_row(index, sequence, group_size) for index, sequence in enumerate(sequences)]

    def work(unit: list[Trajectory], sink: ShardSink) -> None:
        sink.append(to_table(unit, scored_schema(RAW_SCHEMA)), records=len(unit))

    stage = Stage("score", "raw", scored_schema(RAW_SCHEMA), config={}, inputs=["drawn"], config_digest="drawn")
    run_stage(stage, [rows], work, path)
    return Dataset.open(path)


def _row(index: int, sequence: Sequence, group_size: int) -> Trajectory:
    changes = np.flatnonzero(np.diff(sequence.own.astype(int))) + 1
    parts = np.split(sequence.ids, changes)
    steps = []
    for at in range(1, len(parts), 2):
        after = parts[at + 1].tolist() if at + 1 < len(parts) else []
        steps.append(
            Step(
                reasoning=Segment(token_ids=parts[at].tolist()),
                action=Segment(token_ids=[]),
                observation=Observation(token_ids=after),
            )
        )
    return Trajectory(
        trajectory_id=str(index),
        task_id=str(index // group_size),
        group_id=str(index // group_size),
        prompt_token_ids=parts[0].tolist(),
        steps=steps,
        reward=float(index % 2),
        source=Source(temperature=1.0),
        scores=Scores(logprobs=[-9.0] * int(sequence.own.sum())),
    )


def ours(folder: Path, data: Path, out: Path, **options: Any) -> list[dict[str, Any]]:
    """Metrics of each update of `purify train`."""
    from purify.training import TrainConfig, train
    from purify.training.metrics import read_metrics

    train(data, out, TrainConfig(model=str(folder), allow=("policy",), warmup=0, save_every=10**6, **options))
    return read_metrics(out)
