"""Publishing: a checked, described copy of a dataset, and its upload."""

from __future__ import annotations

from typing import TYPE_CHECKING

from purify.lazy import lazy

if TYPE_CHECKING:
    from purify.publishing.config import PublishConfig
    from purify.publishing.report import Audit, Finding
    from purify.publishing.stage import Published, publish

__all__ = ["Audit", "Finding", "PublishConfig", "Published", "publish"]

__getattr__ = lazy(
    __name__,
    {
        "PublishConfig": "config",
        "Published": "stage",
        "publish": "stage",
        "Audit": "report",
        "Finding": "report",
    },
    extra="publish",
)
