"""The known formats. Adding one is a file with an `Importer` and one line here."""

from __future__ import annotations

from purify.errors import PurifyError
from purify.importing.base import Importer, Lossy, Record
from purify.importing.formats.adp import AgentDataProtocol
from purify.importing.formats.atif import Atif
from purify.importing.formats.atropos import Atropos
from purify.importing.formats.inspect_logs import InspectLog
from purify.importing.formats.mini_swe_agent import MiniSWEAgent
from purify.importing.formats.openai_messages import OpenAIMessages
from purify.importing.formats.preference import Preference
from purify.importing.formats.pretokenized import Pretokenized
from purify.importing.formats.responses import Responses
from purify.importing.formats.rllm import RLLM
from purify.importing.formats.sharegpt import ShareGPT
from purify.importing.formats.skyrl import SkyRL
from purify.importing.formats.slime import Slime
from purify.importing.formats.sts import Sts
from purify.importing.formats.swe_agent import SWEAgent
from purify.importing.formats.tagged import TaggedText
from purify.importing.formats.verifiers import Verifiers
from purify.importing.formats.verl import Verl
from purify_schemas.carried import exported_as

IMPORTERS: dict[str, Importer] = {
    importer.name: importer
    for importer in (
        Responses(),
        TaggedText(),
        ShareGPT(),
        SkyRL(),
        Slime(),
        Verl(),
        SWEAgent(),
        MiniSWEAgent(),
        InspectLog(),
        AgentDataProtocol(),
        Verifiers(),
        Atropos(),
        Pretokenized(),
        Atif(),
        Sts(),
        RLLM(),
        Preference(),
        OpenAIMessages(),
    )
}


EXPORTED = {
    "messages": "openai",
    "verl": "openai",
    "kto": "openai",
    "sharegpt": "sharegpt",
    "atif": "atif",
}
"""Which importer reads what `purify export` wrote, where the records of that format can look like those of others."""


def importer_named(name: str) -> Importer:
    """Raises `PurifyError` naming the known formats if there is no such importer."""
    if name not in IMPORTERS:
        raise PurifyError(f"format {name!r} is unknown; choose one of: auto, {', '.join(sorted(IMPORTERS))}")
    return IMPORTERS[name]


def lossy_note(name: str) -> str | None:
    """What files of a format never hold, as a line for the user; None where nothing is missing."""
    importer = importer_named(name)
    return importer.lossy if isinstance(importer, Lossy) else None


def recognise(record: Record) -> tuple[str, str] | None:
    """(format, why) for a record; None if no importer knows it. What we wrote ourselves says its format.

    Raises `PurifyError` if several claim it: the user must choose then.
    """
    if (ours := exported_as(record)) in EXPORTED:
        return EXPORTED[ours], f"written by purify export --to {ours}"
    claims = [(name, why) for name, importer in IMPORTERS.items() if (why := importer.recognise(record))]
    if len(claims) > 1:
        listed = "; ".join(f"{name} ({why})" for name, why in claims)
        raise PurifyError(f"format is ambiguous: {listed}; choose with --format")
    return claims[0] if claims else None
