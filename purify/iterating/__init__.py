"""Iteration: rounds of generate, clean, score and train, each sampling from the policy of the one before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from purify.iterating.config import IterateConfig, read_config
    from purify.iterating.report import IterateReport, RoundReport
    from purify.iterating.rounds import Stages, iterate

__all__ = ["IterateConfig", "IterateReport", "RoundReport", "Stages", "iterate", "read_config"]

_HOME = {
    "IterateConfig": "config",
    "read_config": "config",
    "IterateReport": "report",
    "RoundReport": "report",
    "Stages": "rounds",
    "iterate": "rounds",
}


def __getattr__(name: str) -> Any:
    """Load everything on first use."""
    from importlib import import_module

    if name in _HOME:
        return getattr(import_module(f"purify.iterating.{_HOME[name]}"), name)
    raise AttributeError(f"module 'purify.iterating' has no attribute {name!r}")
