"""Cut a trajectory into passages: steps that are as sampled, and edits with what stood there before."""

from __future__ import annotations

from dataclasses import dataclass

from purify.saar import restore_trajectory
from purify_schemas import Edit, Step, Trajectory

Numbered = list[tuple[int, Step]]


@dataclass(frozen=True)
class Passage:
    """Consecutive steps, numbered as in the raw and in the purified trajectory. `edit` is null for untouched ones."""

    before: Numbered
    after: Numbered
    edit: Edit | None = None


def passages(trajectory: Trajectory) -> list[Passage]:
    """The whole trajectory, in order: one passage for each edit, made or refused, and one for each other step.

    A raw trajectory has untouched steps only, and so has one that was edited while generating: no raw one existed.
    """
    provenance = trajectory.provenance
    if provenance is None or provenance.online:
        numbered = list(enumerate(trajectory.steps))
        return [Passage([step], [step]) for step in numbered]
    raw = list(enumerate(restore_trajectory(trajectory).steps))
    starting = {edit.raw_steps[0]: edit for edit in provenance.edits}
    found: list[Passage] = []
    at = after = 0
    while at < len(raw):
        edit = starting.get(at)
        before = raw[at : at + len(edit.raw_steps)] if edit else [raw[at]]
        kept = 1 if edit and edit.accepted else len(before)
        stored = list(enumerate(trajectory.steps[after : after + kept], start=after))
        found.append(Passage(before, stored, edit))
        at += len(before)
        after += kept
    return found
