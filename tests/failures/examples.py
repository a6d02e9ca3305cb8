"""What the tests of this folder share."""

from __future__ import annotations

from purify.failures import Outcome, Rules
from purify_schemas.names import Status

FRAMES = 'Traceback (most recent call last):\n  File "a.py", line 2, in <module>\n    f(x)\n'
OK = Outcome("ok", None, "no_rule")
SETS = {name: Rules.load(name) for name in ("tool", "shell", "mint", "swe-agent", "inspect", "adp", "python")}


def hit(rule: str, status: Status, error_type: str | None) -> Outcome:
    return Outcome(status, error_type, f"rule:{rule}")
