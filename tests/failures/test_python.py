"""What interpreters and kernels give back."""

from __future__ import annotations

import pytest

from purify.failures import Outcome, Rules

RULES = Rules.load("python")
OK = Outcome("ok", None, "no_rule")
FRAMES = 'Traceback (most recent call last):\n  File "<stdin>", line 2, in <module>\n    f(x)\n'
MORE = "\n".join(f"line {number}" for number in range(21))

IPYTHON = """\
---------------------------------------------------------------------------
NameError                                 Traceback (most recent call last)
Cell In[1], line 2
      1 import math
----> 2 area = pi * r ** 2

NameError: name 'pi' is not defined"""
CHAINED_IPYTHON = """\
---------------------------------------------------------------------------
KeyError                                  Traceback (most recent call last)
Cell In[3], line 2
      1 try:
----> 2     prices['tea']
      3 except KeyError:

KeyError: 'tea'

During handling of the above exception, another exception occurred:

LookupFailed                              Traceback (most recent call last)
Cell In[3], line 4
      3 except KeyError:
----> 4     raise LookupFailed('no tea')

LookupFailed: no tea"""
COLOURED = (
    "\x1b[0;31m-----------------------------------\x1b[0m\n"
    "\x1b[0;31mTypeError\x1b[0m                   Traceback (most recent call last)\n"
    "\x1b[0;32m<ipython-input-2>\x1b[0m in \x1b[0;36m<module>\x1b[0m\x1b[0;34m()\x1b[0m\n"
    "\x1b[0;32m----> 1\x1b[0;31m \x1b[0mlen\x1b[0m\x1b[0;34m(\x1b[0m\x1b[0;36m3\x1b[0m\x1b[0;34m)\x1b[0m\n\n"
    "\x1b[0;31mTypeError\x1b[0m: object of type 'int' has no len()"
)
# Some dumps lost the line breaks around the header and indent the last line by one.
SQUEEZED = """\
------------------------------ TypeError        Traceback (most recent call last) Cell In[7], line 4
----> 4 Fraction(y)
 TypeError: argument should be a string"""
GROUP = """\
  + Exception Group Traceback (most recent call last):
  |   File "a.py", line 1, in <module>
  | ExceptionGroup: two (2 sub-exceptions)
  +-+---------------- 1 ----------------
    | Traceback (most recent call last):
    |   File "a.py", line 3, in f
    | ValueError: one
    +------------------------------------"""


def error(name: str | None) -> Outcome:
    return Outcome("error", name, "rule:exceptions/exception")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (FRAMES + "NameError: name 'x' is not defined", "NameError"),
        ("printed before\n" + FRAMES + "NameError: name 'x' is not defined\n\n", "NameError"),
        (FRAMES + "AssertionError", "AssertionError"),
        (FRAMES + "requests.exceptions.Timeout: the model's own request", "Timeout"),
        (FRAMES + "sympy.core.sympify.SympifyError: SympifyError: 'x y'", "SympifyError"),
        (FRAMES + "__main__.f.<locals>.Stop: now", "Stop"),
        (FRAMES + "binascii.Error: Incorrect padding", "binascii.Error"),
        (FRAMES + "zlib.error: Error -3 while decompressing data", "zlib.error"),
        (FRAMES + "requests.exceptions.ConnectionError: HTTPConnectionPool(host='x'): refused", "ConnectionError"),
        (FRAMES + "KeyError: 'a'\n\nDuring handling of the above exception, another ...:\n\n" + FRAMES + "A: b", "A"),
        (FRAMES + "ValueError: \nthe message is on its own line\nand goes on", "ValueError"),
        (FRAMES + "orm.OperationalError: no such table\n[SQL: SELECT 1]\n(Background: ...)", "OperationalError"),
        ("100%|####|" + FRAMES + "ValueError: no line break before", "ValueError"),
        (">>> " + FRAMES + "ValueError: typed", "ValueError"),
        (FRAMES.rstrip(), None),
        (FRAMES + "...", None),
        (FRAMES + "ValueError: x\nYou have 4 steps left and 2 chances to propose solution left.\n", "ValueError"),
        (IPYTHON, "NameError"),
        (CHAINED_IPYTHON, "LookupFailed"),
        (COLOURED, "TypeError"),
        (SQUEEZED, "TypeError"),
        (IPYTHON + "\nand a hint\non two lines", "NameError"),
        (IPYTHON[:250] + "...\n[Output Truncated]\n", "NameError"),
        (GROUP, "ExceptionGroup"),
        ("NameError: name 'x' is not defined", "NameError"),
        ("urllib.error.HTTPError: HTTP Error 404: Not Found", "HTTPError"),
        ("KeyError: 5", "KeyError"),
        ('  File "<stdin>", line 2\n    x = \n        ^\nSyntaxError: invalid syntax', "SyntaxError"),
        ("Cell In[4], line 10\n    3 //= p\n    ^\nIndentationError: unexpected indent", "IndentationError"),
        ("IndentationError: unexpected indent\n\nIf you want to paste code into IPython, try the %paste and %cpaste"
         " magic functions.", "IndentationError"),
        # Printed by an except block, perhaps; nothing in the text tells it from an uncaught one.
        ("before\nValueError: bad input", "ValueError"),
    ],
)  # fmt: skip
def test_exceptions(text: str, name: str | None) -> None:
    assert RULES.judge(text) == error(name)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (FRAMES + "TimeoutError: Timed out after 30 seconds.", "TimeoutError"),
        (FRAMES + "KeyboardInterrupt", "KeyboardInterrupt"),
        ("KeyboardInterrupt: ", "KeyboardInterrupt"),
        ("TimeoutError", "TimeoutError"),
        ("subprocess.TimeoutExpired: Command '['sleep']' timed out after 10 seconds", "TimeoutExpired"),
        (IPYTHON.replace("NameError", "TimeoutError")[:250] + "...\n[Output Truncated]", "TimeoutError"),
    ],
)
def test_interrupted_code(text: str, name: str) -> None:
    assert RULES.judge(text) == Outcome("timeout", name, "rule:exceptions/interrupted")


