"""Numbers with what they count, as the card writes them."""

from __future__ import annotations


def counted(count: int, one: str, many: str | None = None) -> str:
    """`1 edit`, `2,000 edits`; `many` where an `s` is not enough, as in `2 trajectories were`."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"
