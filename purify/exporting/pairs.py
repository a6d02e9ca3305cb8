"""A purified trajectory beside the raw one: what they share, and how each goes on.

They differ from the first accepted edit on. The cut is before the model's turn there, even if its text should be the
same in both: what a preference compares begins with something the model wrote.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from purify.exporting.chat import prompt_messages, step_messages
from purify.saar import restore_trajectory
from purify_schemas import Trajectory

NOT_EDITED = "no accepted edit: purified and raw are the same"
NO_RAW = "edited while generating: no raw rollout exists"
NO_PROMPT = "nothing comes before the first difference"

Messages = list[dict[str, Any]]


class Pair(NamedTuple):
    prompt: Messages
    purified: Messages
    """What follows the prompt in the purified trajectory."""
    raw: Messages
    raw_row: Trajectory
    first: int
    """The step at which they part, the same in both."""


def pair(trajectory: Trajectory) -> Pair | str:
    """The pair, or the reason why there is none."""
    edits = trajectory.provenance.edits if trajectory.provenance is not None else []
    first = next((edit.raw_steps[0] for edit in edits if edit.accepted), None)
    if trajectory.provenance is None or first is None:
        return NOT_EDITED
    if trajectory.provenance.online:
        return NO_RAW
    raw = restore_trajectory(trajectory)
    prompt = prompt_messages(trajectory) + turns(trajectory, 0, first)
    if not prompt:
        return NO_PROMPT
    return Pair(prompt, turns(trajectory, first), turns(raw, first), raw, first)


def turns(trajectory: Trajectory, start: int, stop: int | None = None) -> Messages:
    """The messages of some steps. Steps before the first edit have the same number in both trajectories."""
    return [message for step in trajectory.steps[start:stop] for message in step_messages(step)]
