"""The kernel check against the truth: small random programs are run with and without their failed cells.

Whatever the check accepts must leave every output of the kept cells as it was. The programs come from the templates
below, so running them is safe; names are few, so that they collide.
"""

from __future__ import annotations

import contextlib
import io
import random
import re
from collections import Counter

from purify.saar.kernel.state import RemovedCell, depends_on_removed

SETUP = """
import contextlib, heapq
a, b, c = 1, 2, 3
xs, ys, grid, box = [3, 1, 2], [5], [[1], [2]], {}
it = iter([1, 2, 3])
def f(n): return n + a
def g(n):
    global b
    b = n
    return n
class C:
    k = 0
    def bump(self): self.k += 1
o = C()
"""
# N: one of a, b, c; L: a list; F: a function; E: an expression; S: an indented block
EXPRESSIONS = [
    "1", "7", "N", "N + 2", "len(L)", "sum(L)", "F(N)", "sum(N * 2 for N in L)", "L[0]", "(lambda N: N + N)(1)",
    "(N if N > 3 else N)", "(N := 4)", "len([N for N in L if N > N])",
]  # fmt: skip
STATEMENTS = [
    "N = E", "N = E", "N = E", "N = 5", "N += E", "N, N = E, E", "N = N = E", "N: int = E", "N: int", "del N",
    "import math as N", "from math import pi as N, nothing as N", "from math import *", "print(pi)", "assert E",
    "F(E)", "F(E)", "print(E)", "print(E, f'{N}')", "print(L)", "print([(N := q + 1) for q in L])",
    "L = [E, E]", "L = L", "L = sorted(L)", "L = [N + 1 for N in L]", "L += [E]", "L.append(E)", "L[0] = E", "L.sort()",
    "heapq.heappush(L, E)", "L[0], N = E, E", "N, *L = L",
    "grid.append(L)", "grid = [L, L]", "grid[0][0] = E", "print(grid)", "for row in grid:\n    row.append(1)",
    "box['p'] = L", "box.setdefault('p', []).append(2)", "print(box)", "L = box.get('p', [])", "box = {}",
    "it = iter(L)", "it = (N for N in L)", "next(it)", "print(list(it))",
    "F = lambda N: N * N", "F = F", "o = C()", "o.k = E", "o.bump()", "print(o.k)",
    "if E:\nS\nelse:\nS", "if E:\nS", "for N in L[:3]:\nS", "for N in range(2):\nS\nelse:\nS", "while N < 0:\nS",
    "try:\nS\nexcept Exception:\nS", "try:\nS\nexcept Exception as N:\nS\nfinally:\nS",
    "try:\nS\nexcept KeyError:\n    raise",
    "with contextlib.suppress(Exception):\nS", "with contextlib.nullcontext(E) as N:\nS",
    "match N:\n    case int(N):\n        N = E\n    case _:\n        pass",
    "def F(N):\nS\n    return E", "def F(n=E):\n    global N\n    N = E\n    return E",
    "def F(n):\n    def h():\n        return E\n    return h()",
    "class C:\n    k = E\n    def bump(self):\n        self.k += N",
    "class C:\n    N = N\n    k = (lambda: E)()\n    def bump(self, n=N):\n        L.append(n)",
]  # fmt: skip


def fill(template: str, rng: random.Random, depth: int = 0) -> str:
    def part(found: re.Match[str]) -> str:
        match found[0]:
            case "N":
                return rng.choice("abc")
            case "L":
                return rng.choice(["xs", "ys"])
            case "F":
                return rng.choice("fg")
            case "E":
                return fill(rng.choice(EXPRESSIONS), rng)
        simple = [one for one in STATEMENTS if "\n" not in one] if depth else STATEMENTS
        lines = [fill(rng.choice(simple), rng, depth + 1) for _ in range(rng.randint(1, 2))]
        return "\n".join(f"    {line}" for line in "\n".join(lines).split("\n"))

    return re.sub(r"\b[NLFES]\b", part, template)


def cell(rng: random.Random, most: int) -> str:
    return "\n".join(fill(rng.choice(STATEMENTS), rng) for _ in range(rng.randint(1, most)))


def run(cells: list[str]) -> list[tuple[str, str, int | None]]:
    """What each cell printed, its error and the line of it."""
    names: dict[str, object] = {}
    seen: list[tuple[str, str, int | None]] = []
    for code in cells:
        printed, error, line = io.StringIO(), "", None
        try:
            with contextlib.redirect_stdout(printed):
                exec(compile(code, "<cell>", "exec"), names)
        except Exception as caught:
            error = f"{type(caught).__name__}: {caught}"
            frame = caught.__traceback__
            while frame and frame.tb_frame.f_code.co_filename != "<cell>":
                frame = frame.tb_next
            line = frame.tb_lineno if frame else None
        seen.append((re.sub("0x[0-9a-f]+", "", printed.getvalue()), error, line))
    return seen


def failed(code: str, error: str, line: int | None) -> RemovedCell:
    result = f'File "<cell>", line {line}, in <module>\n' if line else None
    return RemovedCell(code, result, "error", error.split(":")[0])


def test_accepted_edits_change_no_output() -> None:
    verdicts: Counter[tuple[str, str]] = Counter()
    for seed in range(800):
        rng = random.Random(seed)
        earlier = [SETUP, *(cell(rng, 3) for _ in range(rng.randint(0, 2)))]
        removed = [cell(rng, 3) + rng.choice(["", "\n1 / 0", "\na = 1 / 0"]) for _ in range(rng.randint(1, 2))]
        kept = [cell(rng, 5) for _ in range(rng.randint(1, 3))]
        outcome = run([*earlier, *removed, *kept])
        before, gone, after = outcome[: len(earlier)], outcome[len(earlier) : -len(kept)], outcome[-len(kept) :]
        if not all(error for _, error, _ in gone):
            continue
        verdict = depends_on_removed(
            [failed(code, error, line) for code, (_, error, line) in zip(removed, gone, strict=True)],
            kept,
            earlier,
            failed_kept=[i for i, (_, error, _) in enumerate(after) if error],
            failed_earlier=[i for i, (_, error, _) in enumerate(before) if error],
        )
        same = after == run([*earlier, *kept])[len(earlier) :]
        assert same or verdict, (seed, earlier[1:], removed, kept)
        verdicts["refused" if verdict else "accepted", "same" if same else "different"] += 1
    # Not by refusing everything, and not on programs where nothing depends on anything.
    assert verdicts["accepted", "same"] > 100
    assert verdicts["refused", "different"] > 100
