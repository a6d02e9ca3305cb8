"""Every option of `purify toy`, and the three noise designs of its demonstrations."""

from __future__ import annotations

from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

DesignName = Literal["A", "B", "C"]


class Design(NamedTuple):
    """How often a demonstrated call goes wrong. All four are probabilities."""

    first_error: float
    """That the first call fails."""
    retry_fix: float
    """That a call after a failed one does not fail."""
    first_silent: float
    """That a first call which runs prints a wrong answer."""
    retry_silent: float
    """That a later call which runs prints a wrong answer."""


DESIGNS: dict[DesignName, Design] = {
    "A": Design(first_error=0.50, retry_fix=0.5, first_silent=0.10, retry_silent=0.30),
    "B": Design(first_error=0.65, retry_fix=0.5, first_silent=0.20, retry_silent=0.20),
    "C": Design(first_error=0.55, retry_fix=0.7, first_silent=0.45, retry_silent=0.08),
}
"""A: who failed first is wrong more often. B: failing says nothing. C: who failed first is right more often."""


class ToyConfig(BaseModel):
    """What the tiny policy is shown and for how long. The defaults take a few minutes on one core."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    design: DesignName = Field(default="C", description="How noisy the demonstrations are.")
    steps: int = Field(default=600, ge=1, description="Updates of the warm start.")
    batch_size: int = Field(default=16, ge=1, description="Dialogues an update.")
    learning_rate: float = Field(default=4e-3, gt=0, description="The highest of the schedule.")
    tasks: int = Field(default=2000, ge=1, le=10000, description="Tasks in train.jsonl.")
    held_out: int = Field(default=400, ge=1, le=2000, description="Tasks in held_out.jsonl.")
    threads: int = Field(default=1, ge=1, description="Threads of torch. Other numbers may round differently.")
    seed: int = Field(default=0, description="Of tasks, demonstrations and weights.")