def test_a_sandbox_that_raises_is_not_the_models_failure() -> None:
    assert RULES.judge("SandboxError: no worker") == Outcome("infra", "SandboxError", "rule:exceptions/executor")


@pytest.mark.parametrize(
    "text",
    [
        FRAMES + "ValueError: caught\nrecovered, the answer is 42",
        FRAMES + "ValueError: caught\n" + MORE.removesuffix("\nline 20"),
        "Exception ignored in: <function Pool.__del__ at 0x7f>\n" + FRAMES + "ValueError: x",
        "42\nException ignored in: <function Pool.__del__ at 0x7f>\n" + FRAMES + "ValueError: x",
    ],
)
def test_a_traceback_that_may_have_been_caught_claims_nothing(text: str) -> None:
    assert RULES.judge(text) == Outcome("unknown", "ValueError", "rule:doubtful/traceback_inside")


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n\n",
        "42",
        "(1.8425430944949364, 2)",
        "[Executed Successfully with No Output]",
        "error.log\nerrors.py\ntest_exceptions.py",
        "try:\n    f()\nexcept ValueError:\n    raise TypeError('no')",
        "    Raises\n    ------\n    ValueError: if x is negative",
        "step  loss\nError: 0.01\n100   0.3",
        "Mean error: 0.3",
        "RelativeError: 1e-5",
        "AbsoluteError: 12.5 %",
        "HTTPException: 404",
        "Error: printed by the model's own code",
        "Exception: likewise",
        "E       ValueError: from pytest",
        "12:00:01 ERROR ValueError: logged",
        "app.py:3: ValueError: from grep",
        "ParseError:3",
        "/x.py:3: DeprecationWarning: old\n  y()",
        "SystemExit: 0",
        "Timeout: 30",
        "Timeouts and limits are documented below",
        # A traceback far above the end, an indented one and a numbered one are quoted.
        "# Known problems\n" + FRAMES + "ValueError: x\n" + MORE,
        "To reproduce:\n\n    " + FRAMES.replace("\n", "\n    ") + "ValueError: x\n\nThis was fixed in 2.0.",
        "1:Traceback (most recent call last):\n2:  File\n3:ValueError: x",
        "the words Traceback (most recent call last) in a sentence",
    ],
)
def test_good_results_that_speak_of_errors(text: str) -> None:
    assert RULES.judge(text) == OK


def test_no_result_is_not_an_empty_one() -> None:
    assert RULES.judge(None) == Outcome("unknown", None, "no_result")
    assert RULES.judge("") == OK
