"""What `purify iterate` reports: one row a round."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from purify.evaluating.report import Metrics


class _Report(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RoundReport(_Report):
    """One round: what was sampled, what was edited, what was trained, and how good the policy is then."""

    round: int
    rollouts: Metrics = Field(description="Of the training tasks, as sampled by the policy that the round began with.")
    edits: int | None = Field(description="Failures that were replaced; null where nothing is cleaned.")
    updates: int
    evaluation: Metrics | None = Field(description="Of the policy after the round, on the held-out tasks, SAAR off.")


class IterateReport(_Report):
    """All rounds so far."""

    start: Metrics | None = Field(description="Of the policy before the first round, on the held-out tasks.")
    rounds: list[RoundReport]
