"""Iteration: rounds of generate, clean, score and train, each sampling from the policy of the one before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from purify.lazy import lazy

if TYPE_CHECKING:
    from purify.iterating.config import IterateConfig, read_config
    from purify.iterating.report import IterateReport, RoundReport
    from purify.iterating.rounds import Stages, iterate

__all__ = ["IterateConfig", "IterateReport", "RoundReport", "Stages", "iterate", "read_config"]

__getattr__ = lazy(
    __name__,
    {
        "IterateConfig": "config",
        "read_config": "config",
        "IterateReport": "report",
        "RoundReport": "report",
        "Stages": "rounds",
        "iterate": "rounds",
    },
)
