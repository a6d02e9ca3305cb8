"""The formats that can be written. Adding one is a file with an `Exporter` and one line here."""

from __future__ import annotations

from purify.exporting.base import Exporter
from purify.exporting.formats.messages import Messages

EXPORTERS: dict[str, Exporter] = {exporter.name: exporter for exporter in (Messages(),)}
