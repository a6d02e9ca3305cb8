"""Can later cells of a Python kernel depend on failed cells that are about to be removed? Decided from the code alone.

A failed cell ran up to its failing line: before that it may have bound names, changed objects or written files. Where a
kept cell can see any of it, its recorded observation could have been another one without the failed cell: refuse.
Nothing is executed, and doubt refuses. Not seen: a function that changes its argument, unless its name is known;
objects shared through calls; writes through functions on no list (`effects.py`, `outside.py`); submodules that
an import loaded on the side; a kernel that was restarted.

Try it: `python -c "from purify.saar.kernel.state import *; print(depends_on_removed([RemovedCell('k = 2\\nk / 0',
'Cell In[1], line 2', 'error', 'ZeroDivisionError')], ['print(k)']))"`
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from purify.saar.kernel.cells import Cell, is_python, parse
from purify.saar.kernel.effects import changes
from purify.saar.kernel.flow import Reads, flow
from purify.saar.kernel.names import STAR, Binding, Namespace, bindings
from purify.saar.kernel.traceback import TRACEBACK, executed, failing_line, without_colours

_SYNTAX = re.compile(r"^\s*(SyntaxError|IndentationError|TabError)\b", re.MULTILINE)
_READS_ANY_NAME = frozenset(["dir", "eval", "exec", "get_ipython", "globals", "locals", "vars"])
# A removed cell shifts the numbers that the kernel's history gives to later ones.
_HISTORY = re.compile(r"\b(?:In|Out|_ih|_oh)\[|(?<![\w.])_i?\d+\b")


@dataclass(frozen=True, slots=True)
class RemovedCell:
    code: str
    result: str | None
    """What came back; its traceback tells the failing line."""
    status: str
    """`error`, `timeout` or `malformed`."""
    error_type: str | None = None


@dataclass(slots=True)
class _Traces:
    """What removed cells left behind."""

    reasons: dict[str, str] = field(default_factory=dict)
    """Name to the reason to refuse when it is read."""
    stars: dict[str, frozenset[str]] = field(default_factory=dict)
    """Star import to the names among these that it would bind again."""

    def add(self, found: Binding) -> None:
        if found.name.startswith(STAR):
            self.reasons.setdefault(found.name, f"removed cell has a star import ({found.name}) that may be used later")
            self.stars.setdefault(found.name, frozenset())
            return
        self.reasons.setdefault(found.name, f"name '{found.name}' {found.how} in a removed cell is used later")
        if found.origin and found.origin.endswith(f".{found.name}"):
            star = f"{STAR}{found.origin.removesuffix(f'.{found.name}')} import *"
            self.stars[star] = self.stars.get(star, frozenset()) | {found.name}


def depends_on_removed(
    removed: Sequence[RemovedCell],
    kept: Sequence[str],
    earlier: Sequence[str] = (),
    *,
    failed_kept: Collection[int] = (),
    failed_earlier: Collection[int] = (),
) -> str | None:
    """None where no kept cell can depend on what the removed cells did, else a short reason.

    `kept` begins with the correction and goes on with all later cells of the tool; `earlier` ran before and stays.
    `failed_kept` and `failed_earlier` are indices of cells that failed themselves: what those bind is not certain.
    """
    sent = [one for one in removed if one.status != "malformed"]
    for i, code in enumerate(kept if sent else ()):
        if found := _HISTORY.search(code):
            return f"kept cell {i} reads the numbered history ({found[0]})"
    try:
        before = [(cell, i not in failed_earlier) for i, code in enumerate(earlier) if (cell := parse(code))]
        traces = _traces(sent, before)
        if isinstance(traces, str) or not traces.reasons:
            return traces if isinstance(traces, str) else None
        functions: Reads = {}
        for cell, _ in before:
            flow(cell.tree.body, functions)
        return _first_dependency(traces, kept, functions, frozenset(failed_kept))
    except RecursionError:
        return "code is nested too deeply"


def _traces(removed: Sequence[RemovedCell], earlier: Sequence[tuple[Cell, bool]]) -> _Traces | str:
    """What the removed cells left, or the reason why that cannot be told or taken back."""
    known = Namespace()
    for cell, succeeded in earlier:
        known.learn(cell.tree.body, succeeded)
    keys_before = dict(known.keys)
    traces = _Traces()
    for one in removed:
        removed_cell = parse(one.code)
        if removed_cell is None:
            if _syntax_error(one):
                continue  # nothing ran
            return "removed cell cannot be parsed"
        line = None
        if one.status != "timeout":
            line = failing_line(removed_cell.lines, one.result, removed_cell.leading_blank)
        if _failed_to_parse(one, removed_cell, line):
            continue
        for number, magic in removed_cell.magics.items():
            if line is None or number <= line:
                return f"removed cell has a magic ({magic})"
        nodes = executed(removed_cell, line)
        known.learn(nodes, certain=False)
        changed, beyond = changes(nodes, known)
        if beyond:
            return f"removed cell {beyond}"
        for found in (found for node in nodes for found in bindings(node)):
            if found.key is None or keys_before.get(found.name) != found.key:
                traces.add(found)
        for name in changed:
            traces.reasons.setdefault(name, f"'{name}' is changed in a removed cell and used later")
    return traces


def _syntax_error(removed: RemovedCell) -> str | None:
    found = _SYNTAX.search(removed.error_type or without_colours(removed.result))
    return found[1] if found else None


def _failed_to_parse(removed: RemovedCell, cell: Cell, line: int | None) -> bool:
    """Whether the kernel could not even parse a cell that we can parse: no magics there, another indent, or dedent.

    IPython reports these without a traceback, but so it does errors of the compiler (`return` outside a function), and
    those come when the statements before have run.
    """
    error = _syntax_error(removed)
    if error is None or (error == "SyntaxError" and is_python(removed.code)):
        return False
    return line is None or (TRACEBACK not in without_colours(removed.result) and not cell.magics)


def _first_dependency(traces: _Traces, kept: Sequence[str], functions: Reads, failed: frozenset[int]) -> str | None:
    live = dict(traces.reasons)
    for i, code in enumerate(kept):
        cell = parse(code)
        if cell is None:
            return f"kept cell {i} cannot be parsed"
        if cell.magics:
            return f"kept cell {i} has a magic ({next(iter(cell.magics.values()))})"
        reads, binds = flow(cell.tree.body, functions, traces.stars)
        for name, reason in live.items():
            if name in reads:
                return reason
        if opaque := sorted(reads & _READS_ANY_NAME):
            return f"kept cell {i} may read any name ({opaque[0]})"
        if i not in failed:
            live = {name: reason for name, reason in live.items() if name not in binds}
        if not live:
            return None
    return None
