"""The closed vocabularies of the contract. A module of its own, so that option classes can use them cheaply."""

from __future__ import annotations

from typing import Literal

Status = Literal["ok", "error", "timeout", "malformed", "infra", "rejected", "unknown"]
Boundary = Literal["exact", "straddled", "unknown"]
FinishReason = Literal["stop", "length", "max_turns", "error", "unknown"]
ToolStateName = Literal["stateless", "python_kernel", "external", "unknown"]

FAILED: frozenset[str] = frozenset({"error", "timeout", "malformed"})
"""Statuses that are the model's own failure. `infra` and `rejected` are not, and `unknown` claims nothing."""
