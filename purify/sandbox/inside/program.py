"""Run a program as `python main.py` runs it: a module of its own, its tracebacks, its threads and exit handlers."""

from __future__ import annotations

import atexit
import contextlib
import sys
import threading
import types
from pathlib import Path
from typing import Any, NamedTuple

MAIN_FILE = Path("/tmp/main.py")


_class_name = type.__dict__["__name__"].__get__
"""A metaclass can give `__name__` another meaning."""


class Ended(NamedTuple):
    """How the program ended by its own account."""

    error_type: str | None
    exit_code: int


def run_main(code: str) -> Ended:
    """Run the program to its end, with what the interpreter does after the last line."""
    main = new_main(str(MAIN_FILE))
    # Lone surrogates become bytes that no decoder takes: a SyntaxError, as from a broken file.
    source = code.encode("utf-8", "surrogatepass")
    MAIN_FILE.write_bytes(source)  # where tracebacks read their lines
    ended = attempt(source, str(MAIN_FILE), "exec", vars(main))
    for last in (threading._shutdown, atexit._run_exitfuncs):  # type: ignore[attr-defined]
        with contextlib.suppress(BaseException):
            last()
    flush()
    return ended


def new_main(file: str | None = None) -> types.ModuleType:
    """A fresh `__main__`, in the place of the keeper's."""
    main = types.ModuleType("__main__")
    main.__dict__.update(__builtins__=sys.modules["builtins"], __annotations__={})
    if file is not None:
        main.__file__ = file
    sys.modules["__main__"] = main
    sys.argv[:] = [file or ""]
    sys.path.insert(0, "/tmp")
    return main


def attempt(source: Any, file: str, mode: str, namespace: dict[str, Any]) -> Ended:
    """Compile and run; an exception that escapes is shown as Python shows it, without our frames."""
    try:
        exec(compile(source, file, mode, dont_inherit=True), namespace)
    except BaseException as error:
        return _show(error)
    return Ended(None, 0)


def _show(error: BaseException) -> Ended:
    if isinstance(error, SystemExit):
        if error.code is None or isinstance(error.code, int):
            exit_code = error.code or 0
        else:
            exit_code = 1
            print(error.code, file=sys.stderr)
        return Ended("SystemExit" if exit_code else None, exit_code)
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code is attempt.__code__:
        trace = trace.tb_next
    error.__traceback__ = trace
    with contextlib.suppress(BaseException):
        sys.excepthook(type(error), error, trace)
    return Ended(_class_name(type(error)), 1)


def flush() -> None:
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        with contextlib.suppress(BaseException):
            stream.flush()  # type: ignore[union-attr]
