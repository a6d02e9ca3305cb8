"""The kernel check on tiny cells: every rule both ways, arbitrary text, real dumps."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purify.saar.kernel.state import RemovedCell, depends_on_removed
from tests.support import dump


def failed_at(code: str, error: str = "NameError") -> RemovedCell:
    """A cell that failed at its line with `boom`, as IPython reports it; without such a line, nobody knows where."""
    for number, text in enumerate(code.split("\n"), start=1):
        if "boom" in text:
            frame = f"Cell In[3], line {number}\n----> {number} {text}\n"
            result = f"{error}    Traceback (most recent call last)\n{frame}\n{error}: boom"
            return RemovedCell(code, result, "error", error)
    return RemovedCell(code, f"{error}: something", "error", error)


def judge(removed: str, kept: str, *more: str, earlier: str = "") -> str | None:
    return depends_on_removed([failed_at(removed)], [kept, *more], [earlier] if earlier else [])


BOUND = "name '{}' bound in a removed cell is used later".format
CHANGED = "'{}' is changed in a removed cell and used later".format

# Each: removed cell, kept cell, earlier cell, reason.
NAMES: list[tuple[str, str, str, str | None]] = [
    # what ran before the failing line is bound, what comes at or after it is not
    ("k = 2\nboom", "print(k)", "", BOUND("k")),
    ("k = boom\nj = 1", "print(j, k)", "", None),
    ("k, j = boom", "print(j, k)", "", None),
    ("k = d[boom] = 1", "print(k)", "", BOUND("k")),
    ("k: int = 2\nboom", "k", "", BOUND("k")),
    ("k: int\nboom", "k", "", None),
    ("k += 1\nboom", "k", "k = 0", BOUND("k")),
    ("print(k := 2)\nboom", "k", "", BOUND("k")),
    ("[j := i for i in xs]\nboom", "j", "", BOUND("j")),
    ("[i for i in xs]\nboom", "i", "", None),
    ("import numpy as np, os.path\nboom", "np.zeros(2)", "", BOUND("np")),
    ("import os.path\nboom", "os.getcwd()", "", BOUND("os")),
    ("from math import gcd\nboom", "gcd(4, 6)", "", BOUND("gcd")),
    ("def f(): pass\nboom", "f()", "", BOUND("f")),
    ("class C: pass\nboom", "C()", "", BOUND("C")),
    ("for i in xs: boom", "i", "", BOUND("i")),
    ("with p as q: boom", "q", "", BOUND("q")),
    ("try:\n  boom\nexcept E as e: raise", "e", "", BOUND("e")),
    ("match p:\n  case [a, *b]: boom", "b", "", BOUND("b")),
    ("def f():\n  global k\n  k = 1\nboom", "k", "", "name 'k' bound by a function in a removed cell is used later"),
    ("del k\nboom", "k", "k = 1", "name 'k' deleted in a removed cell is used later"),
    ("from m import a, boom", "a", "", BOUND("a")),
    ("from m import boom", "boom", "", None),
    ("if boom:\n  k = 1", "k", "", None),
    ("if c:\n  k = 1\n  boom\n  j = 1\nelse:\n  i = 1", "i, j", "", None),
    ("if c:\n  k = 1\n  boom", "k", "", BOUND("k")),
    ("a = 1; b = boom; c = 2", "c", "", BOUND("c")),
    ("@boom\ndef f(): pass", "f", "", None),
    ("k = 1\nj = 2", "j", "", BOUND("j")),  # nobody knows the line
    # a kept cell may bind the name again first
    ("k = 2\nboom", "k = 3\nprint(k)", "", None),
    ("k = 2\nboom", "print(k)\nk = 3", "", BOUND("k")),
    ("k = 2\nboom", "k += 1", "", BOUND("k")),
    ("k = 2\nboom", "del k", "", BOUND("k")),
    ("k = 2\nboom", "if c: k = 1\nprint(k)", "", BOUND("k")),
    ("k = 2\nboom", "if c: k = 1\nelse: k = 2\nprint(k)", "", None),
    ("k = 2\nboom", "if c:\n  k = 1\n  print(k)", "", None),
    ("k = 2\nboom", "for k in xs: print(k)", "", None),
    ("k = 2\nboom", "for k in xs: pass\nprint(k)", "", BOUND("k")),
    ("k = 2\nboom", "while c: k = 1\nk", "", BOUND("k")),
    ("k = 2\nboom", "try: k = f()\nexcept E: pass\nk", "", BOUND("k")),
    ("k = 2\nboom", "try: k = f()\nexcept E: k = 1\nk", "", None),
    ("k = 2\nboom", "try: k = f()\nexcept E: raise\nk", "", None),
    ("k = 2\nboom", "try: pass\nfinally: k = 1\nk", "", None),
    ("k = 2\nboom", "with p: k = 1\nk", "", None),
    ("k = 2\nboom", "with suppress(E): k = f()\nk", "", BOUND("k")),
    ("k = 2\nboom", "match p:\n  case k: print(k)", "", None),
    ("k = 2\nboom", "match p:\n  case k: pass\nk", "", BOUND("k")),
    ("k = 2\nboom", "k: int\nk", "", BOUND("k")),
    ("k = 2\nboom", "import k\nk", "", None),
    # functions, classes, comprehensions
    ("k = 2\nboom", "[k for k in xs]", "", None),
    ("k = 2\nboom", "[k for x in xs]", "", BOUND("k")),
    ("k = 2\nboom", "[x for x in k]", "", BOUND("k")),
    ("k = 2\nboom", "def f(): return k\nk = 3\nf()", "", None),
    ("k = 2\nboom", "def f(): return k\nf()\nk = 3", "", BOUND("k")),
    ("k = 2\nboom", "def f(): return k", "", None),  # never called
    ("k = 2\nboom", "def f(): return g()\ndef g(): return k\nf()", "", BOUND("k")),
    ("def g(): pass\nboom", "def f(): return g()\ndef g(): return 1\nf()", "", None),
    ("k = 2\nboom", "def f(k): return k\nf(1)", "", None),
    ("k = 2\nboom", "def f(a=k): return a", "", BOUND("k")),
    ("k = 2\nboom", "@run\ndef f(): return k", "", BOUND("k")),
    ("k = 2\nboom", "f = lambda: k\nk = 1\nf()", "", None),
    ("k = 2\nboom", "f = lambda: k\nf()", "", BOUND("k")),
    ("k = 2\nboom", "class C:\n  a = k", "", BOUND("k")),
    ("k = 2\nboom", "class C:\n  k = k", "", BOUND("k")),
    ("k = 2\nboom", "class C:\n  def m(self): return k\nc = C()\nc.m()", "", BOUND("k")),
    ("k = 2\nboom", "f(1)", "def f(n): return n * k", BOUND("k")),
    ("k = 2\nboom", "k = 1\nf(1)", "def f(n): return n * k", None),
    ("k = 2\nboom", "ops['f'](1)", "f = lambda n: n * k\nops = {'f': f}", BOUND("k")),
    ("k = 2\nboom", "c.m()", "class C:\n  def m(self): return k\nc = C()", BOUND("k")),
    ("sum = 0\nboom", "sum([1])", "", BOUND("sum")),
    ("k = 2\nboom", "f'{k:>{w}}'", "", BOUND("k")),
    # equal bindings
    ("import numpy as np\nboom", "np.zeros(2)", "import numpy as np", None),
    ("from sympy import solve, Eq\nboom", "solve(Eq(x, 1))", "from sympy import Eq, solve", None),
    ("from cmath import sqrt\nboom", "sqrt(2)", "from math import sqrt", BOUND("sqrt")),
    ("from math import sqrt\nboom", "sqrt(2)", "from math import sqrt\nsqrt = 1", BOUND("sqrt")),
    ("from math import sqrt\nboom", "sqrt(2)", "try: from math import sqrt\nexcept E: pass", BOUND("sqrt")),
    ("from math import sqrt\nboom", "sqrt(2)", "from math import sqrt\nfrom sympy import *", BOUND("sqrt")),
    ("n = 5\nboom", "n", "n = 5", None),
    ("n = -5, 'a'\nboom", "n", "n = -5, 'a'", None),
    ("n = 5\nboom", "n", "n = 5\nn += 1", BOUND("n")),
    ("n = 5\nboom", "n", "def up():\n  global n\n  n += 1\nn = 5\nup()", BOUND("n")),
    ("xs = []\nboom", "xs", "xs = []", BOUND("xs")),
    ("x, y = symbols('x y')\nboom", "x + y", "x, y = symbols('x y')", None),
    ("x = symbols('x', real=True)\nboom", "x", "x = symbols('x')", BOUND("x")),
]

STAR_IMPORT = "removed cell has a star import (from sympy import *) that may be used later"
EFFECTS: list[tuple[str, str, str, str | None]] = [
    # objects
    ("xs.append(1)\nboom", "xs", "xs = []", CHANGED("xs")),
    ("xs.append(1)\nboom", "xs = []\nxs", "xs = []", None),
    ("boom\nxs.append(1)", "xs", "xs = []", None),
    ("xs.count(1)\nboom", "xs", "xs = []", None),
    ("x.subs(y, 1).evalf()\nboom", "x", "x = f()", None),
    ("xs[0] = 1\nboom", "xs", "xs = [0]", CHANGED("xs")),
    ("d['a']['b'] += 1\nboom", "d", "d = {}", CHANGED("d")),
    ("del d['a']\nboom", "d", "d = {}", CHANGED("d")),
    ("p.x = 1\nboom", "p", "p = P()", CHANGED("p")),
    ("ax.set_title('a')\nboom", "ax", "ax = f()", CHANGED("ax")),
    ("df.drop(columns='a', inplace=True)\nboom", "df", "df = f()", CHANGED("df")),
    ("df.drop(columns='a')\nboom", "df", "df = f()", None),
    ("d.get('a').append(1)\nboom", "d", "d = {}", CHANGED("d")),
    ("heapq.heappush(xs, 1)\nboom", "xs", "import heapq\nxs = []", CHANGED("xs")),
    ("next(it)\nboom", "it", "it = f()", CHANGED("it")),
    ("list(it)\nboom", "it", "it = iter(xs)", CHANGED("it")),
    ("list(xs)\nboom", "xs", "xs = f()", None),
    ("np.add(a, b, out=a)\nboom", "a", "import numpy as np\na = f()", CHANGED("a")),
    ("ys = xs\nys.append(1)\nboom", "xs", "xs = []", CHANGED("xs")),
    ("ys.append(1)\nboom", "xs", "xs = []\nys = xs", CHANGED("xs")),
    ("row.append(1)\nboom", "grid", "grid = []\ngrid.append(row)", CHANGED("grid")),
    ("for row in grid: row.append(1)\nboom", "grid", "grid = [[]]", CHANGED("grid")),
    ("ys += [1]\nboom", "xs", "xs = []\nys = xs", CHANGED("xs")),
    ("y = x\ny += 1\nboom", "x", "x = 1", None),
    ("ys = sorted(xs)\nys.append(1)\nboom", "xs", "xs = []", None),
    ("f(xs)\nboom", "xs", "xs = []", None),  # the documented limit
    ("note(1)\nboom", "seen", "seen = []\ndef note(n): seen.append(n)", CHANGED("seen")),
    ("print(1)\nboom", "seen", "seen = []\ndef note(n): seen.append(n)", None),
    ("up()\nboom", "n", "n = 1\ndef up():\n  global n\n  n = 2", CHANGED("n")),
    ("p = go\nboom", "n", "n = 1\ndef up():\n  global n\n  n = 2\ngo = up", CHANGED("n")),
    ("c.up()\nboom", "n", "n = 1\nclass C:\n  def up(self):\n    global n\n    n = 2\nc = C()", CHANGED("n")),
    ("put(1)\nboom", "xs", "xs = []\nput = lambda n: xs.append(n)", CHANGED("xs")),
    ("def f():\n  xs = []\n  xs.append(1)\nf()\nboom", "xs", "xs = [1]", None),
    ("s.push(1)\nboom", "s", "class S:\n  def push(self, n): self.items.append(n)\ns = S()", CHANGED("s")),
    ("s.size()\nboom", "s", "class S:\n  def size(self): return 1\ns = S()", None),
    ("import numpy as np\nnp.insert(a, 0, 1)\nboom", "import numpy as np\nnp", "", None),
    # star imports
    ("from sympy import *\nboom", "solve(x)", "", STAR_IMPORT),
    ("from sympy import *\nboom", "solve(x)", "from sympy import *", None),
    ("from sympy import *\nboom", "solve(x)", "from sympy import *\nfrom math import pi", STAR_IMPORT),
    ("from sympy import *\nboom", "from sympy import *\nsolve(x)", "", None),
    ("from sympy import *\nboom", "print(len([1]))", "", None),
    ("from sympy import solve\nboom", "from sympy import *\nsolve(x)", "", None),
    # beyond the namespace
    ("open(p, 'w')\nboom", "1", "", "removed cell writes files (open)"),
    ("open(p)\nboom", "1", "", None),
    ("open(p, mode)\nboom", "1", "", "removed cell writes files (open)"),
    ("p.open('a')\nboom", "1", "", "removed cell writes files (p.open)"),
    ("boom\nopen(p, 'w')", "1", "", None),
    ("def f(): open(p, 'w')\nboom", "1", "", "removed cell writes files (open)"),
    ("f()\nboom", "1", "def f(): open(p, 'w')", "removed cell writes files (open)"),
    ("from pathlib import Path\nPath(p).write_text(t)\nboom", "1", "", "removed cell writes files (?.write_text)"),
    ("from os import remove as rm\nrm(p)\nboom", "1", "", "removed cell writes files (os.remove)"),
    ("df.to_csv(p)\nboom", "1", "df = f()", "removed cell writes files (?.to_csv)"),
    ("df.to_json()\nboom", "1", "", None),
    ("plt.savefig(p)\nboom", "1", "import matplotlib.pyplot as plt",
     "removed cell writes files (matplotlib.pyplot.savefig)"),
    ("plt.plot(xs)\nplt.show()\nboom", "1", "import matplotlib.pyplot as plt", None),
    ("import subprocess\nsubprocess.run(c)\nboom", "1", "", "removed cell acts outside the kernel (subprocess.run)"),
    ("np.random.seed(0)\nboom", "1", "import numpy as np", "removed cell changes settings (numpy.random.seed)"),
    ("random.random()\nboom", "1", "import random", None),
    ("random.random()\nboom", "1", "import random\nrandom.seed(0)",
     "removed cell draws random numbers after a seed (random.random)"),
    ("mp.dps = 50\nboom", "1", "from mpmath import mp", "removed cell changes settings (mp.dps)"),
    ("sys.path.append(p)\nboom", "1", "import sys", "removed cell changes settings (sys.path)"),
    ("os.environ['A'] = 'b'\nboom", "1", "import os", "removed cell changes settings (os.environ['A'])"),
    ("getcontext().prec = 9\nboom", "1", "from decimal import getcontext",
     "removed cell changes settings (getcontext().prec)"),
    ("exec(s)\nboom", "1", "", "removed cell cannot be analysed (exec)"),
    ("m.eval(s)\nboom", "1", "", None),
    ("p.__dict__['a'] = 1\nboom", "1", "p = P()", "removed cell cannot be analysed (__dict__)"),
    ("vars = f()\nprint(vars)\nboom", "1", "", None),
    ("k = 1\nboom", "eval(s)", "", "kept cell 0 may read any name (eval)"),
    ("boom", "eval(s)", "", None),
    # magics
    ("%matplotlib inline\nboom", "1", "", "removed cell has a magic (%matplotlib)"),
    ("boom\n!ls", "1", "", None),
    ("fs = !ls\nboom", "1", "", "removed cell has a magic (fs)"),
    ("len?\nboom", "1", "", "removed cell has a magic (len?)"),
    ("await f()\nboom", "1", "", "removed cell has a magic (await)"),
    ("async def f(): await g()\nboom", "1", "", None),
    ("s = '''\n%d\n'''\nboom", "1", "", None),
    ("k = 1\nboom", "%time k = 2", "", "kept cell 0 has a magic (%time)"),
    ("k = 1\nboom", "print 'k'", "", "kept cell 0 cannot be parsed"),
    ("boom", "print 'k'", "", None),
    ("k = 1\nboom", "Out[3]", "", "kept cell 0 reads the numbered history (Out[)"),
    ("k = 1\nboom", "_ + x_1", "", None),
]  # fmt: skip


@pytest.mark.parametrize(("removed", "kept", "earlier", "reason"), NAMES + EFFECTS)
def test_rules(removed: str, kept: str, earlier: str, reason: str | None) -> None:
    assert judge(removed, kept, earlier=earlier) == reason


def test_later_cells_count_until_the_name_is_bound_again() -> None:
    assert judge("k = 2\nboom", "1", "k") == BOUND("k")
    assert judge("k = 2\nboom", "1", "k = 1", "k") is None
    assert judge("k = 2\nboom", "k = 1", "print 'k'") is None, "nothing is left to look for: not even parsed"
    assert judge("k = 2\nboom", "1", "print 'k'") == "kept cell 1 cannot be parsed"


def test_bindings_of_cells_that_failed_are_not_certain() -> None:
    removed = [failed_at("k = 2\nboom")]
    assert depends_on_removed(removed, ["1", "x = y\nk = 1", "k"]) is None
    assert depends_on_removed(removed, ["1", "x = y\nk = 1", "k"], failed_kept=[1]) == BOUND("k")
    removed = [failed_at("import math\nboom")]
    assert depends_on_removed(removed, ["math"], ["import math"]) is None
    assert depends_on_removed(removed, ["math"], ["import math"], failed_earlier=[0]) == BOUND("math")


def test_several_removed_cells_add_up() -> None:
    first, second = failed_at("j = 2\nboom"), failed_at("k = 2\nboom")
    assert depends_on_removed([first, second], ["k"]) == BOUND("k")
    assert depends_on_removed([first, second], ["j"]) == BOUND("j")
    assert depends_on_removed([first, second], ["j = k = 1", "j, k"]) is None


@pytest.mark.parametrize(
    ("code", "result", "status", "error_type", "reason"),
    [
        ("k = 2\nx ==== 1", "Cell In[3], line 2\nSyntaxError: invalid syntax", "error", "SyntaxError", None),
        ("k = 2\nx ==== 1", "\x1b[0;31mSyntaxError\x1b[0m: invalid syntax", "error", None, None),
        ("k = 2\nx ==== 1", "KeyError: 1", "error", "KeyError", "removed cell cannot be parsed"),
        ("k = 2\nx ==== 1", None, "timeout", None, "removed cell cannot be parsed"),
        ("k = 2", None, "malformed", None, None),
        ("", None, "error", None, None),
        ("k = 2\nboom()\n", None, "timeout", None, BOUND("k")),
        # raised at run time: the cell itself is fine
        ("k = 2\nsympify('1 +')", "SyntaxError: invalid syntax", "error", "SyntaxError", BOUND("k")),
        # the compiler's errors reach IPython when the statements before have run
        ("k = 2\nreturn k", "Cell In[3], line 2\n    return k\nSyntaxError: 'return' outside function", "error",
         "SyntaxError", BOUND("k")),
        # dedented by us, not by that kernel
        (" k = 2\n boom", "Cell In[3], line 2\n    boom\nIndentationError: unexpected indent", "error",
         "IndentationError", None),
        (" k = 2\n boom", failed_at("k = 2\nboom").result, "error", "NameError", BOUND("k")),
        # a magic is a syntax error to plain Python
        ("k = 2\n%time 1", 'File "<string>", line 2\n    %time 1\nSyntaxError: invalid syntax', "error", "SyntaxError",
         None),
    ],
)  # fmt: skip
def test_what_ran(code: str, result: str | None, status: str, error_type: str | None, reason: str | None) -> None:
    assert depends_on_removed([RemovedCell(code, result, status, error_type)], ["k"]) == reason


def test_deep_nesting_is_a_reason() -> None:
    chain = "if a: pass\n" + "elif a: pass\n" * 900
    assert judge("k = 1\nboom", chain) == "code is nested too deeply"
    assert judge("k = 1\nboom", "(" * 700 + ")" * 700) == "kept cell 0 cannot be parsed"


PIECES = ["k = 1", "boom", "%x", "if k:", "  k", "def f(k):", "'", "(", "#", "Cell In[1], line 1"]
TEXT = st.one_of(st.text(), st.lists(st.sampled_from(PIECES)).map("\n".join))


@given(TEXT, st.one_of(st.none(), TEXT), TEXT, TEXT, st.sampled_from(["error", "timeout", "malformed"]))
def test_any_text_gets_a_verdict(code: str, result: str | None, kept: str, earlier: str, status: str) -> None:
    verdict = depends_on_removed([RemovedCell(code, result, status, None)], [kept], [earlier])
    assert verdict is None or verdict


EXCEPTION = re.compile(r"^\s*(\w+(?:Error|Exception|Computation\w+))\b", re.MULTILINE)
COLOURS = re.compile(r"\x1b\[[\d;]*m")


def mathcoder_cells() -> Iterator[list[tuple[str, str]]]:
    """Code and output of each trajectory, the blocks as MathCoder stores them."""
    for name in ("mathcoder/cl-7b_mathematics.jsonl", "mathcoder/gsm8k_debug.jsonl"):
        for line in dump(name).read_text().splitlines():
            cells: list[tuple[str, str]] = []
            for block in json.loads(line)["debug_result"]:
                kind = block.get("role") or block["type"]
                if kind == "code":
                    cells.append((block["content"], ""))
                elif kind == "execution" and cells:
                    cells[-1] = (cells[-1][0], block["content"])
            yield cells


def test_real_kernels() -> None:
    """Up to three failures and a success, 76 times. All were run with and without the failed cells (sympy 1.14): what
    is accepted changes no output, what is refused changes one, but for one cell that computes an equal value again."""
    verdicts: Counter[str] = Counter()
    for cells in mathcoder_cells():
        plain = [COLOURS.sub("", output) for _, output in cells]
        failed = [i for i, text in enumerate(plain) if "Traceback (most" in text or text.startswith("Cell In[")]
        starts = [i for i in failed if i - 1 not in failed]
        for start in starts:
            end = next(i for i in range(start, len(cells) + 1) if i not in failed)
            if end == len(cells) or end - start > 3:
                continue
            removed = [
                RemovedCell(cells[i][0], cells[i][1], "error", (EXCEPTION.findall(plain[i]) or [None])[-1])
                for i in range(start, end)
            ]
            verdict = depends_on_removed(
                removed,
                [code for code, _ in cells[end:]],
                [code for code, _ in cells[:start]],
                failed_kept=[i - end for i in failed if i > end],
                failed_earlier=[i for i in failed if i < start],
            )
            verdicts[re.sub("'.*'", "...", verdict or "accepted")] += 1
    assert verdicts == {"accepted": 38, "name ... bound in a removed cell is used later": 38}
