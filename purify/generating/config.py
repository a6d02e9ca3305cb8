"""Every option of `purify generate` that the data depends on."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from purify.chat.formats import FormatName
from purify.engines.config import EngineConfig
from purify.saar.config import SaarConfig, SaarRule
from purify.sandbox import Limits


class RolloutConfig(BaseModel):
    """How rollouts are sampled, executed and rewarded."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    group_size: int = Field(default=16, ge=1, description="Samples of a task: the GRPO group.")
    temperature: float = Field(default=1.0, ge=0, description="Of sampling; 0 is greedy, else at least 0.01.")
    top_p: float = Field(default=1.0, gt=0, le=1, description="Nucleus of sampling.")
    top_k: int = Field(default=0, ge=0, description="Sample from the k likeliest tokens; 0: from all.")
    round: int | None = Field(default=None, ge=0, description="Number of the round, where policy and data alternate.")

    max_turns: int = Field(default=16, ge=1, description="Turns of a trajectory.")
    max_turn_tokens: int = Field(default=8192, ge=1, description="Tokens of a turn; a longer one ends the trajectory.")
    max_response_tokens: int = Field(default=20480, ge=1, description="Tokens after the prompt, tool results included.")
    system: str | None = Field(default=None, description="System message for tasks that have none.")

    call_format: FormatName = Field(
        default="hermes", description="How the model writes calls: <tool_call> JSON, or fenced Python."
    )
    tool: tuple[str, ...] = Field(default=("python",), description="python, module:function, or none.")
    max_result_chars: int = Field(default=8000, ge=100, description="A longer tool result loses its middle.")
    stateful: bool = Field(
        default=False, description="Names stay between a trajectory's Python calls, as in a notebook."
    )
    sandbox: Literal["auto", "bubblewrap", "fusion"] = Field(
        default="auto", description="Where Python runs; fusion is a SandboxFusion server."
    )
    sandbox_url: str | None = Field(default=None, description="Of the SandboxFusion server.")
    unsafe_sandbox: bool = Field(
        default=False, description="Run model-written code on this machine without isolation. It can do what you can."
    )

    verifier: str | None = Field(
        default=None, description="For tasks that name none: math, exact, unit_tests, or module:function."
    )
    overlong_buffer: int = Field(
        default=0,
        ge=0,
        description="Tokens before max-response-tokens over which a penalty grows (DAPO: 4096; 0: none).",
    )
    overlong_penalty: float = Field(default=1.0, ge=0, description="The whole overlong penalty.")

    @field_validator("tool", mode="before")
    @classmethod
    def _none(cls, value: object) -> object:
        """`none`, as an option or in a YAML file, means no tools."""
        return () if value in ("none", ["none"], ("none",)) else (value,) if isinstance(value, str) else value


class GenerateConfig(SaarRule, Limits, RolloutConfig, EngineConfig):
    """Every option of `purify generate`; the last group is read with `saar` only."""

    seed: int = Field(default=0, description="Of sampling, and of the draw behind `fraction`.")
    saar: bool = Field(default=False, description="Roll back failed calls while generating (the paper's own mode).")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.call_format == "python" and self.tool not in (("python",), ()):
            raise ValueError("call_format python calls the python tool and no other")
        if 0 < self.temperature < 0.01:
            raise ValueError("temperature is 0 (greedy) or at least 0.01: engines cannot sample closer to 0")
        if self.sandbox_url is not None and self.sandbox == "bubblewrap":
            raise ValueError("sandbox_url is read only with sandbox fusion")
        if self.overlong_buffer > self.max_response_tokens:
            raise ValueError("overlong_buffer is longer than max_response_tokens")
        if not self.saar:
            given = sorted((self.model_fields_set & SaarRule.model_fields.keys()) - {"seed", "tool_state"})
            if given:
                raise ValueError(f"{given[0]} is read only with saar")
        return self

    @property
    def rule(self) -> SaarConfig:
        """The options of the rollback."""
        return SaarConfig(**{name: getattr(self, name) for name in SaarRule.model_fields})

    @property
    def limits(self) -> Limits:
        """What one call may use."""
        return Limits(**{name: getattr(self, name) for name in Limits.model_fields})
