"""Compare expressions, one request a line, until standard input ends. Started by `purify/rewards/mathematics.py`.

    echo '{"gold": "$1/2$", "prediction": "0.5"}' | python -P purify/rewards/inside/math_worker.py 5 30 2048

It has no handler for the timers: the kernel ends it, in whatever C code it hangs.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import signal
import sys
from functools import lru_cache
from typing import Any


def main(cpu_s: float, wall_s: float, memory_mb: int) -> None:
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a library prints is no reply
    logging.disable(logging.CRITICAL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (memory_mb << 20, memory_mb << 20))
    for ending in (signal.SIGPROF, signal.SIGALRM):
        signal.signal(ending, signal.SIG_DFL)

    from math_verify import parse, verify

    # The library's timeouts use the same timer; ours bounds all of a request.
    parse_gold = lru_cache(maxsize=64)(lambda gold: parse(gold, parsing_timeout=None))
    for line in sys.stdin.buffer:
        request: dict[str, Any] = json.loads(line)
        signal.setitimer(signal.ITIMER_PROF, cpu_s)
        signal.setitimer(signal.ITIMER_REAL, wall_s)
        gold = parse_gold(request["gold"])
        print("readable" if gold else "unreadable", file=replies)
        if gold:
            prediction = parse(request["prediction"], parsing_timeout=None)
            equal = verify(gold, prediction, timeout_seconds=None)
            print("equal" if equal else "different", file=replies)
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)


if __name__ == "__main__":
    main(float(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]))
