"""From a dataset to what the loop draws from: which trajectories, with which advantage, as flat arrays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from purify.datasets import Dataset
from purify.errors import PurifyError
from purify.lm.sequences import sequences
from purify.training.advantages import advantages
from purify.training.batches import Unit
from purify.training.checks import check_unresolved
from purify.training.config import TrainConfig
from purify.training.examples import EXAMPLES, Examples, examples_of, write_examples
from purify.training.losses.algorithms import ALGORITHMS
from purify.training.pairs import pairs_of

EXAMPLES_FILE = "examples.arrow"


class Limits(NamedTuple):
    """What the model takes."""

    vocabulary: int
    max_length: int | None


@dataclass(frozen=True)
class Prepared:
    """The data of a run."""

    examples: Examples
    units: list[Unit]
    groups: list[str]
    """Of each unit."""
    advantages: npt.NDArray[np.float64]
    """Of each example."""
    winners: npt.NDArray[np.bool_]
    """Of each example: whether its reward is above its group's mean."""
    rewards: npt.NDArray[np.float64]
    """Of each example; NaN where there is none."""
    counts: dict[str, int]
    """Groups and trajectories that were left out, by reason."""


def prepare(dataset: Dataset, config: TrainConfig, limits: Limits, folder: Path, *, write: bool) -> Prepared:
    """Choose the trajectories and lay them out in `folder`. With `write` false, another process has done that.

    Raises `PurifyError` if none is left, if ids are outside the vocabulary, or if what would be reinforced holds
    failures that were never corrected.
    """
    counts: Counter[str] = Counter()
    frame = _rows(dataset, config, counts)
    path = folder / EXAMPLES_FILE
    if write:
        if config.algorithm != "dpo":
            check_unresolved(dataset, config, frame.filter(pl.col("reinforced"))["row"])
        left = Counter[str]()
        write_examples(path, _batches(dataset, config, limits, frame, left))
        _refuse_strange_ids(dataset, config, left)
        pl.DataFrame({"name": list(left), "count": list(left.values())}).write_ipc(folder / "left_out.arrow")
    left_out = pl.read_ipc(folder / "left_out.arrow")
    counts.update(dict(left_out.iter_rows()))
    examples = Examples(path)
    if not len(examples):
        raise PurifyError(f"{dataset.path}: no trajectory is left to train on ({_reasons(counts)})")
    at = {row: index for index, row in enumerate(frame["row"])}
    order = np.array([at[row] for row in examples.rows])
    step = 2 if config.algorithm == "dpo" else 1
    groups = frame["group_id"].to_list()
    return Prepared(
        examples=examples,
        units=[tuple(range(first, first + step)) for first in range(0, len(examples), step)],
        groups=[groups[order[first]] for first in range(0, len(examples), step)],
        advantages=frame["advantage"].to_numpy()[order],
        winners=frame["reinforced"].to_numpy()[order],
        rewards=frame["reward"].cast(pl.Float64).fill_null(float("nan")).to_numpy()[order],
        counts=dict(sorted(counts.items())),
    )


def _rows(dataset: Dataset, config: TrainConfig, counts: Counter[str]) -> pl.DataFrame:
    """row, group_id, reward, advantage, reinforced (its weight in the loss is positive) of what is trained on."""
    frame = dataset.scan().select("group_id", "reward").collect().with_row_index("row")
    counts["trajectories"] = len(frame)
    counts["groups"] = frame["group_id"].n_unique()
    algorithm = ALGORITHMS[config.algorithm]
    kind = config.advantage or algorithm.advantage
    if config.algorithm in ("sft", "dpo"):
        return frame.with_columns(advantage=pl.lit(1.0), reinforced=pl.lit(True))
    unknown = frame["reward"].null_count()
    counts["without_reward"] = unknown
    if unknown == len(frame):
        raise PurifyError(
            f"{dataset.path}: {config.algorithm} needs rewards, and no trajectory has one; "
            "generate with --verifier, import a dump with rewards, or use --algorithm sft"
        )
    if config.algorithm == "rft":
        kept = frame.filter(pl.col("reward") > config.min_reward)
        counts["not_above_min_reward"] = len(frame) - unknown - len(kept)
        return kept.with_columns(advantage=pl.lit(1.0), reinforced=pl.lit(True))
    judged = advantages(frame, kind, beta=config.beta)
    single, flat = (judged.filter(pl.col(name)) for name in ("single", "zero_variance"))
    counts["one_sample_groups"] = single["group_id"].n_unique()
    counts["zero_variance_groups"] = flat["group_id"].n_unique()
    known = judged.filter(pl.col("advantage").is_not_null(), ~pl.col("single"))
    # Of equal rewards oapl learns, too: to stay where it is.
    if not (config.keep_zero_variance or config.algorithm == "oapl"):
        known = known.filter(~pl.col("zero_variance"))
    if known.is_empty():
        raise PurifyError(
            f"{dataset.path}: no trajectory is left to train on ({_reasons(counts)}); {config.algorithm} compares "
            "rewards within a group: sample more of each task (--group-size), or use --algorithm rft"
        )
    return known.with_columns(reinforced=pl.col("advantage") > 0)


