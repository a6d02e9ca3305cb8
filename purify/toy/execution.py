"""Run a demonstration's program and see what a model would see.

These programs are our own, so they run in this process: some ten thousand in seconds. What they print is byte for byte
what the sandbox shows for the same code, because the sandbox's own runner shows it; a test compares the two.

    python -c 'from purify.toy.execution import execute; print(execute("print(x)").text)'
"""

from __future__ import annotations

import io
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

from purify.sandbox import Execution
from purify.sandbox.inside.program import MAIN_FILE, attempt


def execute(code: str) -> Execution:
    """Run a trusted program that ends. The duration is left at 0: demonstrations are the same bytes on every run."""
    out, err = io.StringIO(), io.StringIO()
    # Tracebacks read their lines from the program's file; a folder of its own keeps it from every other program's.
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "main.py")
        file.write_text(code)
        with redirect_stdout(out), redirect_stderr(err), _plain_tracebacks():
            ended = attempt(code.encode(), str(file), "exec", {"__name__": "__main__"})
    return Execution(
        status="ok" if ended.error_type is None else "error",
        stdout=out.getvalue(),
        stderr=err.getvalue().replace(str(file), str(MAIN_FILE)),
        error_type=ended.error_type,
        duration_s=0.0,
    )


@contextmanager
def _plain_tracebacks() -> Iterator[None]:
    """The interpreter's own, whatever the program around us has installed."""
    hook, sys.excepthook = sys.excepthook, sys.__excepthook__
    try:
        yield
    finally:
        sys.excepthook = hook
