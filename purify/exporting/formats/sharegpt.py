"""Exporter `sharegpt`: conversations of `from` and `value`, as LLaMA-Factory takes them.

Columns and tags: LLaMA-Factory's data/README.md and src/llamafactory/data/converter.py (`SharegptDatasetConverter`):
`conversations`, `system`, and `tools` as JSON text; human and observation take turns with gpt and function_call, and
the last message is the model's. Calls: src/llamafactory/data/formatter.py (`FunctionFormatter`): one JSON object, or a
list of parallel ones, after a `<think>` block. In `dataset_info.json`:

    "purified": {"hf_hub_url": "…", "formatting": "sharegpt",
                 "columns": {"messages": "conversations", "system": "system", "tools": "tools"}}

    purify export purified/ -o sharegpt/ --to sharegpt
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pyarrow as pa

from purify.exporting.base import JSON, Layout, RowData, Tally
from purify.exporting.chat import LOSSES, losses_of
from purify.exporting.config import ExportConfig
from purify.exporting.formats.messages import FAILED_CALLS, ROW_FIELDS, count_failed, row_fields, tools_text
from purify.exporting.sharegpt_turns import OWN_LOSSES, UnfitError, conversation
from purify_schemas import Trajectory
from purify_schemas.carried import CARRIED, Carried


class ShareGPT:
    """See the module's docstring."""

    name = "sharegpt"
    reader = "LLaMA-Factory, and whatever takes ShareGPT conversations with tools"
    losses: Mapping[str, str] = {**LOSSES, **OWN_LOSSES}
    layout: Layout = "parquet"
    schema: pa.Schema | None = pa.schema(
        [
            ("conversations", pa.list_(pa.struct([("from", pa.string()), ("value", pa.string())]))),
            ("system", pa.string()),
            ("tools", pa.string()),
            *ROW_FIELDS,
            FAILED_CALLS,
            (CARRIED, JSON),
        ]
    )

    def records(self, trajectory: Trajectory, config: ExportConfig, tally: Tally) -> Iterator[RowData]:
        try:
            system, items, lost = conversation(trajectory)
        except UnfitError as reason:
            tally.skip(str(reason))
            return
        # Others than the model are humans here, and its tags stand in the text.
        tally.lose(*(losses_of(trajectory) - {"not_sampled", "think_tags"}), *lost)
        yield {
            "conversations": items,
            "system": system,
            "tools": tools_text(trajectory),
            **row_fields(trajectory),
            "failed_calls": count_failed(trajectory, tally),
            CARRIED: Carried.of(trajectory, self.name, {"conversations": items}).json_text(),
        }
