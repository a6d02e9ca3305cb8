"""The token ids of a trajectory, stretch by stretch, with the log-probs that still describe them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from purify_schemas import Trajectory

Part = Literal["prompt", "reasoning", "action", "observation"]


class Stretch(NamedTuple):
    """Consecutive tokens of one part of one step; `step` is -1 in the prompt. It may hold no token."""

    part: Part
    step: int
    ids: list[int]
    logprobs: list[float] | None = None
    """Of the sampling distribution; None where unknown, or stale since an edit."""
    scored: list[float] | None = None
    """Of a scoring pass; None where there was none."""
    stale: bool = False
    """Whether there are log-probs, but those of another context."""

    @property
    def own(self) -> bool:
        """Whether the model wrote it."""
        return self.part in ("reasoning", "action")


def ids_problem(trajectory: Trajectory) -> str | None:
    """Why the row is no whole token sequence; None if it is."""
    steps = trajectory.steps
    if not steps:
        return "no turn of the model"
    if trajectory.prompt_token_ids is None and not any(step.has_ids for step in steps):
        return "no token ids"
    if trajectory.prompt_token_ids is None:
        return "no token ids of the prompt"
    if not all(step.has_ids for step in steps):
        return "no token ids of some turns"
    if any(step.observation.token_ids is None for step in steps[:-1]):
        return "no token ids of what came back after some turns"
    return None


def stretches(trajectory: Trajectory) -> Iterator[Stretch]:
    """The prompt, then reasoning, action and observation of each step, in order. Null ids count as none."""
    scored = trajectory.scores.logprobs if trajectory.scores is not None else None
    stale = trajectory.provenance.stale_from if trajectory.provenance is not None else None
    begin = None if stale is None else (stale.step, stale.part == "action")
    yield Stretch("prompt", -1, trajectory.prompt_token_ids or [])
    at = 0
    for index, step in enumerate(trajectory.steps):
        parts: tuple[Part, Part] = ("reasoning", "action")
        for part, segment in zip(parts, (step.reasoning, step.action), strict=True):
            ids = segment.token_ids or []
            is_stale = bool(ids) and begin is not None and (index, part == "action") >= begin
            yield Stretch(
                part,
                index,
                ids,
                logprobs=None if is_stale else segment.logprobs,
                scored=None if scored is None else scored[at : at + len(ids)],
                stale=is_stale and segment.logprobs is not None,
            )
            at += len(ids)
        yield Stretch("observation", index, step.observation.token_ids or [])
