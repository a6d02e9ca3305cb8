"""Exporter `preference`: the purified trajectory is preferred to the raw one, from their first difference on.

Columns: huggingface.co/docs/trl/dataset_formats (conversational preference with explicit prompt; `tools`). One record
for each trajectory with an accepted edit. Both sides end with the same answer: what is compared is the way to it.
TRL's DPO counts every token after the prompt, tool results too.

    purify export purified/ -o pairs/ --to preference
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pyarrow as pa

from purify.exporting.base import JSON, Layout, RowData, Tally
from purify.exporting.chat import LOSSES, losses_of
from purify.exporting.config import ExportConfig
from purify.exporting.formats.messages import MESSAGES, ROW_FIELDS, message_rows, row_fields, tool_rows
from purify.exporting.pairs import pair
from purify.json_text import dump_json
from purify_schemas import Trajectory
from purify_schemas.carried import CARRIED, SIDES, Carried


class Preference:
    """See the module's docstring."""

    name = "preference"
    reader = "TRL's DPOTrainer, and whatever takes conversational preferences"
    losses: Mapping[str, str] = LOSSES
    layout: Layout = "parquet"
    schema: pa.Schema | None = pa.schema(
        [
            ("prompt", MESSAGES),
            *((side, MESSAGES) for side in SIDES),
            ("tools", pa.list_(JSON)),
            *ROW_FIELDS,
            (CARRIED, JSON),
        ]
    )

    def records(self, trajectory: Trajectory, config: ExportConfig, tally: Tally) -> Iterator[RowData]:
        found = pair(trajectory)
        if isinstance(found, str):
            tally.skip(found)
            return
        rows = (trajectory, found.raw_row)
        tally.lose(*(name for row in rows for name in losses_of(row, trained=found.first)))
        shown = {"prompt": found.prompt, "chosen": found.purified, "rejected": found.raw}
        carried = [Carried.of(row, self.name, shown).members() for row in rows]
        yield {
            **{name: message_rows(messages) for name, messages in shown.items()},
            "tools": tool_rows(trajectory),
            **row_fields(trajectory),
            CARRIED: dump_json(dict(zip(SIDES, carried, strict=True))),
        }
