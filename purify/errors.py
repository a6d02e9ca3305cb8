"""The errors a user can mend. The CLI prints their one line and exits with 2; anything else is our bug."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


class PurifyError(Exception):
    """Bad input or bad use: one line that says what, where and how to mend it."""


class RejectedRecordError(Exception):
    """One record cannot be read. The import goes on; the record is kept in `rejected/` with this reason."""


def first_problem(error: ValidationError) -> str:
    """The first thing a model refuses, as `where: what`: one line for a reason or a message."""
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
