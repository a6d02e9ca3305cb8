"""Generation: rollouts of a model that uses tools, sampled, executed, rewarded and stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from purify.generating.config import GenerateConfig

if TYPE_CHECKING:
    from purify.generating.stage import generate

__all__ = ["GenerateConfig", "generate"]


def __getattr__(name: str) -> Any:
    """Load the stage on first use: the options alone must not load Arrow."""
    if name == "generate":
        from purify.generating.stage import generate

        return generate
    raise AttributeError(f"module 'purify.generating' has no attribute {name!r}")
