"""The data contract of purify: rows (pydantic), columns (Arrow), manifest, and the conversions between them."""

from purify_schemas.arrow import PURIFIED_SCHEMA, RAW_SCHEMA, SCHEMA_VERSION, from_table, to_table
from purify_schemas.manifest import Ancestor, Manifest, Shard, dataset_digest
from purify_schemas.provenance import Edit, GateResult, Link, Provenance, Removed, StaleFrom
from purify_schemas.rows import (
    FAILED,
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

__all__ = [
    "FAILED",
    "PURIFIED_SCHEMA",
    "RAW_SCHEMA",
    "SCHEMA_VERSION",
    "Ancestor",
    "Call",
    "Edit",
    "GateResult",
    "Link",
    "Manifest",
    "Message",
    "Observation",
    "Provenance",
    "Removed",
    "Reward",
    "Segment",
    "Shard",
    "Source",
    "StaleFrom",
    "Step",
    "ToolState",
    "Trajectory",
    "dataset_digest",
    "from_table",
    "to_table",
]
