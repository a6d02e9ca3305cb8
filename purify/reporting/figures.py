"""What `purify stats` reports. Every number counts trajectories, steps, calls or edits of the whole dataset."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from purify_schemas.manifest import Kind
from purify_schemas.provenance import EditReason, Granularity, Verdict


class _Report(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ToolStats(_Report):
    calls: int
    failed: int = Field(description="Calls of the tool that ended in error, timeout or malformed.")


class CallStats(_Report):
    """One view of the trajectories: as they were sampled, or as they are after purifying."""

    steps: int = Field(description="Assistant turns.")
    calls: int
    by_status: dict[str, int] = Field(description="Calls by status; a status without calls is left out.")
    failed: int = Field(description="Calls that ended in error, timeout or malformed.")
    failure_rate: float | None = Field(description="failed / calls; null without calls.")
    by_error_type: dict[str, int] = Field(description="Failed calls by error type, the most frequent first.")
    by_tool: dict[str, ToolStats] = Field(description="By tool, the one with most failed calls first.")
    trajectories_with_failure: int = Field(description="Trajectories with at least one failed call.")


class EditStats(_Report):
    """What the SAAR pass did."""

    rows_edited: int = Field(description="Trajectories with at least one accepted edit.")
    rows_mixed_in: int = Field(description="Trajectories left raw on purpose (fraction, apply_to).")
    accepted: dict[Granularity, int] = Field(description="Edits made: shallow and deep.")
    refused: dict[EditReason, int] = Field(description="Edits not made, by reason, the most frequent first.")
    gates: dict[str, dict[Verdict, int]] = Field(description="Verdicts of each gate on the edits it judged.")
    state_unknown: int = Field(description="Edits made though the state of the tool is not declared.")
    similarity: list[int] = Field(description="Comparisons with similarity in [0, 0.1), [0.1, 0.2) ... [0.9, 1].")
    not_comparable: int = Field(description="Comparisons without a similarity: a call could not be parsed.")
    thresholds: list[float] = Field(description="gamma of the edits: at or above it an edit is shallow.")
    turns_removed: int
    tokens_removed: int | None = Field(description="Stored ids of all removed text; null where none has ids.")
    characters_removed: int = Field(description="Reasoning, calls and observations taken out.")


class MeanAdvantage(_Report):
    """Mean GRPO advantage over some of the trajectories."""

    subset: str = Field(description="clean, first_failed, edited or recovered.")
    of: str = Field(description="The same in words.")
    trajectories: int
    mean: float | None = Field(description="Null without such trajectories.")
    standard_error: float | None = Field(description="Of the mean; null for fewer than two.")


class AdvantageStats(_Report):
    """Whether purifying helps an objective with zero-mean advantages; see `purify.reporting.advantage`."""

    trajectories: int = Field(description="Trajectories with a reward in a group with at least one other.")
    means: list[MeanAdvantage] = []
    missing: str | None = Field(default=None, description="Why it could not be computed.")


class Stats(_Report):
    """The numbers of one dataset."""

    kind: Kind
    rows: int = Field(description="Trajectories.")
    groups: int = Field(description="GRPO groups.")
    groups_shared: int = Field(description="Groups with more than one trajectory.")
    rewarded: int = Field(description="Trajectories with a reward.")
    reward_mean: float | None
    before: CallStats = Field(description="As sampled; of a purified dataset, what was removed counted in.")
    after: CallStats | None = Field(description="As stored; null for a raw dataset.")
    edits: EditStats | None = Field(description="Null for a raw dataset.")
    advantage: AdvantageStats
    warnings: list[str] = Field(description="What is zero, or unknown, and should not be.")
