"""Training from stored trajectories: a thin loop in plain torch, losses as pure functions, one folder a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from purify.training.config import TrainConfig

if TYPE_CHECKING:
    from purify.training.stage import train

__all__ = ["TrainConfig", "train"]


def __getattr__(name: str) -> Any:
    """Load the stage on first use: the options alone must not load torch."""
    if name == "train":
        from purify.training.stage import train

        return train
    raise AttributeError(f"module 'purify.training' has no attribute {name!r}")
