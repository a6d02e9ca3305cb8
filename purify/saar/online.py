"""SAAR while a trajectory is generated (paper, section 3): lookahead, then rollback of the context.

Phase I is ordinary sampling with the failures in view, for at most K attempts; Phase II is the rule that `clean` uses,
on the steps so far. An accepted edit rewrites the context, and the rollout goes on from it. Where the K-th attempt
fails too, the public code is followed: the last attempt stays, a hint is added to its result, and there is no
further rollback in this trajectory.

    rollback = Rollback(SaarConfig(), Difflib(), states)
    rollback.add(step)      # rollback.steps is the context to go on from
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from purify.digests import config_digest
from purify.saar.config import SaarConfig
from purify.saar.gates import View
from purify.saar.plan import plan_run
from purify.saar.rows import METHOD, edited_steps, stale_from, view_of, with_removed
from purify.saar.rule import Run, find_runs
from purify.saar.similarity import Similarity, recorded
from purify_schemas import Edit, Provenance, Step, ToolState

HINT = "Several attempts in a row have failed. Try a different approach."


class Rollback:
    """The context of one trajectory, and the edits made to it. `active` is false for the share that stays raw."""

    def __init__(
        self, config: SaarConfig, similarity: Similarity, states: Sequence[ToolState], *, active: bool = True
    ) -> None:
        self.steps: list[Step] = []
        self._config = config
        self._similarity = similarity
        self._states = states
        self._selected = active
        self._active = active
        self._sampled: list[int] = []  # for each step of the context, which sampled step its action is
        self._count = 0
        self._edits: list[Edit] = []  # in sampled numbers

    def is_last_attempt(self, step: Step) -> bool:
        """Whether `step`, sampled next, fails where no attempt is left, so that its result gets the hint."""
        return self._active and self._exhausted([*self.steps, step]) is not None

    def add(self, step: Step, *, cut_off: bool = False) -> None:
        """Take a sampled step with its observation; rewrite the context if it corrects the failures before it.

        A turn that was `cut_off` at a limit was never executed: it is no attempt.
        """
        self.steps.append(step)
        self._sampled.append(self._count)
        self._count += 1
        if not self._active or cut_off:
            return
        exhausted = self._exhausted(self.steps)
        run = exhausted or self._corrected()
        if run is None:
            return
        edit = self._plan(run)
        if exhausted:
            self._active = False
            if edit.accepted:
                detail = f"{len(run.failed)} retries failed: the last attempt stays"
                edit = edit.model_copy(update={"reason": "unresolved", "detail": detail})
        self._edits.append(self._in_sampled_numbers(with_removed(edit, self.steps)))
        if edit.accepted:
            self.steps = edited_steps(self.steps, [edit])
            first, last = edit.raw_steps[0], edit.raw_steps[-1]
            self._sampled = [*self._sampled[:first], *self._sampled[last:]]

    def provenance(self) -> Provenance:
        """What was done, and why the rest was left alone. Call it when the trajectory has ended."""
        edits = sorted([*self._edits, *self._left_alone()], key=lambda edit: edit.raw_steps[0])
        return Provenance(
            method=METHOD,
            config_digest=config_digest(recorded(self._config, self._similarity)),
            online=True,
            mixed_in=not self._selected,
            stale_from=stale_from(edits),
            edits=edits if self._selected else [],
        )

    def _view(self, steps: Sequence[Step]) -> View:
        # What the next steps will use is not known, and the interpreter keeps what a removed cell did to it.
        return replace(view_of(steps, self._states), goes_on=True)

    def _corrected(self) -> Run | None:
        """The run of failures that the newest step corrects."""
        last = len(self.steps) - 1
        return next((run for run in find_runs(self._view(self.steps).turns) if run.success == last), None)

    def _exhausted(self, steps: Sequence[Step]) -> Run | None:
        """The run in which the newest step is the K-th failed retry, as a run that ends in it."""
        for run in find_runs(self._view(steps).turns):
            if run.failed[-1] == len(steps) - 1 and len(run.failed) > self._config.max_retries:
                return Run(run.failed[:-1], run.failed[-1])
        return None

    def _plan(self, run: Run) -> Edit:
        return plan_run(run, self._view(self.steps), self._config, self._similarity)

    def _left_alone(self) -> list[Edit]:
        """The runs still in the context that no edit speaks of yet: never corrected, or after the last rollback."""
        known = {step for edit in self._edits for step in edit.raw_steps}
        left = []
        for run in find_runs(self._view(self.steps).turns):
            edit = self._in_sampled_numbers(self._plan(run))
            if not known.isdisjoint(edit.raw_steps):
                continue
            if edit.accepted:
                detail = "no rollback after retries were exhausted"
                edit = edit.model_copy(update={"accepted": False, "reason": "unresolved", "detail": detail})
            left.append(edit)
        return left

    def _in_sampled_numbers(self, edit: Edit) -> Edit:
        """Indices of the context become those of the sampled steps, which is what provenance speaks of."""
        number = self._sampled
        links = [
            link.model_copy(update={"from_step": number[link.from_step], "to_step": number[link.to_step]})
            for link in edit.links
        ]
        removed = [part.model_copy(update={"raw_step": number[part.raw_step]}) for part in edit.removed]
        return edit.model_copy(
            update={
                "raw_steps": [number[step] for step in edit.raw_steps],
                "reasoning_from": None if edit.reasoning_from is None else number[edit.reasoning_from],
                "action_from": None if edit.action_from is None else number[edit.action_from],
                "links": links,
                "removed": removed,
            }
        )
