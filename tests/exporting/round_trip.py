"""What comes back of a row that is exported and imported again, and rows to try it with."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import hypothesis.strategies as st

from purify.exporting.base import RowData, Tally
from purify.exporting.config import ExportConfig, ExportFormat
from purify.exporting.files import WRITERS
from purify.exporting.registry import EXPORTERS
from purify.failures import load_rules
from purify.importing.base import RecordContext
from purify.importing.records import plan_units, read_segment
from purify.importing.registry import IMPORTERS, recognise
from purify.json_text import dump_json
from purify_schemas import Scores, Trajectory
from tests.schemas.test_round_trip import FLOAT32, IDS, ROWS


def exported(to: ExportFormat, row: Trajectory) -> tuple[list[RowData], Tally]:
    tally = Tally()
    return list(EXPORTERS[to].records(row, ExportConfig(to=to), tally)), tally


def imported(to: ExportFormat, records: list[RowData]) -> list[Trajectory]:
    """The rows of these records after they went through a file, read as their recognised format."""
    exporter = EXPORTERS[to]
    with tempfile.TemporaryDirectory() as folder:
        with WRITERS[exporter.layout](Path(folder, "00000"), exporter.schema) as writer:
            writer.write(records)
        rows = []
        for path in writer.files:
            for unit in plan_units(path.parent, [path.name]):
                for read in (read for segment in unit for read in read_segment(path.parent, segment)):
                    assert read.record is not None, read.problem
                    found = recognise(read.record)
                    assert found is not None
                    importer = IMPORTERS[found[0]]
                    context = RecordContext(path.name, read.row, load_rules(importer.default_rules))
                    rows += importer.read(read.record, context)
        return rows


def plain(row: Trajectory) -> Trajectory:
    """Without what no foreign format gives back."""
    return row.model_copy(update={"provenance": None, "scores": None})


def unedited(row: Trajectory) -> Trajectory:
    """Without a provenance that tells of no edit, and so is no loss."""
    edited = row.provenance is not None and row.provenance.edits
    return row if edited else row.model_copy(update={"provenance": None})


TOOL_DEFINITIONS: list[Any] = [
    {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {"x": None}}}},
    {"name": "g", "description": "é"},
]
TOOLS = st.sampled_from([None, dump_json(TOOL_DEFINITIONS), json.dumps(TOOL_DEFINITIONS[:1], indent=1)])


@st.composite
def rows(draw: st.DrawFn) -> Trajectory:
    """Any row whose JSON members are JSON, and whose calls are often well-formed; sometimes with ids throughout."""
    row = draw(ROWS)
    whole = draw(st.booleans())
    steps = []
    for step in row.steps:
        calls = [
            call.model_copy(
                update={
                    "arguments": draw(st.sampled_from([call.arguments, None, '{"code": "1/0"}'])),
                    "id": draw(st.sampled_from([call.id, None, "c1"])),
                }
            )
            for call in step.calls
        ]
        ids = {call.id for call in calls} - {None}
        messages = [
            message.model_copy(
                update={
                    "parts": draw(st.sampled_from([None, '[{"type":"image_url","image_url":{"url":"a.png"}}]'])),
                    "tool_calls": None,
                    "call_id": draw(st.sampled_from([None, *sorted(i for i in ids if i is not None)])),
                }
            )
            for message in step.observation.messages
        ]
        update = {"calls": calls, "observation": step.observation.model_copy(update={"messages": messages})}
        if whole:
            observed = step.observation.token_ids if step.observation.token_ids is not None else draw(IDS)
            update["observation"] = step.observation.model_copy(update={"token_ids": observed, "messages": messages})
            if not step.has_ids:
                update["action"] = step.action.model_copy(update={"token_ids": draw(IDS)})
        steps.append(step.model_copy(update=update))
    prompt = [message.model_copy(update={"parts": None, "tool_calls": None}) for message in row.messages]
    prompt_ids = row.prompt_token_ids if row.prompt_token_ids is not None or not whole else draw(IDS)
    row = row.model_copy(
        update={"steps": steps, "messages": prompt, "tools": draw(TOOLS), "prompt_token_ids": prompt_ids}
    )
    if row.provenance is not None:
        edits = [edit for edit in row.provenance.edits if edit.raw_steps]
        row = row.model_copy(update={"provenance": row.provenance.model_copy(update={"edits": edits})})
    row = Trajectory.model_validate(row.model_dump())
    if draw(st.booleans()):
        return row
    tokens = sum(len(part.token_ids or ()) for step in row.steps for part in (step.reasoning, step.action))
    return row.model_copy(update={"scores": Scores(logprobs=[draw(FLOAT32) for _ in range(tokens)])})
