"""SAAR, Similarity-Aware Adaptive Rollback, over stored trajectories (CLEANER, arXiv 2601.15141).

`rule.py` is the rule itself. `purify_trajectory` applies it to one row; `batch.py` to a table of them.

    python -c "import purify.saar; help(purify.saar.purify_trajectory)"
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from purify.lazy import lazy

if TYPE_CHECKING:
    from purify.saar.config import SaarConfig
    from purify.saar.rows import purify_trajectory, restore_trajectory
    from purify.saar.similarity import Similarity, load_similarity

__all__ = ["SaarConfig", "Similarity", "load_similarity", "purify_trajectory", "restore_trajectory"]

__getattr__ = lazy(
    __name__,
    {
        "SaarConfig": "config",
        "Similarity": "similarity",
        "load_similarity": "similarity",
        "purify_trajectory": "rows",
        "restore_trajectory": "rows",
    },
)
