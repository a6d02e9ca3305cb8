"""The seam between model-written code and the machine. Model-written code is hostile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field


class Limits(BaseModel):
    """What one call may use, all its processes together. Beyond `wall_s` or `cpu_s` it is stopped (`timeout`).

    One process alone meets `memory_mb` as a `MemoryError`. Several that break it together, too many processes, or 16
    times the output that is kept, are stopped (`error`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    wall_s: float = Field(default=10.0, gt=0, description="Wall-clock seconds of one call.")
    cpu_s: int = Field(default=10, ge=1, description="CPU seconds of one call.")
    memory_mb: int = Field(default=1024, ge=64, description="Memory of one call beyond the interpreter's own, in MiB.")
    output_kb: int = Field(default=64, ge=1, description="Standard output and error kept of one call, in KiB each.")
    processes: int = Field(default=16, ge=1, description="Processes and threads of one call.")


@dataclass(frozen=True, slots=True)
class Execution:
    """How a piece of code ended.

    `ok`: it ran to its end. `error`: it raised, exited non-zero, crashed or broke a limit; `error_type` is the
    exception's class (`NameError`), `SystemExit`, `signal_SIGSEGV` and the like. `timeout`: stopped at a time limit.
    `infra`: the sandbox failed, not the code.
    """

    status: Literal["ok", "error", "timeout", "infra"]
    stdout: str
    stderr: str
    error_type: str | None
    duration_s: float

    @property
    def text(self) -> str:
        """What a model is shown: the output, then the traceback or message."""
        return "\n".join(part for part in (self.stdout.rstrip("\n"), self.stderr.rstrip("\n")) if part)


class Session(Protocol):
    """A stateful interpreter, as in a notebook: names stay between calls, the last expression's value is shown."""

    async def run(self, code: str) -> Execution: ...

    async def close(self) -> None: ...


class Sandbox(Protocol):
    """Runs Python code apart from the host. Many calls may be awaited at once; the sandbox queues what it must."""

    name: str
    """`bubblewrap`, `sandbox_fusion`, `unsafe` or `scripted`; recorded with the data."""

    async def run(self, code: str, stdin: str = "", limits: Limits | None = None) -> Execution:
        """Run a program in a fresh interpreter that shares nothing with any other call."""
        ...

    async def session(self, limits: Limits | None = None) -> Session:
        """Start a stateful interpreter. Raises `PurifyError` where this sandbox has none."""
        ...

    async def close(self) -> None: ...
