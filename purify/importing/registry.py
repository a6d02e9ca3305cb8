"""The known formats. Adding one is a file with an `Importer` and one line here."""

from __future__ import annotations

from purify.errors import PurifyError
from purify.importing.base import Importer, Record
from purify.importing.formats.openai_messages import OpenAIMessages
from purify.importing.formats.responses import Responses
from purify.importing.formats.sharegpt import ShareGPT
from purify.importing.formats.tagged import TaggedText

IMPORTERS: dict[str, Importer] = {
    importer.name: importer for importer in (Responses(), TaggedText(), ShareGPT(), OpenAIMessages())
}


def importer_named(name: str) -> Importer:
    """Raises `PurifyError` naming the known formats if there is no such importer."""
    if name not in IMPORTERS:
        raise PurifyError(f"format {name!r} is unknown; choose one of: auto, {', '.join(sorted(IMPORTERS))}")
    return IMPORTERS[name]


def recognise(record: Record) -> tuple[str, str] | None:
    """(format, why) for a record; None if no importer knows it.

    Raises `PurifyError` if several claim it: the user must choose then.
    """
    claims = [(name, why) for name, importer in IMPORTERS.items() if (why := importer.recognise(record))]
    if len(claims) > 1:
        listed = "; ".join(f"{name} ({why})" for name, why in claims)
        raise PurifyError(f"format is ambiguous: {listed}; choose with --format")
    return claims[0] if claims else None
