"""How much the demo samples and trains."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class DemoConfig(BaseModel):
    """The defaults take two to three minutes on two cores."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rounds: int = Field(default=3, ge=1, description="Rounds of sampling and training, of each of the two policies.")
    tasks: int = Field(default=20, ge=1, le=600, description="Tasks of a round, each sampled eight times.")
    updates: int = Field(default=8, ge=1, description="Updates of a round.")
    held_out: int = Field(default=150, ge=2, le=400, description="Held-out tasks that policies are evaluated on.")
    seed: int = Field(default=0, description="Of sampling and training.")
    unsafe_sandbox: bool = Field(
        default=False, description="Run the policy's code on this machine without isolation, if bubblewrap is missing."
    )
