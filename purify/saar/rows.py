"""SAAR on one trajectory: the pure function that a notebook or another trainer calls.

purified, provenance = purify_trajectory(trajectory, SaarConfig(gamma=0.6))
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from purify.digests import config_digest, unit_interval
from purify.saar.config import SaarConfig, SaarRule
from purify.saar.gates import EditKey, Importance, View
from purify.saar.plan import plan
from purify.saar.rule import CallView, Turn
from purify.saar.similarity import Similarity, load_similarity, recorded
from purify_schemas import Edit, Provenance, Removed, StaleFrom, Step, ToolState, Trajectory
from purify_schemas.provenance import Part

METHOD = "saar"


def purify_trajectory(
    trajectory: Trajectory,
    config: SaarConfig | None = None,
    *,
    similarity: Similarity | None = None,
    group_mean: float | None = None,
    parent_digest: str | None = None,
    log_ratios: Mapping[EditKey, float] | None = None,
) -> tuple[Trajectory, Provenance]:
    """Replace failed calls by the trajectory's own later corrections (Phase II).

    `group_mean` is the mean reward of the trajectory's group, needed for `apply_to="winners"`; `parent_digest` the
    digest of the dataset it was read from; `log_ratios` are those of its edits, needed for `min_importance`. Token ids
    and log-probs move with their text; log-probs stay as sampled, and `provenance.stale_from` says from where on they
    no longer describe the stored context.

    Raises `ValueError` if the trajectory is already purified, if winners are asked for without a group mean, or a least
    importance without log-ratios.
    """
    config = config or SaarConfig()
    if trajectory.provenance is not None:
        raise ValueError(f"trajectory {trajectory.trajectory_id} is already purified; restore it first")
    selected = is_selected(trajectory.trajectory_id, trajectory.reward, group_mean, config)
    similarity = similarity or load_similarity(config)
    view = replace(view_of(trajectory.steps, trajectory.tool_state), importance=importance_of(config, log_ratios))
    edits = plan([view], config, similarity)[0] if selected else []
    edits = [with_removed(edit, trajectory.steps) for edit in edits]
    provenance = Provenance(
        parent_id=trajectory.trajectory_id,
        parent_digest=parent_digest,
        method=METHOD,
        config_digest=config_digest(recorded(config, similarity)),
        mixed_in=not selected,
        stale_from=stale_from(edits),
        edits=edits,
    )
    steps = edited_steps(trajectory.steps, edits)
    return trajectory.model_copy(update={"steps": steps, "provenance": provenance}), provenance


def restore_trajectory(purified: Trajectory) -> Trajectory:
    """Undo every edit. The inverse of `purify_trajectory`.

    Raises `ValueError` if the row is raw, or was edited while generating: then no raw rollout ever existed.
    """
    if purified.provenance is None:
        raise ValueError(f"trajectory {purified.trajectory_id} is not purified")
    if purified.provenance.online:
        raise ValueError(f"trajectory {purified.trajectory_id} was edited while generating; no raw rollout exists")
    steps: list[Step] = []
    accepted = {edit.raw_steps[0]: edit for edit in purified.provenance.edits if edit.accepted}
    for step in purified.steps:
        edit = accepted.get(len(steps))
        steps += _raw_steps(edit, step) if edit else [step]
    return purified.model_copy(update={"steps": steps, "provenance": None})


def importance_of(config: SaarConfig, log_ratios: Mapping[EditKey, float] | None) -> Importance | None:
    """The importance gate of one trajectory; None where none is asked for."""
    if config.min_importance is None:
        return None
    if log_ratios is None:
        raise ValueError("min_importance needs the edits' measured log-ratios")
    return Importance(config.min_importance, log_ratios)


def view_of(steps: Sequence[Step], tool_state: Sequence[ToolState]) -> View:
    """What planning needs to know of a row."""
    return View(
        turns=[_turn(step) for step in steps],
        states={entry.name: entry.state for entry in tool_state},
        result=lambda step: "\n".join(message.content or "" for message in steps[step].observation.messages),
    )


def is_drawn(trajectory_id: str, config: SaarRule) -> bool:
    """Whether a trajectory is in the share `fraction` (the paper's mixing): a reproducible draw."""
    return unit_interval("fraction", config.seed, trajectory_id) < config.fraction


def is_selected(trajectory_id: str, reward: float | None, group_mean: float | None, config: SaarConfig) -> bool:
    """Whether SAAR applies to a stored trajectory: the draw for `fraction`, and the reward for winners."""
    if not is_drawn(trajectory_id, config):
        return False
    if config.apply_to == "all":
        return True
    if group_mean is None:
        raise ValueError("apply_to='winners' needs the mean reward of the trajectory's group")
    return reward is not None and reward > group_mean


def stale_from(edits: list[Edit]) -> StaleFrom | None:
    """From where on the sampled log-probs do not describe the stored context: the first graft."""
    first = next((edit for edit in edits if edit.accepted), None)
    if first is None:
        return None
    # Steps before the first edit keep their numbers, so its purified index is its raw one.
    return StaleFrom(step=first.raw_steps[0], part="action" if first.granularity == "shallow" else "reasoning")


def removed_part(edit: Edit, step: int) -> Part | None:
    """Which part of a raw step an accepted edit takes out; None if it uses both sides."""
    if step == edit.reasoning_from:
        return None if step == edit.action_from else "action"
    return "reasoning" if step == edit.action_from else "step"


def _turn(step: Step) -> Turn:
    return Turn(
        calls=[CallView(call.name, call.arguments, call.status, call.error_type) for call in step.calls],
        has_human=step.observation.has_human,
        boundary=step.boundary if step.has_both_ids == step.has_ids else "unknown",
        has_ids=step.has_ids,
        raw=step.action.text,
    )


def edited_steps(steps: Sequence[Step], edits: Sequence[Edit]) -> list[Step]:
    """Apply accepted edits, whose indices are those of `steps`."""
    accepted = {edit.action_from: edit for edit in edits if edit.accepted}
    gone = {step for edit in accepted.values() for step in edit.raw_steps if step != edit.action_from}
    edited = []
    for index, step in enumerate(steps):
        if index in gone:
            continue
        edit = accepted.get(index)
        if edit is not None and edit.reasoning_from is not None:
            source = steps[edit.reasoning_from]
            step = step.model_copy(update={"reasoning": source.reasoning, "thinking_chars": source.thinking_chars})
        edited.append(step)
    return edited


def with_removed(edit: Edit, steps: Sequence[Step]) -> Edit:
    """The edit, keeping what applying it takes out of `steps`."""
    if not edit.accepted:
        return edit
    removed = []
    for index in edit.raw_steps:
        part = removed_part(edit, index)
        if part is None:
            continue
        step = steps[index]
        reasoning = {} if part == "action" else {name: getattr(step, name) for name in _REASONING_SIDE}
        action = {} if part == "reasoning" else {name: getattr(step, name) for name in _ACTION_SIDE}
        removed.append(Removed(raw_step=index, part=part, **reasoning, **action))
    return edit.model_copy(update={"removed": removed})


def _raw_steps(edit: Edit, grafted: Step) -> list[Step]:
    removed = {part.raw_step: part for part in edit.removed}
    steps = []
    for index in edit.raw_steps:
        part = removed.get(index)
        kept_reasoning = part is None or part.part == "action"
        kept_action = part is None or part.part == "reasoning"
        reasoning = grafted if kept_reasoning else part
        action = grafted if kept_action else part
        steps.append(
            Step(
                **{name: getattr(reasoning, name) for name in _REASONING_SIDE},
                **{name: getattr(action, name) for name in _ACTION_SIDE},
            )
        )
    return steps


_REASONING_SIDE = ("reasoning", "thinking_chars")
_ACTION_SIDE = ("action", "calls", "observation", "boundary", "extra")
