"""Every option of `purify evaluate`: those of `purify generate` without the model, and what is reported."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, field_validator, model_validator

from purify.generating.config import GenerateConfig
from purify.saar.config import SaarRule

Tries = Annotated[int, Field(ge=1)]


class EvaluateConfig(GenerateConfig):
    """How a policy is evaluated. The last group is read with `saar` only."""

    # Who is evaluated is an argument, and a round is no option: both fields of the base class are taken away.
    model: ClassVar[str] = ""  # type: ignore[misc]
    round: ClassVar[int | None] = None  # type: ignore[misc]

    k: tuple[Tries, ...] = Field(default=(), description="Report pass@k too; pass@1 always is.")
    group_size: int = Field(default=1, ge=1, description="Samples of a task; if not given, the largest k.")
    saar: bool = Field(
        default=False, description="Sample a second set with SAAR on, reported beside the first, never instead."
    )

    @model_validator(mode="before")
    @classmethod
    def _enough_by_default(cls, given: Any) -> Any:
        """As many samples as the largest k asks for. What is no number is left to the fields' own checks."""
        if not isinstance(given, dict) or given.get("group_size") is not None:
            return given
        k = given.get("k", ())
        numbers = [int(each) for each in (k if isinstance(k, list | tuple) else [k]) if str(each).isdecimal()]
        return {**given, "group_size": max([1, *numbers])}

    @field_validator("k", mode="before")
    @classmethod
    def _several(cls, value: object) -> object:
        """One number stands for a list of one."""
        return (value,) if isinstance(value, int | str) else value

    @model_validator(mode="after")
    def _enough_samples(self) -> Self:
        if self.tries[-1] > self.group_size:
            raise ValueError(f"pass@{self.tries[-1]} needs a group_size of at least that, got {self.group_size}")
        return self

    @property
    def tries(self) -> tuple[int, ...]:
        """Every k of pass@k, ascending, 1 included."""
        return tuple(sorted({1, *self.k}))

    def rollouts(self, model: str, *, saar: bool) -> GenerateConfig:
        """How the rollouts of `model` are made; without SAAR its options, which nothing would read, are left out."""
        unread = SaarRule.model_fields.keys() - {"seed", "tool_state"} if not saar else set()
        given = {
            name: getattr(self, name) for name in (self.model_fields_set | {"group_size"}) - {"k", "saar"} - unread
        }
        return GenerateConfig(model=model, saar=saar, **given)
