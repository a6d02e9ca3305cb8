"""Soft overlong punishment (DAPO, arXiv 2503.14476, equation 13): a long answer is punished before it is cut off.

python -c "from purify.rewards import overlong_penalty; print(overlong_penalty(18432, 20480, 4096))"   # -0.5
"""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from purify_schemas import Trajectory


class Overlong(BaseModel):
    """When length is punished. CLEANER uses a buffer of 4,096 of 20,480 tokens and a penalty of 1."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_length: int = Field(ge=1, description="Tokens after the prompt, tool results included.")
    buffer: int = Field(ge=0, description="The penalty grows over this many tokens before max_length.")
    factor: float = Field(default=1.0, ge=0, description="The whole penalty.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.buffer > self.max_length:
            raise ValueError(f"buffer {self.buffer} is longer than max_length {self.max_length}")
        return self

    def penalty(self, length: int) -> float:
        return overlong_penalty(length, self.max_length, self.buffer, self.factor)


def overlong_penalty(length: int, max_length: int, buffer: int, factor: float = 1.0) -> float:
    """0 up to `max_length - buffer` tokens, then linearly down to `-factor` at `max_length`, and `-factor` beyond."""
    over = length - (max_length - buffer)
    if over <= 0:
        return 0.0
    return -factor * min(over / buffer, 1.0) if buffer else -factor


def response_length(trajectory: Trajectory) -> int | None:
    """Tokens after the prompt; None where a turn has no ids, so that nothing can be counted."""
    length = 0
    for step in trajectory.steps:
        if not step.has_ids:
            return None
        for ids in (step.reasoning.token_ids, step.action.token_ids, step.observation.token_ids):
            length += len(ids or ())
    return length
