"""The formats that can be written. Adding one is a file with an `Exporter` and one line here."""

from __future__ import annotations

from purify.exporting.base import Exporter
from purify.exporting.formats.atif import Atif
from purify.exporting.formats.kto import KTO
from purify.exporting.formats.messages import Messages
from purify.exporting.formats.preference import Preference
from purify.exporting.formats.pretokenized import Pretokenized
from purify.exporting.formats.recovery import Recovery
from purify.exporting.formats.sharegpt import ShareGPT
from purify.exporting.formats.sts import Sts
from purify.exporting.formats.verl import Verl
from purify.exporting.formats.verl_prompts import VerlPrompts

EXPORTERS: dict[str, Exporter] = {
    exporter.name: exporter
    for exporter in (
        Messages(),
        Pretokenized(),
        Atif(),
        Sts(),
        KTO(),
        Preference(),
        Recovery(),
        ShareGPT(),
        Verl(),
        VerlPrompts(),
    )
}
