"""The failing line in every traceback form, and the part of a cell that ran."""

from __future__ import annotations

import ast

import pytest

from purify.saar.kernel.cells import parse
from purify.saar.kernel.traceback import executed, failing_line

CODE = ["def f(x):", "    return 1 / x", "y = 1", "z = f(0)"]
HEAD = "Traceback (most recent call last)"


@pytest.mark.parametrize(
    ("result", "line"),
    [
        (f'{HEAD}:\n  File "<stdin>", line 4, in <module>\n  File "<stdin>", line 2, in f\nZeroDivisionError', 4),
        (f'{HEAD}:\n  File "/run.py", line 9, in <module>\n    exec(c)\n  File "<string>", line 4, in <module>\n', 4),
        (f'{HEAD}:\n  File "<string>", line 3, in <module>\n  File "<string>", line 1, in <module>\nNameError', 3),
        (f'{HEAD}:\n  File "/tmp/a.py", line 4, in <module>\n    z = f(0)\n        ^^^^\n', 4),
        (f'{HEAD}:\n  File "/tmp/a.py", line 31, in <module>\n    z = f(0)\n', 4),  # a prelude before the code
        (f'{HEAD}:\n  File "/tmp/a.py", line 3, in <module>\n    other\n', None),
        (f'{HEAD}:\n  File "/tmp/a.py", line 3, in <module>\n', None),
        (f'{HEAD}:\n  File "<frozen x>", line 3, in <module>\n', None),
        (f'{HEAD}:\n  File "<stdin>", line 40, in <module>\n', None),
        (f"---\nZeroDivisionError   {HEAD}\nCell In[4], line 4\n      3 y = 1\n----> 4 z = f(0)\n\n"
         "Cell In[4], line 2, in f(x)\n      1 def f(x):\n----> 2     return 1 / x\n", 4),
        (f"--- ZeroDivisionError   {HEAD} Cell In[4], line 4\n      3 y = 1\n----> 4 z = f(0)\n", 4),
        (f"\x1b[0;31mE\x1b[0m  {HEAD}\nCell \x1b[0;32mIn[4], line 4\x1b[0m\n\x1b[1;32m      3\x1b[0m y = 1\n"
         "\x1b[0;32m----> 4\x1b[0m z \x1b[38;5;241m=\x1b[39m f(\x1b[38;5;241m0\x1b[39m)\n", 4),
        (f"E  {HEAD}\nCell In [4], line 4\n", 4),
        (f"E  {HEAD}\nInput In [3], in <cell line: 4>()\n      3 y = 1\n----> 4 z = f(0)\n", 4),
        (f"E  {HEAD}\nInput In [3], in <module>\n----> 4 z = f(0)\n", 4),
        (f"E  {HEAD}\n<ipython-input-4-0a1b> in <module>\n      3 y = 1\n----> 4 z = f(0)\n\n"
         "<ipython-input-4-0a1b> in f(x)\n----> 2     return 1 / x\n", 4),
        (f"E  {HEAD}\n<ipython-input-4-0a1b> in <cell line: 4>()\n----> 4 z = f(0)\n", 4),
        (f"E  {HEAD}\n/tmp/ipykernel_71/99.py in <module>\n----> 4 z = f(0)\n", 4),
        (f"E  {HEAD}\nCell In[4], line 4\n----> 4 something(else)\n", None),
        # the last of chained tracebacks
        (f"E  {HEAD}\nCell In[4], line 3\n----> 3 y = 1\n\nDuring handling\n\nE  {HEAD}\nCell In[4], line 4\n", 4),
        ("Cell In[4], line 3\n    y = 1\n    ^\nSyntaxError: 'return' outside function", 3),
        ("NameError: name 'f' is not defined", None),
        ("", None),
        (None, None),
    ],
)  # fmt: skip
def test_failing_line(result: str | None, line: int | None) -> None:
    assert failing_line(CODE, result) == line


def test_plain_python_counts_blank_lines_at_the_top_and_ipython_does_not() -> None:
    cell = parse("\n\na = 1\nb = c")
    assert cell is not None
    assert (cell.lines, cell.leading_blank) == (("a = 1", "b = c"), 2)
    assert failing_line(cell.lines, 'File "<stdin>", line 4, in <module>\n', cell.leading_blank) == 2
    assert failing_line(cell.lines, "Cell In[1], line 2\n", cell.leading_blank) == 2


@pytest.mark.parametrize(
    ("code", "line", "parts"),
    [
        ("a = 1\nb = g()\nc = 2", 2, ["a = 1", "g()"]),
        ("a = 1\nb.c = g()", 2, ["a = 1", "b.c = g()"]),
        ("(a, b), c = g()", 1, ["(a, b), c = g()"]),
        ("a, *b = g()", 1, ["g()"]),
        ("a = (1 +\n  g())\nb = 2", 2, ["1 + g()"]),
        ("import a, b", 1, ["import a"]),
        ("def f():\n  return g()\nf()", 2, ["def f():\n    return g()", "f()"]),  # no frame of the module
        ("a = 1\n# note\nb = 2", 2, ["a = 1", "b = 2"]),  # no statement there
        ("@g\ndef f(x=h()): pass\na = 1", 1, ["g", "x=h()"]),
        ("for a in b:\n  c = 1\n  d = g()\ne = 1", 3, ["for a in b:\n    c = 1\n    d = g()"]),
        ("if a:\n  b = 1\n  c = g()\nelif d:\n  e = 1", 3, ["a", "b = 1", "g()"]),
        ("if a:\n  b = 1\nelif d:\n  e = g()", 4, ["a", "d", "g()"]),
        ("if a:\n  b = 1\nelif d:\n  e = 1", 3, ["a", "d"]),
        ("a = 1; b = g(); c = 2", 1, ["a = 1", "b = g()", "c = 2"]),
        ("a = 1\nb = g()", None, ["a = 1", "b = g()"]),
    ],
)
def test_executed(code: str, line: int | None, parts: list[str]) -> None:
    cell = parse(code)
    assert cell is not None
    assert [ast.unparse(part) for part in executed(cell, line)] == parts
