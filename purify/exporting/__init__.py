"""Datasets out, in the formats of other tools."""

from __future__ import annotations

from typing import TYPE_CHECKING

from purify.exporting.config import ExportConfig
from purify.lazy import lazy

if TYPE_CHECKING:
    from purify.exporting.stage import ExportReport, export

__all__ = ["ExportConfig", "ExportReport", "export"]

__getattr__ = lazy(__name__, {"ExportReport": "stage", "export": "stage"})
