"""The errors a user can mend. The CLI prints their one line and exits with 2; anything else is our bug."""

from __future__ import annotations


class PurifyError(Exception):
    """Bad input or bad use: one line that says what, where and how to mend it."""


class RejectedRecordError(Exception):
    """One record cannot be read. The import goes on; the record is kept in `rejected/` with this reason."""
