"""Foreign rollout dumps in, trajectories out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from purify.importing.config import ImportConfig

if TYPE_CHECKING:
    from purify.importing.stage import ImportReport, import_dump

__all__ = ["ImportConfig", "ImportReport", "import_dump"]


def __getattr__(name: str) -> Any:
    """Load the stage on first use: it imports the importers, and they import `base` from this package."""
    if name in __all__:
        from purify.importing import stage

        return getattr(stage, name)
    raise AttributeError(f"module 'purify.importing' has no attribute {name!r}")
