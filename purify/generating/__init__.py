"""Generation: rollouts of a model that uses tools, sampled, executed, rewarded and stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from purify.generating.config import GenerateConfig
from purify.lazy import lazy

if TYPE_CHECKING:
    from purify.generating.stage import generate

__all__ = ["GenerateConfig", "generate"]

__getattr__ = lazy(__name__, {"generate": "stage"})
