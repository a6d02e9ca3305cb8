"""Run an answer's code, then tests on it. Read as text by `purify/rewards/unit_tests.py`, run in the sandbox.

Standard input holds the job as JSON: the code, the cases, and a nonce that marks the lines that report. What is
reported of a case is that it ran and the values that it observed. What they should be is not known here.
"""

from __future__ import annotations

import decimal
import io
import json
import numbers
import sys
import types
from collections.abc import Set
from typing import Any


class _Nowhere(io.RawIOBase):
    """Swallows what the code prints: it must not use up the output that reports need."""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return len(data)


def plain(value: Any) -> Any:
    """A builtin value as JSON; raises `TypeError` for anything else, however much it claims to equal."""
    if value is None or isinstance(value, bool):
        return value
    for kind in (int, float, str):
        if isinstance(value, kind):
            return kind(value)
    if isinstance(value, complex):
        return ["complex", [value.real, value.imag]]
    if isinstance(value, numbers.Real | decimal.Decimal):
        whole = int(value)  # type: ignore[arg-type]
        return whole if whole == value else float(value)
    if isinstance(value, bytes | bytearray):
        return ["bytes", bytes(value).hex()]
    if isinstance(value, dict):
        return ["dict", [[plain(key), plain(item)] for key, item in value.items()]]
    for name, kinds in (("list", list), ("tuple", tuple), ("set", Set)):
        if isinstance(value, kinds):
            return [name, [plain(item) for item in value]]
    if hasattr(value, "tolist"):  # numpy
        return plain(value.tolist())
    raise TypeError(f"{type(value).__name__} is no plain value")


def main() -> None:
    job = json.loads(sys.stdin.read())
    reports, anything, dump, nonce = sys.stdout, BaseException, json.dumps, job["nonce"]
    sys.stdin = io.StringIO()
    sys.stdout = sys.__stdout__ = io.TextIOWrapper(io.BufferedWriter(_Nowhere()), "utf-8")  # type: ignore[misc]
    module = types.ModuleType("solution")
    sys.modules["solution"] = module
    try:
        exec(compile(job["code"], "solution.py", "exec"), vars(module))
    except anything as error:
        raise RuntimeError(f"the code ended with {type(error).__name__}") from None
    for index, source in enumerate(job["cases"]):
        seen: list[Any] = []

        def observe(number: int, value: Any, seen: list[Any] = seen) -> None:
            seen.append([number, plain(value)])

        vars(module)["_observe"] = observe
        try:
            exec(compile(source, "tests.py", "exec"), vars(module))
            line = dump([index, True, seen])
        except anything as error:
            line = dump([index, False, type(error).__name__])
        reports.write(f"\n{nonce} {line}\n")
        reports.flush()


if __name__ == "__main__":
    main()
