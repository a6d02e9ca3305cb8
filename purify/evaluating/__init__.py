"""Evaluation: how often a policy is right, how often its calls fail, and how sure that is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from purify.evaluating.config import EvaluateConfig
from purify.lazy import lazy

if TYPE_CHECKING:
    from purify.evaluating.metrics import measure
    from purify.evaluating.report import Estimate, Evaluation, Metrics
    from purify.evaluating.stage import evaluate

__all__ = ["Estimate", "EvaluateConfig", "Evaluation", "Metrics", "evaluate", "measure"]

__getattr__ = lazy(
    __name__,
    {
        "evaluate": "stage",
        "measure": "metrics",
        "Estimate": "report",
        "Evaluation": "report",
        "Metrics": "report",
    },
)