def _batches(
    dataset: Dataset, config: TrainConfig, limits: Limits, frame: pl.DataFrame, left: Counter[str]
) -> Iterator[pa.RecordBatch]:
    wanted = np.zeros(dataset.manifest.rows, dtype=bool)
    wanted[frame["row"].to_numpy()] = True
    first = 0
    for table in dataset.tables():
        here = wanted[first : first + len(table)]
        rows = first + np.flatnonzero(here)
        first += len(table)
        chosen = table.filter(pa.array(here))
        if not len(chosen):
            continue
        if config.algorithm == "dpo":
            batch = pairs_of(chosen, rows.tolist(), left)
            fits = _fitting(batch, limits, left)
            fits &= np.repeat(fits.reshape(-1, 2).all(axis=1), 2)
        else:
            whole = ~sequences(chosen).missing
            left["without_ids"] += int((~whole).sum())
            batch = examples_of(chosen.filter(pa.array(whole)), rows[whole].tolist())
            if "unscored" in config.allow:
                batch = _with_sampled(batch)
            fits = _fitting(batch, limits, left)
            if ALGORITHMS[config.algorithm].needs_old:
                scored = _scored(batch)
                left["without_logprobs"] += int((fits & ~scored).sum())
                fits &= scored
        if fits.any():
            yield batch.filter(pa.array(fits))


def _fitting(batch: pa.RecordBatch, limits: Limits, left: Counter[str]) -> npt.NDArray[np.bool_]:
    """Which examples have something to learn and go into the model. What does not is counted."""
    lengths, tokens = (np.asarray(pc.list_value_length(batch.column(name))) for name in ("ids", "at"))
    # A token without context has no log-prob; a row whose prompt is empty begins with one.
    headless = np.array(
        [bool(tokens[at]) and batch.column("at")[at].values[0].as_py() == 0 for at in range(len(batch))], dtype=bool
    )
    empty = (tokens == 0) | headless
    long = np.zeros(len(batch), dtype=bool) if limits.max_length is None else lengths > limits.max_length
    largest = np.array([pc.max(ids.values).as_py() or 0 for ids in batch.column("ids")], dtype=np.int64)
    strange = largest >= limits.vocabulary
    left["without_ids"] += int(empty.sum())
    left["longer_than_the_model"] += int((long & ~empty).sum())
    left["ids_outside_the_vocabulary"] += int((strange & ~empty).sum())
    fits: npt.NDArray[np.bool_] = ~empty & ~long & ~strange
    return fits


def _scored(batch: pa.RecordBatch) -> npt.NDArray[np.bool_]:
    """Which examples know the old log-prob of every token."""
    offsets = np.asarray(batch.column("old").offsets)
    unknown = np.concatenate([[0], np.cumsum(np.isnan(np.asarray(batch.column("old").flatten())))])
    scored: npt.NDArray[np.bool_] = np.diff(unknown[offsets - offsets[0]]) == 0
    return scored


def _with_sampled(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Sampled log-probs in place of scored ones that are missing."""
    old, mu = batch.column("old"), batch.column("mu")
    values = np.where(np.isnan(old.values), mu.values, old.values)
    filled = pa.ListArray.from_arrays(old.offsets, pa.array(values.astype(np.float32)))
    return batch.set_column(EXAMPLES.get_field_index("old"), EXAMPLES.field("old"), filled)


def _refuse_strange_ids(dataset: Dataset, config: TrainConfig, left: Counter[str]) -> None:
    if left["ids_outside_the_vocabulary"] and "vocabulary" not in config.allow:
        raise PurifyError(
            f"{dataset.path}: {left['ids_outside_the_vocabulary']:,} trajectories have ids outside the vocabulary of "
            f"{config.model}; train the model that the ids are of, or leave them out with --allow vocabulary"
        )


def _reasons(counts: Counter[str]) -> str:
    told = (f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items() if count)
    return ", ".join(told)
