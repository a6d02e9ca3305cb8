"""What is known of each token that the model wrote, and what follows from it for its loss and its advantage.

Masks leave tokens out of the loss and keep them in the context. They are the alternative to rewriting (JetBrains'
step-rejection fine-tuning masks failed turns), or soften what an advantage does (VPPO, arXiv 2601.18984).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from purify.lm.sequences import ACTION, REASONING, Sequences
from purify.saar.apply import flat_list
from purify.saar.grafts import grafts
from purify_schemas import FAILED as FAILED_STATUSES

FAILED, GRAFTED, FROM_FAILURE = 1, 2, 4
"""Bits of a mark: of a failed step; put there by an accepted edit; of the first failed step or after it."""

Marks = npt.NDArray[np.uint8]
MaskFailed = Literal["none", "winners", "all"]


def marks(table: pa.Table, flat: Sequences) -> Marks:
    """One mark a token of the model's, rows end to end, in order."""
    step_offsets, steps = flat_list(table.column("steps"))
    failed = failed_steps(steps)
    own = flat.own
    row_of_token = np.repeat(np.arange(len(table)), np.diff(flat.offsets))[own]
    step_of_token = flat.step[own]
    failed_token = failed[step_offsets[:-1][row_of_token] + step_of_token]
    first = _first_failure(failed, step_offsets)
    found = np.where(failed_token, FAILED, 0) | np.where(step_of_token >= first[row_of_token], FROM_FAILURE, 0)
    found |= np.where(_grafted(table, flat)[own], GRAFTED, 0)
    return found.astype(np.uint8)


def failed_steps(steps: pa.StructArray) -> npt.NDArray[np.bool_]:
    """Which steps failed: a call of it did, and none was stopped by the service (`infra`) or refused (`rejected`)."""
    offsets, calls = flat_list(pc.struct_field(steps, "calls"))
    status = pc.struct_field(calls, "status")
    bad, excused = (
        np.concatenate([[0], np.cumsum(np.asarray(pc.is_in(status, value_set=pa.array(sorted(names)))))])
        for names in (FAILED_STATUSES, ("infra", "rejected"))
    )
    failed: npt.NDArray[np.bool_] = (np.diff(bad[offsets]) > 0) & (np.diff(excused[offsets]) == 0)
    return failed


def loss_mask(found: Marks, *, winner: bool, mask_failed: MaskFailed) -> npt.NDArray[np.bool_]:
    """Which of a trajectory's tokens are trained on."""
    if mask_failed == "none" or (mask_failed == "winners" and not winner):
        return np.ones(len(found), dtype=bool)
    kept: npt.NDArray[np.bool_] = (found & FAILED) == 0
    return kept


def token_advantages(
    found: Marks, advantage: float, *, spare_grafts: bool, penalty_after_failure: bool
) -> npt.NDArray[np.float32]:
    """The advantage of each of a trajectory's tokens.

    `spare_grafts`: no negative advantage on what an edit put there. `penalty_after_failure`: a negative one falls only
    on the first failed step and what follows; where no call failed, on everything.
    """
    values = np.full(len(found), advantage, dtype=np.float32)
    if advantage < 0:
        if spare_grafts:
            values[(found & GRAFTED) != 0] = 0
        after = (found & FROM_FAILURE) != 0
        if penalty_after_failure and after.any():
            values[~after] = 0
    return values


def _first_failure(failed: npt.NDArray[np.bool_], step_offsets: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Of each row, the index of its first failed step; a number no step has where none failed."""
    first = np.full(len(step_offsets) - 1, np.iinfo(np.int64).max)
    at = np.flatnonzero(failed)
    row = np.searchsorted(step_offsets, at, side="right") - 1
    rows, where = np.unique(row, return_index=True)
    first[rows] = at[where] - step_offsets[rows]
    return first


def _grafted(table: pa.Table, flat: Sequences) -> npt.NDArray[np.bool_]:
    """Of each token, whether an accepted edit took it from a later turn: the call, and of a deep edit its reasoning."""
    found = np.zeros(len(flat.ids), dtype=bool)
    for row, made in enumerate(grafts(table)):
        tokens = flat.row(row)
        for graft in made:
            sides = (ACTION, REASONING) if graft.deep else (ACTION,)
            found[tokens] |= np.isin(flat.part[tokens], sides) & (flat.step[tokens] == graft.stored)
    return found
