"""Every option of the SAAR pass."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from purify_schemas.names import ToolStateName


class SaarRule(BaseModel):
    """The options that hold offline and while generating alike. The defaults are the paper's, plus the state gate."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gamma: float = Field(default=0.5, ge=0, le=1, description="Similarity at or above which an edit is shallow.")
    max_retries: int = Field(default=3, ge=1, description="K: the longest run of failures that is replaced.")
    min_similarity: float = Field(
        default=0.0, ge=0, le=1, description="A deep edit below it is refused as not_a_correction (0: the paper)."
    )
    compare: Literal["code", "call"] = Field(
        default="code", description="Compare the code (paper) or the whole rendered call (public code)."
    )
    chain: Literal["first", "cascade"] = Field(
        default="first",
        description="Compare the first failure (paper) or each attempt (public code) with what follows.",
    )
    similarity: Literal["difflib", "embedding"] = Field(default="difflib", description="Similarity backend.")
    embedding_model: str | None = Field(
        default=None, description="Name or path of the embedding model (default: all-MiniLM-L6-v2)."
    )
    code_arguments: tuple[str, ...] = Field(default=("code",), description="Argument names that hold a tool's code.")
    fraction: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="Share of trajectories that is purified (paper: 0.7 for its 7B model, 1.0 for its 4B).",
    )
    gates: tuple[Literal["state"], ...] = Field(
        default=("state",), description="Gates an edit must pass, or off: the paper."
    )
    tool_state: dict[str, ToolStateName] = Field(default={}, description="State of a tool, overriding the rows'.")
    allow_external: bool = Field(default=False, description="Edit calls of tools with external state, too.")
    seed: int = Field(default=0, description="Of the draw behind `fraction`.")

    @field_validator("gates", mode="before")
    @classmethod
    def _off(cls, value: object) -> object:
        """`off`, as an option or in a YAML file (where a bare off is false), means no gates."""
        return () if value in ("off", False, ["off"], ("off",), [False]) else _listed(value)

    @model_validator(mode="after")
    def _model_has_a_reader(self) -> Self:
        if self.embedding_model is not None and self.similarity != "embedding":
            raise ValueError("embedding_model is read only with similarity embedding")
        return self

    @field_validator("code_arguments", mode="before")
    @classmethod
    def _several(cls, value: object) -> object:
        return _listed(value)


class SaarConfig(SaarRule):
    """How failures are found and replaced in stored trajectories: every option of the SAAR pass."""

    apply_to: Literal["all", "winners"] = Field(
        default="all", description="All trajectories, or those whose reward is above their group's mean."
    )
    min_importance: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="Refuse an edit whose importance ratio in --scored is below it (the public code's Plan B: 0.5).",
    )


def _listed(value: object) -> object:
    """One name stands for a list of one, as on the command line."""
    return (value,) if isinstance(value, str) else value
