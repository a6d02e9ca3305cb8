"""Exporter `kto`: single completions, wanted or not.

Columns: huggingface.co/docs/trl/dataset_formats (conversational unpaired preference: `prompt`, `completion`, `label`).
A trajectory with an accepted edit gives two records, purified (true) and raw (false), which begin at their first
difference; the raw one's id ends in `/rejected`. The purified one is left out if its reward is below the mean of its
group, for a wrong answer is not wanted by being purified. Any other, also one edited while generating, is wanted if its
reward is above the mean of its group, unwanted if below; where nothing compares it (no reward, alone in its group, the
mean itself), it gives no record. Shuffle before training: TRL estimates its KL term from neighbours, and the two
records of a trajectory are.

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
from purify_schemas.carried import CARRIED, SIDES, Carried

NO_MESSAGES = "no prompt"
NO_REWARD = "no raw one to compare with, and no reward says whether it is wanted"
ALONE = "no raw one to compare with, nor a rewarded one of its group"
AVERAGE = "no raw one to compare with, and its reward is the mean of its group"


class KTO:
    """See the module's docstring."""

    name = "kto"
    reader = "TRL's KTOTrainer, and whatever takes conversational unpaired preferences"
    losses: Mapping[str, str] = {
        **LOSSES,
        "below_mean": "purified sides whose reward is below the mean of their group: neither wanted nor unwanted",
    }
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

    def surveyed(self, dataset: Dataset) -> Iterator[KTO]:
        return map(KTO, group_means(dataset))

    def records(self, trajectory: Trajectory, config: ExportConfig, tally: Tally) -> Iterator[RowData]:
        found = pair(trajectory)
        if isinstance(found, str):
            yield from self._judged(trajectory, found, tally)
            return
        wanted = self._compared(trajectory) != -1
        lost = losses_of(trajectory, trained=found.first) if wanted else {"below_mean", "provenance"}
        tally.lose(*lost, *losses_of(found.raw_row, trained=found.first))
        if wanted:
            yield _record(trajectory, found.prompt, found.purified, label=True)
        # A dataset has an id once. Preferences come back with the same two.
        rejected = found.raw_row.model_copy(update={"trajectory_id": f"{trajectory.trajectory_id}/{SIDES[1]}"})
        yield _record(rejected, found.prompt, found.raw, label=False)

    def _judged(self, trajectory: Trajectory, found: str, tally: Tally) -> Iterator[RowData]:
        """A trajectory that has no raw one, for the reason `found`."""
        prompt, compared = prompt_messages(trajectory), self._compared(trajectory)
        if found == NO_PROMPT:
            tally.skip(found)
        elif not prompt or not trajectory.steps:
            tally.skip(NO_TURN if prompt else NO_MESSAGES)
        elif compared is None:
            tally.skip(NO_REWARD if trajectory.reward is None else ALONE)
        elif compared == 0:
            tally.skip(AVERAGE)
        else:
            tally.lose(*losses_of(trajectory, trained=0))
            yield _record(trajectory, prompt, turns(trajectory, 0), label=compared > 0)

    def _compared(self, trajectory: Trajectory) -> int | None:
        """Whether its reward is above (1), below (-1) or at (0) the mean of its group; None if nothing tells."""
        mean = self._means.get(trajectory.group_id)
        if trajectory.reward is None or mean is None:
            return None
        # Rewards are float32, so a mean may be off by a rounding error.
        if math.isclose(trajectory.reward, mean, rel_tol=1e-6, abs_tol=1e-6):
            return 0
        return 1 if trajectory.reward > mean else -1


def _record(row: Trajectory, prompt: Messages, completion: Messages, *, label: bool) -> RowData:
    shown = {"prompt": prompt, "completion": completion}
    return {
        **{name: message_rows(messages) for name, messages in shown.items()},
        "label": label,
        "tools": tool_rows(row),
        **row_fields(row),
        CARRIED: Carried.of(row, KTO.name, shown).json_text(),
    }
