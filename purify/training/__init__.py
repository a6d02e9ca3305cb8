"""Training from stored trajectories: a thin loop in plain torch, losses as pure functions, one folder a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from purify.lazy import lazy
from purify.training.config import TrainConfig

if TYPE_CHECKING:
    from purify.training.stage import train

__all__ = ["TrainConfig", "train"]

__getattr__ = lazy(__name__, {"train": "stage"}, extra="train")
