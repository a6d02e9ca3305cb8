"""Evaluation: how often a policy is right, how often its calls fail, and how sure that is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from purify.evaluating.config import EvaluateConfig

if TYPE_CHECKING:
    from purify.evaluating.metrics import measure
    from purify.evaluating.report import Estimate, Evaluation, Metrics
    from purify.evaluating.stage import evaluate

__all__ = ["Estimate", "EvaluateConfig", "Evaluation", "Metrics", "evaluate", "measure"]

_HOME = {
    "evaluate": "stage",
    "measure": "metrics",
    "Estimate": "report",
    "Evaluation": "report",
    "Metrics": "report",
}


def __getattr__(name: str) -> Any:
    """Load the rest on first use: the options alone must not load polars or Arrow."""
    from importlib import import_module

    if name in _HOME:
        return getattr(import_module(f"purify.evaluating.{_HOME[name]}"), name)
    raise AttributeError(f"module 'purify.evaluating' has no attribute {name!r}")
