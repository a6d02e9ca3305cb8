"""The data contract of purify: rows (pydantic), columns (Arrow), manifest, and the conversions between them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from purify_schemas.arrow import (
        PURIFIED_SCHEMA,
        RAW_SCHEMA,
        SCHEMA_VERSION,
        SCHEMAS,
        from_table,
        scored_schema,
        to_table,
    )
    from purify_schemas.manifest import Ancestor, Manifest, Shard, dataset_digest
    from purify_schemas.names import FAILED
    from purify_schemas.provenance import Edit, GateResult, Link, Provenance, Removed, StaleFrom
    from purify_schemas.rows import (
        Call,
        Message,
        Observation,
        Reward,
        Segment,
        Source,
        Step,
        ToolState,
        Trajectory,
    )
    from purify_schemas.scores import EditScore, Scores

__all__ = [
    "FAILED",
    "PURIFIED_SCHEMA",
    "RAW_SCHEMA",
    "SCHEMAS",
    "SCHEMA_VERSION",
    "Ancestor",
    "Call",
    "Edit",
    "EditScore",
    "GateResult",
    "Link",
    "Manifest",
    "Message",
    "Observation",
    "Provenance",
    "Removed",
    "Reward",
    "Scores",
    "Segment",
    "Shard",
    "Source",
    "StaleFrom",
    "Step",
    "ToolState",
    "Trajectory",
    "dataset_digest",
    "from_table",
    "scored_schema",
    "to_table",
]

_MODULES = ("names", "rows", "provenance", "scores", "manifest", "arrow")


def __getattr__(name: str) -> Any:
    """Load a public name on first use, cheap modules first: `purify --help` must not wait for Arrow."""
    if name in __all__:
        for module in _MODULES:
            loaded = import_module(f"purify_schemas.{module}")
            if name in vars(loaded):
                return getattr(loaded, name)
    raise AttributeError(f"module 'purify_schemas' has no attribute {name!r}")
