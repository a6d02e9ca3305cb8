"""`purify report`: a dataset as one HTML file, with its numbers and a browser of its trajectories."""

from typing import TYPE_CHECKING

from purify.lazy import lazy

if TYPE_CHECKING:
    from purify.reporting.page.write import Written, write_page

__all__ = ["Written", "write_page"]

__getattr__ = lazy("purify.reporting.page", {"Written": "write", "write_page": "write"}, extra="report")
