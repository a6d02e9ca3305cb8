"""Log-probs of stored tokens under a checkpoint and the stored context."""

from __future__ import annotations

from typing import TYPE_CHECKING

from purify.lazy import lazy
from purify.scoring.config import ScoreConfig

if TYPE_CHECKING:
    from purify.scoring.stage import score

__all__ = ["ScoreConfig", "score"]

__getattr__ = lazy(__name__, {"score": "stage"})
