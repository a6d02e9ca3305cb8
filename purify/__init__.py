"""Offline trajectory purification for tool-using language models.

import purify
purify.clean("rollouts/", "purified/", purify.SaarConfig(gamma=0.5))
for trajectory in purify.open("purified/"):
    ...
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from purify.cleaning import clean, restore
    from purify.datasets import Dataset
    from purify.datasets.verify import verify
    from purify.errors import PurifyError
    from purify.evaluating import EvaluateConfig, evaluate
    from purify.exporting import ExportConfig, export
    from purify.generating import GenerateConfig, generate
    from purify.importing import ImportConfig, import_dump
    from purify.iterating import IterateConfig, iterate
    from purify.publishing import PublishConfig, publish
    from purify.reporting import stats
    from purify.saar import SaarConfig, purify_trajectory
    from purify.scoring import ScoreConfig, score
    from purify.training import TrainConfig, train
    from purify_schemas import Trajectory

    open = Dataset.open

__all__ = [
    "Dataset",
    "EvaluateConfig",
    "ExportConfig",
    "GenerateConfig",
    "ImportConfig",
    "IterateConfig",
    "PublishConfig",
    "PurifyError",
    "SaarConfig",
    "ScoreConfig",
    "TrainConfig",
    "Trajectory",
    "clean",
    "evaluate",
    "export",
    "generate",
    "import_dump",
    "iterate",
    "open",
    "publish",
    "purify_trajectory",
    "restore",
    "score",
    "stats",
    "train",
    "verify",
]

_HOME = {
    "clean": "purify.cleaning",
    "restore": "purify.cleaning",
    "Dataset": "purify.datasets",
    "PurifyError": "purify.errors",
    "EvaluateConfig": "purify.evaluating",
    "evaluate": "purify.evaluating",
    "ExportConfig": "purify.exporting",
    "export": "purify.exporting",
    "GenerateConfig": "purify.generating",
    "generate": "purify.generating",
    "ImportConfig": "purify.importing",
    "Trajectory": "purify_schemas",
    "import_dump": "purify.importing",
    "IterateConfig": "purify.iterating",
    "iterate": "purify.iterating",
    "verify": "purify.datasets.verify",
    "PublishConfig": "purify.publishing",
    "publish": "purify.publishing",
    "SaarConfig": "purify.saar",
    "purify_trajectory": "purify.saar",
    "ScoreConfig": "purify.scoring",
    "score": "purify.scoring",
    "stats": "purify.reporting",
    "TrainConfig": "purify.training",
    "train": "purify.training",
}


def __getattr__(name: str) -> Any:
    """Load a public name on first use: importing purify costs nothing."""
    from importlib import import_module

    if name == "open":
        return import_module("purify.datasets").Dataset.open
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'purify' has no attribute {name!r}")
