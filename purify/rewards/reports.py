"""What `inside/check.py` reports from the sandbox, read with suspicion: the code under test writes there too."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from purify.tasks.assertions import Case, Passes


class Report(NamedTuple):
    ran: bool
    told: Any
    """The numbered values that were observed, still as JSON."""


def read_reports(stdout: str, nonce: str) -> dict[int, list[Report]]:
    """The reports of each case, by its number. Only lines that begin with the nonce count."""
    found: dict[int, list[Report]] = {}
    for line in stdout.split("\n"):
        if line.startswith(nonce):
            try:
                index, ran, told = json.loads(line.removeprefix(nonce))
                found.setdefault(index, []).append(Report(ran is True, told))
            except (ValueError, TypeError, RecursionError):
                continue  # cut off at the output limit, or forged
    return found


def passes(case: Case, reports: Sequence[Report], observations: Sequence[Passes]) -> bool:
    """Whether a case was reported once, ran, observed all it had to, and every value is right."""
    if len(reports) != 1 or not reports[0].ran:
        return False
    try:
        seen = [(number, read_value(value)) for number, value in reports[0].told]
        return case.required <= {number for number, _ in seen} and all(
            observations[number](value) is True for number, value in seen
        )
    except Exception:  # a hostile value: of another type, nested too deeply, not hashable
        return False


def read_value(told: Any) -> Any:
    """The inverse of `plain` in `inside/check.py`. Raises for anything that it does not write."""
    if not isinstance(told, list):
        return told
    kind, items = told
    match kind:
        case "list":
            return [read_value(item) for item in items]
        case "tuple":
            return tuple(read_value(item) for item in items)
        case "set":
            return {read_value(item) for item in items}
        case "dict":
            return {read_value(key): read_value(item) for key, item in items}
        case "bytes":
            return bytes.fromhex(items)
        case "complex":
            return complex(*items)
    raise ValueError(f"{kind!r} is no kind of value")
