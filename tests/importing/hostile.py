"""Long hostile texts: whoever reads one must not take the square of its length."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import NoReturn

CPU_SECONDS = 60
"""A hundred times what the slowest of these takes where time is linear; where it is quadratic, it takes minutes."""


def survives(read: Callable[[str], object], piece: str, behind: str = "", chars: int = 600_000) -> bool:
    """Read `piece` repeated to `chars` characters, with `behind` at the end. Raises `TimeoutError` rather than hang."""

    def give_up(*_: object) -> NoReturn:
        raise TimeoutError(f"{CPU_SECONDS} s of CPU time for {chars:,} characters of {piece!r}")

    before = signal.signal(signal.SIGVTALRM, give_up)
    signal.setitimer(signal.ITIMER_VIRTUAL, CPU_SECONDS)
    try:
        read(piece * (chars // len(piece)) + behind)
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
    return True
