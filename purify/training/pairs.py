"""Preference pairs from edits: what the model wrote at a failed step, and what the edit put there, after one context.

The context is the stored one up to the edited step. Of a run of several failures the first is taken: only it was
written in that very context.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pyarrow as pa

from purify.saar.grafts import located
from purify.training.examples import EXAMPLES
from purify.training.marks import GRAFTED
from purify_schemas import Edit, Segment, Step, Trajectory, from_table


def pairs_of(table: pa.Table, rows: list[int], counts: Counter[str]) -> pa.RecordBatch:
    """Two examples an accepted edit, the corrected step first; only the step's own tokens are the model's.

    `counts` learns how many there are, and how many edits lack ids or a replaced call.
    """
    found = [
        example
        for row, trajectory in zip(rows, from_table(table), strict=True)
        for example in _pairs(row, trajectory, counts)
    ]
    return pa.RecordBatch.from_pylist(found, schema=EXAMPLES)


def _pairs(row: int, trajectory: Trajectory, counts: Counter[str]) -> Iterator[dict[str, object]]:
    edits = [edit for edit in (trajectory.provenance.edits if trajectory.provenance else ()) if edit.accepted]
    places = located((edit.raw_steps, edit.reasoning_from or 0, edit.action_from or 0) for edit in edits)
    for edit, at in zip(edits, (graft.stored for graft in places), strict=True):
        context = _context(trajectory, at)
        chosen = _ids(trajectory.steps[at].reasoning, trajectory.steps[at].action)
        rejected = _rejected(edit, trajectory.steps[at])
        if not context or not chosen or not rejected:
            counts["pairs_without_ids"] += 1
            continue
        counts["pairs"] += 1
        temperature = trajectory.scores.temperature if trajectory.scores else 1.0
        for written in (chosen, rejected):
            yield {
                "row": row,
                "temperature": temperature,
                "ids": [*context, *written],
                "at": list(range(len(context), len(context) + len(written))),
                "old": [float("nan")] * len(written),
                "mu": [float("nan")] * len(written),
                "marks": [GRAFTED if written is chosen else 0] * len(written),
            }


def _context(trajectory: Trajectory, steps: int) -> list[int] | None:
    parts = [trajectory.prompt_token_ids]
    for step in trajectory.steps[:steps]:
        parts += [step.reasoning.token_ids, step.action.token_ids, step.observation.token_ids]
    return _joined(*parts)


def _rejected(edit: Edit, grafted: Step) -> list[int] | None:
    """The first failed step, from what the edit keeps of it and what it took out."""
    first = next((part for part in edit.removed if part.raw_step == edit.raw_steps[0]), None)
    if first is None or first.action is None:
        return None
    return _ids(grafted.reasoning if first.reasoning is None else first.reasoning, first.action)


def _ids(*segments: Segment) -> list[int] | None:
    return _joined(*(segment.token_ids for segment in segments))


def _joined(*parts: list[int] | None) -> list[int] | None:
    known = [part for part in parts if part is not None]
    return [token for part in known for token in part] if len(known) == len(parts) else None
