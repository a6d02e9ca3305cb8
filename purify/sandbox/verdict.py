"""From what is known of a program's end to an `Execution`. Success needs proof; an exit code of 0 is none."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import Literal, NamedTuple

from purify.sandbox.base import Execution, Limits


class Account(NamedTuple):
    """How the program ended, as its runner says."""

    exit_code: int
    error_type: str | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """`exit_code` (negative: a signal) and `limit` come from PID 1, `account` from the runner; None if unknown."""

    exit_code: int | None
    limit: str | None
    account: Account | None
    stdout: str
    stderr: str
    duration_s: float


def verdict(outcome: Outcome, limits: Limits) -> Execution:
    """`ok` only where the runner proved that the program came to its end without an error."""
    broken = _BROKEN.get(outcome.limit or "")
    if broken is not None:
        status, error_type, message = broken
        note = message.format(**limits.model_dump())
        stderr = f"{outcome.stderr.rstrip()}\n{note}\n".lstrip()
        return Execution(status, outcome.stdout, stderr, error_type, outcome.duration_s)
    account = outcome.account
    if account is not None and outcome.exit_code is not None and outcome.exit_code >= 0:
        if account == Account(0, None) and outcome.exit_code == 0:
            return Execution("ok", outcome.stdout, outcome.stderr, None, outcome.duration_s)
        error_type = account.error_type or "early_exit"
        return Execution("error", outcome.stdout, outcome.stderr, error_type, outcome.duration_s)
    error_type, note = _unproven(outcome.exit_code)
    stderr = f"{outcome.stderr.rstrip()}\n{note}\n".lstrip()
    return Execution("error", outcome.stdout, stderr, error_type, outcome.duration_s)


_BROKEN: dict[str, tuple[Literal["timeout", "error"], str, str]] = {
    "wall": ("timeout", "TimeLimit", "Stopped: ran longer than {wall_s:g} s."),
    "cpu": ("timeout", "CpuLimit", "Stopped: used more than {cpu_s} s of CPU time."),
    "memory": ("error", "MemoryLimit", "Stopped: used more than {memory_mb} MiB of memory."),
    "processes": ("error", "ProcessLimit", "Stopped: ran more than {processes} processes and threads."),
    "output": ("error", "OutputLimit", "Stopped: wrote far more than {output_kb} KiB of output."),
}


def _unproven(exit_code: int | None) -> tuple[str, str]:
    if exit_code is not None and exit_code < 0:
        try:
            name = signal.Signals(-exit_code).name
        except ValueError:
            name = f"SIG{-exit_code}"
        return f"signal_{name}", f"Ended by {name}."
    return "early_exit", f"Ended before the program did (exit code {exit_code})."
