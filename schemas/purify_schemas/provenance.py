"""What a purified row says about itself: every edit, made or refused, and all that was taken out.

All step numbers are indices into the *raw* trajectory unless a field says otherwise. An accepted edit replaces the
raw steps `raw_steps` by one step whose reasoning side is that of `reasoning_from` and whose action side is that of
`action_from`; whatever the new step does not use is kept in `removed`, which is what makes `restore` exact.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from purify_schemas.names import Boundary
from purify_schemas.rows import Call, Float64, Int32, Observation, Row, Segment

Granularity = Literal["shallow", "deep"]
Verdict = Literal["pass", "refuse", "unknown"]
Part = Literal["reasoning", "action", "step"]
EditReason = Literal["unresolved", "not_a_correction", "parallel_partial", "too_long", "boundary", "gate"]


class StaleFrom(Row):
    """Where the sampled log-probs stop describing the stored context. `step` indexes the *purified* trajectory."""

    step: Int32
    part: Literal["reasoning", "action"]


class Link(Row):
    """One comparison Sim(failed, corrected) and what it decided. `similarity` is null for an unparsable call."""

    from_step: Int32
    to_step: Int32
    similarity: Float64 | None
    granularity: Granularity


class GateResult(Row):
    name: str
    verdict: Verdict
    detail: str | None = None


class Removed(Row):
    """One side (or both) of a raw step that the purified trajectory no longer contains."""

    raw_step: Int32
    part: Part
    reasoning: Segment | None = None
    thinking_chars: Int32 | None = None
    action: Segment | None = None
    calls: list[Call] | None = None
    observation: Observation | None = None
    boundary: Boundary | None = None
    extra: str | None = None


class Edit(Row):
    """One run of failures with its correction: grafted (`accepted`) or left alone for `reason`."""

    raw_steps: list[Int32]
    reasoning_from: Int32 | None = None
    action_from: Int32 | None = None
    links: list[Link] = []
    backend: str | None = None
    threshold: Float64 | None = Field(default=None, description="gamma: at or above it a replacement is shallow.")
    gates: list[GateResult] = []
    accepted: bool = False
    reason: EditReason | None = Field(
        default=None,
        description="Why it was refused. Of an accepted one, unresolved: the last of the retries failed too.",
    )
    detail: str | None = None
    removed: list[Removed] = []

    @property
    def granularity(self) -> Granularity | None:
        """Shallow keeps the first failed turn's reasoning; null where there was no correction to graft."""
        if self.reasoning_from is None:
            return None
        return "shallow" if self.reasoning_from == self.raw_steps[0] else "deep"


class Provenance(Row):
    """How a purified row came to be."""

    parent_id: str | None = Field(default=None, description="trajectory_id of the raw row; null when online.")
    parent_digest: str | None = Field(default=None, description="Digest of the raw dataset the row was read from.")
    method: str
    config_digest: str
    online: bool = Field(default=False, description="Edited while generating: no raw rollout ever existed.")
    mixed_in: bool = Field(default=False, description="Left raw on purpose (fraction, apply_to).")
    stale_from: StaleFrom | None = None
    edits: list[Edit] = []
