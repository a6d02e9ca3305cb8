"""SAAR on a table: plan on a few columns, apply with Arrow. Rows never become Python objects.

Agrees with `purify_trajectory` on every row (they share the plan; `tests/saar/test_batch.py` compares the rest).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from purify.digests import config_digest
from purify.errors import PurifyError
from purify.saar.apply import Ints, apply_edits, flat_list
from purify.saar.config import SaarConfig
from purify.saar.gates import EditKey, View
from purify.saar.plan import plan
from purify.saar.rows import METHOD, importance_of, is_selected
from purify.saar.rule import CallView, Turn
from purify.saar.similarity import Similarity, recorded
from purify_schemas import FAILED, Edit


def purify_table(
    table: pa.Table,
    config: SaarConfig,
    similarity: Similarity,
    *,
    parent_digest: str | None,
    group_means: Mapping[str, float] | None = None,
    log_ratios: Sequence[Mapping[EditKey, float]] | None = None,
) -> tuple[pa.Table, Counter[str]]:
    """Purify a raw table (`RAW_SCHEMA`); returns the purified one (`PURIFIED_SCHEMA`) and what was done, counted.

    `group_means` are the mean rewards by group_id, needed for `apply_to="winners"`; `log_ratios` those of the
    edits of each row, needed for `min_importance`.
    """
    selected = _selected(table, config, group_means)
    steps = _Steps(table, config)
    candidates = np.flatnonzero(steps.rows_with_failures() & selected)
    views = [steps.view(int(row)) for row in candidates]
    if config.min_importance is not None:
        views = [
            replace(view, importance=importance_of(config, None if log_ratios is None else log_ratios[row]))
            for view, row in zip(views, candidates.tolist(), strict=True)
        ]
    planned = plan(views, config, similarity)
    edits: list[Sequence[Edit]] = [()] * len(table)
    for row, found in zip(candidates, planned, strict=True):
        edits[int(row)] = found
    constants = {
        "parent_digest": parent_digest,
        "method": METHOD,
        "config_digest": config_digest(recorded(config, similarity)),
    }
    purified = apply_edits(table, edits, selected, constants)
    return purified, _count(steps, edits, selected)


class _Steps:
    """The columns that planning looks at, read once for a table."""

    def __init__(self, table: pa.Table, config: SaarConfig) -> None:
        self.offsets, steps = flat_list(table.column("steps"))
        self._call_offsets, calls = flat_list(pc.struct_field(steps, "calls"))
        self.failed_calls = _truth(pc.is_in(pc.struct_field(calls, "status"), value_set=pa.array(sorted(FAILED))))
        self._calls = list(map(CallView, *(_strings(pc.struct_field(calls, name)) for name in CallView._fields)))
        self._observation_offsets, self._messages = flat_list(pc.struct_field(steps, ["observation", "messages"]))
        self._human_before = _before(_truth(pc.equal(pc.struct_field(self._messages, "role"), "user")))
        sides = [pc.is_valid(pc.struct_field(steps, [side, "token_ids"])) for side in ("reasoning", "action")]
        self._has_ids = _truth(pc.or_(*sides)).tolist()
        # Ids on one side only cannot be split, whatever the source said.
        self._boundary = _strings(pc.if_else(pc.equal(*sides), pc.struct_field(steps, "boundary"), "unknown"))
        # Raw texts are long: only the comparison of whole calls reads them.
        raw = pc.struct_field(steps, ["action", "text"])
        self._raw = _strings(raw) if config.compare == "call" else [None] * len(steps)
        self._states = table.column("tool_state").to_pylist()

    @property
    def calls(self) -> int:
        return len(self._calls)

    def rows_with_failures(self) -> npt.NDArray[np.bool_]:
        return np.diff(_before(self.failed_calls)[self._call_offsets[self.offsets]]) > 0

    def view(self, row: int) -> View:
        """The same view as `rows.view_of`, from columns."""
        first, last = int(self.offsets[row]), int(self.offsets[row + 1])
        call_ends = self._call_offsets[first : last + 1].tolist()
        observed = self._observation_offsets[first : last + 1]
        humans = np.diff(self._human_before[observed]).tolist()
        turns = [
            Turn(
                calls=self._calls[call_ends[index] : call_ends[index + 1]],
                has_human=humans[index] > 0,
                boundary=self._boundary[first + index],
                has_ids=self._has_ids[first + index],
                raw=self._raw[first + index],
            )
            for index in range(last - first)
        ]
        states = {entry["name"]: entry["state"] for entry in self._states[row]}
        return View(turns, states, result=lambda step: self._result(first + step))

    def _result(self, step: int) -> str:
        first, last = int(self._observation_offsets[step]), int(self._observation_offsets[step + 1])
        contents = pc.struct_field(self._messages.slice(first, last - first), "content").to_pylist()
        return "\n".join(content or "" for content in contents)


def _strings(array: pa.StringArray) -> list[Any]:
    """As `to_pylist`, through numpy: several times faster."""
    values: list[Any] = array.to_numpy(zero_copy_only=False).tolist()
    return values


def _truth(array: pa.BooleanArray) -> npt.NDArray[np.bool_]:
    return np.asarray(array, dtype=bool)


def _before(flags: npt.NDArray[np.bool_]) -> Ints:
    """How many flags are set before each index, 0 to len: ranges are counted by one subtraction."""
    return np.concatenate([[0], np.cumsum(flags)])


def _selected(table: pa.Table, config: SaarConfig, group_means: Mapping[str, float] | None) -> npt.NDArray[np.bool_]:
    if config.fraction >= 1 and config.apply_to == "all":
        return np.ones(len(table), dtype=bool)
    ids, rewards = table.column("trajectory_id").to_pylist(), table.column("reward").to_pylist()
    if config.apply_to == "all":
        return np.array([is_selected(i, None, None, config) for i in ids], dtype=bool)
    if group_means is None:
        raise PurifyError("apply_to winners needs the groups' mean rewards")
    groups = table.column("group_id").to_pylist()
    return np.array(
        [
            is_selected(i, reward, group_means.get(group, float("inf")), config)
            for i, reward, group in zip(ids, rewards, groups, strict=True)
        ],
        dtype=bool,
    )


def _count(steps: _Steps, edits: Sequence[Sequence[Edit]], selected: npt.NDArray[np.bool_]) -> Counter[str]:
    counts: Counter[str] = Counter(
        {
            "steps": int(steps.offsets[-1]),
            "calls": steps.calls,
            "failed_calls": int(steps.failed_calls.sum()),
            "rows_mixed_in": int((~selected).sum()),
            "rows_edited": sum(any(edit.accepted for edit in found) for found in edits),
        }
    )
    for found in edits:
        for edit in found:
            if edit.accepted:
                counts[f"edits_{edit.granularity}"] += 1
                for gate in edit.gates:
                    if gate.verdict == "unknown":
                        counts[f"edits_{gate.name}_unknown"] += 1
            else:
                counts[f"refused_{edit.reason}"] += 1
                if any(gate.name == "importance" and gate.verdict == "refuse" for gate in edit.gates):
                    counts["importance_refused"] += 1
    return counts
