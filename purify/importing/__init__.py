"""Foreign rollout dumps in, trajectories out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from purify.importing.config import ImportConfig
from purify.lazy import lazy

if TYPE_CHECKING:
    from purify.importing.stage import ImportReport, import_dump

__all__ = ["ImportConfig", "ImportReport", "import_dump"]

__getattr__ = lazy(__name__, {"ImportReport": "stage", "import_dump": "stage"})
