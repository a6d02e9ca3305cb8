"""Exporter `kto`: single completions, wanted or not.

Columns: huggingface.co/docs/trl/dataset_formats (conversational unpaired preference: `prompt`, `completion`, `label`).
A trajectory with an accepted edit gives two records, purified (true) and raw (false), which begin at their first
difference. Any other, also one edited while generating, is wanted if its reward is above the mean of its group,
unwanted if below; where nothing compares it (no reward, alone in its group, the mean itself), it gives no record.
Shuffle before training: TRL estimates its KL term from neighbours, and the two records of a trajectory are.

    purify export purified/ -o kto/ --to kto
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import pyarrow as pa

from purify.datasets import Dataset
from purify.exporting.base import JSON, Layout, RowData, Tally
from purify.exporting.chat import LOSSES, losses_of, prompt_messages
from purify.exporting.config import ExportConfig
from purify.exporting.formats.messages import MESSAGES, NO_TURN, ROW_FIELDS, message_rows, row_fields, tool_rows
from purify.exporting.pairs import NO_PROMPT, Messages, pair, turns
from purify.exporting.survey import group_means
from purify_schemas import Trajectory
from purify_schemas.carried import CARRIED, Carried

NO_REWARD = "no raw one to compare with, and no reward says whether it is wanted"
ALONE = "no raw one to compare with, nor a rewarded one of its group"
AVERAGE = "no raw one to compare with, and its reward is the mean of its group"


class KTO:
    """See the module's docstring."""

    name = "kto"
    reader = "TRL's KTOTrainer, and whatever takes conversational unpaired preferences"
    losses: Mapping[str, str] = LOSSES
    layout: Layout = "parquet"
    schema: pa.Schema | None = pa.schema(
        [
            ("prompt", MESSAGES),
            ("completion", MESSAGES),
            ("label", pa.bool_()),
            ("tools", pa.list_(JSON)),
            *ROW_FIELDS,
            (CARRIED, JSON),
        ]
    )

    def __init__(self, means: Mapping[str, float] | None = None) -> None:
        self._means = means or {}

    def surveyed(self, dataset: Dataset) -> KTO:
        return KTO(group_means(dataset))

    def records(self, trajectory: Trajectory, config: ExportConfig, tally: Tally) -> Iterator[RowData]:
        found = pair(trajectory)
        if not isinstance(found, str):
            tally.lose(*losses_of(trajectory), *losses_of(found.raw_row))
            yield _record(trajectory, found.prompt, found.purified, label=True)
            yield _record(found.raw_row, found.prompt, found.raw, label=False)
            return
        label = self._label(trajectory)
        prompt = prompt_messages(trajectory)
        if found == NO_PROMPT:
            tally.skip(found)
        elif isinstance(label, str):
            tally.skip(label)
        elif not prompt or not trajectory.steps:
            tally.skip(NO_TURN if prompt else NO_PROMPT)
        else:
            tally.lose(*losses_of(trajectory))
            yield _record(trajectory, prompt, turns(trajectory, 0), label=label)

    def _label(self, trajectory: Trajectory) -> bool | str:
        """Whether a trajectory without a raw one is wanted, or why that cannot be said."""
        mean = self._means.get(trajectory.group_id)
        if trajectory.reward is None:
            return NO_REWARD
        if mean is None:
            return ALONE
        # Rewards are float32, so a mean may be off by a rounding error.
        return AVERAGE if math.isclose(trajectory.reward, mean, rel_tol=1e-6) else trajectory.reward > mean


def _record(row: Trajectory, prompt: Messages, completion: Messages, *, label: bool) -> RowData:
    return {
        "prompt": message_rows(prompt),
        "completion": message_rows(completion),
        "label": label,
        "tools": tool_rows(row),
        **row_fields(row),
        CARRIED: Carried.of(row).json_text(),
    }
