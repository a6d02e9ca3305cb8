"""Look at a dataset: its numbers (`stats`), and its trajectories before and after purifying (`browse`)."""

from purify.reporting.browse import Page, browse, read_rows
from purify.reporting.figures import Stats
from purify.reporting.filters import Filter
from purify.reporting.passages import Passage, passages
from purify.reporting.stats import stats

__all__ = ["Filter", "Page", "Passage", "Stats", "browse", "passages", "read_rows", "stats"]
