"""The terminal browser: a table of trajectories, the open one below, beside or over it, filters, full-text search.

    purify inspect purified/

Nothing is read before it is looked at: the table's lines come from a few columns of the row groups on the screen, a
trajectory from its own row group; filters and search go over columns in threads, and give way to the next key.
"""

from __future__ import annotations

from textual.app import App

from purify.datasets import Dataset
from purify.reporting.filters import Filter, check
from purify.reporting.reader import RowReader
from purify_cli.browser.screen import BrowserScreen


class Browser(App[None]):
    """Look at a dataset. `wanted` is the filter it opens with.

    Raises `PurifyError` if such a dataset cannot have what the filter asks for.
    """

    CSS_PATH = "styles.tcss"
    TITLE = "purify inspect"
    ENABLE_COMMAND_PALETTE = False

    def __init__(self, reader: RowReader, wanted: Filter | None = None) -> None:
        super().__init__()
        self._reader, self._wanted = reader, wanted or Filter()
        check(reader.dataset, self._wanted)

    def get_default_screen(self) -> BrowserScreen:
        return BrowserScreen(self._reader, self._wanted)


def open_browser(dataset: Dataset, wanted: Filter) -> None:
    """Run the browser until the user quits."""
    Browser(RowReader(dataset), wanted).run()
