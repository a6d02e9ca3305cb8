"""Importance ratios of accepted edits: how likely the graft is in its new place, against where it was sampled.

    log_ratio = sum log pi(graft | stored context) - sum log pi(graft | as sampled)

The graft is the corrected call, and with a deep edit its reasoning too.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from purify.lm.sequences import ACTION, REASONING
from purify.saar.apply import flat_list
from purify.saar.grafts import Graft
from purify.scoring.ids import Batch
from purify_schemas import EditScore

Singles = npt.NDArray[np.float32]


def graft_logprobs(batch: Batch, row: int, logprobs: Singles, step: int, *, deep: bool) -> Singles:
    """Those of a step's call, and of its reasoning if `deep`. `logprobs` are of the row's own tokens."""
    here = batch.sequences.row(row)
    own = batch.own[here]
    part, steps = batch.sequences.part[here][own], batch.sequences.step[here][own]
    wanted: Singles = logprobs[(steps == step) & ((part == ACTION) | (deep & (part == REASONING)))]
    return wanted


def edit_score(graft: Graft, now: Singles, before: Singles) -> EditScore:
    """Log-probs of the graft in its new place and as sampled -> the score. A rendered call may be cut into other tokens
    there, so only the sums are compared."""
    ratio = float(now.sum(dtype=np.float64) - before.sum(dtype=np.float64))
    return EditScore(raw_steps=graft.raw_steps, tokens=len(now), log_ratio=ratio)


class SampledLogprobs:
    """The stored log-probs of a table's steps: those of the sampling."""

    def __init__(self, table: pa.Table) -> None:
        self._offsets, steps = flat_list(table.column("steps"))
        self._sides = [pc.struct_field(steps, side) for side in ("reasoning", "action")]

    def of(self, row: int, step: int, *, deep: bool) -> Singles | None:
        """As `graft_logprobs`; None if they are not stored."""
        at = int(self._offsets[row]) + step
        values: list[float] = []
        for side in self._sides[0 if deep else 1 :]:
            segment = side[at].as_py()
            if segment["logprobs"] is None and segment["token_ids"] is not None:
                return None
            values += segment["logprobs"] or []
        return np.array(values, dtype=np.float32)
