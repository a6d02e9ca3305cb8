"""Log-probs of stored tokens under a checkpoint and the stored context."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from purify.scoring.config import ScoreConfig

if TYPE_CHECKING:
    from purify.scoring.stage import score

__all__ = ["ScoreConfig", "score"]


def __getattr__(name: str) -> Any:
    """Load the stage on first use: the options alone must not load Arrow."""
    if name == "score":
        from purify.scoring.stage import score

        return score
    raise AttributeError(f"module 'purify.scoring' has no attribute {name!r}")
