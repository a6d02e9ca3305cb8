"""The importance ratios of a scored dataset in a few numbers."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pyarrow.compute as pc

from purify.datasets import Dataset
from purify.saar.apply import flat_list

LOW = 0.5
"""The ratio below which the public code's Plan B keeps the raw steps (untuned)."""


class Ratios(NamedTuple):
    """Of all measured edits; the numbers are None where there is none."""

    edits: int
    mean_log_ratio: float | None
    median_ratio: float | None
    share_low: float | None
    """Share with a ratio below `LOW`."""


def ratios(dataset: Dataset) -> Ratios:
    """Read one leaf of a scored dataset."""
    parts = [np.zeros(0)]
    for table in dataset.tables(["scores.edits.list.element.log_ratio"]):
        _, edits = flat_list(pc.struct_field(table.column("scores").combine_chunks(), "edits"))
        parts.append(np.asarray(pc.struct_field(edits, "log_ratio")))
    values = np.concatenate(parts)
    if not len(values):
        return Ratios(0, None, None, None)
    median = math.exp(min(float(np.median(values)), 700.0))
    return Ratios(len(values), float(values.mean()), median, float((values < math.log(LOW)).mean()))
