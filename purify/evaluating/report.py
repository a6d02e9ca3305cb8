"""What `purify evaluate` reports: every figure with the interval it lies in, and what it was counted over."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class _Report(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Estimate(_Report):
    """A figure and its 95 % confidence interval over tasks."""

    value: float | None = Field(description="Null where there was nothing to count over.")
    low: float | None = Field(default=None, description="Lower end of the interval; null with fewer than two tasks.")
    high: float | None = Field(default=None, description="Upper end.")
    of: int = Field(description="How many tasks, trajectories or calls it is a mean over or a share of.")
    note: str | None = Field(default=None, description="Why a number is missing, or what to know of the interval.")


class Metrics(_Report):
    """The figures of one set of rollouts. Correct is a reward above 0; trajectories without a reward are left out of
    every figure that asks for one. Calls are those that the stored trajectories hold."""

    tasks: int
    trajectories: int
    rewarded: int = Field(description="Trajectories with a reward.")
    calls: int
    failed_calls: int = Field(description="Calls that ended in error, timeout or malformed.")
    removed_calls: int = Field(description="Calls that SAAR took out; they are in no figure but the one as sampled.")
    pass_at: dict[int, Estimate] = Field(description="pass@k by k: 1 - C(n - c, k) / C(n, k), a mean over tasks.")
    tool_error_rate: Estimate = Field(description="Failed calls of all calls.")
    tool_error_rate_as_sampled: Estimate = Field(description="The same, the calls that SAAR took out counted in.")
    first_call_failures: Estimate = Field(description="Of the trajectories with a call: the first call failed.")
    correct_without_failed_call: Estimate = Field(description="Of all trajectories: correct, and no call failed.")
    recovery_rate: Estimate = Field(description="Of the trajectories with a failed call: correct.")
    reward: Estimate = Field(description="Mean reward.")
    turns: Estimate = Field(description="Mean number of assistant turns of a trajectory.")
    tokens: Estimate = Field(description="Mean number of tokens that the model wrote in a trajectory.")


class Evaluation(_Report):
    """One policy on one task file. `saar` stands beside `rollouts`, never in its place."""

    model: str = Field(description="The model's hub name, or its folder's name and a digest of its weights.")
    tasks: str = Field(description="Name of the task file.")
    rejected: int = Field(description="Rows of the task file that could not be used; rollouts/rejected/ says why.")
    options: dict[str, Any] = Field(description="How the rollouts were sampled.")
    rollouts: Metrics = Field(description="SAAR off.")
    saar: Metrics | None = Field(default=None, description="SAAR on; null if it was not asked for.")
