"""Terminals, and what single frameworks add to a result."""

from __future__ import annotations

import pytest

from purify.failures import Outcome
from tests.failures.examples import FRAMES, OK, SETS, hit


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bash: line 1: xxd: command not found\n", hit("shell/not_found", "error", "command_not_found")),
        ("sh: 1: xxd: not found", hit("shell/not_found", "error", "command_not_found")),
        ("bash: line 1: xxd: command not found\nand on", OK),
        ("bash: -c: line 2: syntax error near unexpected token `)'", hit("shell/syntax", "error", "shell_syntax")),
        ("cat: x: No such file or directory", hit("shell/no_such_file", "error", "no_such_file")),
        ("good\ncat: x: No such file or directory", OK),
        ("ls: /root: Permission denied", hit("shell/permission_denied", "error", "permission_denied")),
        ("./a.sh: line 3: 17 Segmentation fault (core dumped)", hit("shell/crashed", "error", "crashed")),
        ("total 4\n-rw------- 1 root root 1497 errors.txt\nroot@1f2e: /root@1f2e:/# ", OK),
        ("\x1b]0;root@1f2e: /\x07root@1f2e:/# \x1b[K", OK),
    ],
)
def test_terminals_without_an_exit_code(text: str, expected: Outcome) -> None:
    assert SETS["shell"].judge(text) == expected


NOTICE = """
You have 1 steps left and 2 chances to propose solution left.
You should take the last step to propose a solution.
"""


@pytest.mark.parametrize("rules", ["mint", "adp"])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Your answer is wrong.", hit("mint/wrong_answer", "rejected", "wrong_answer")),
        ("I don't understand your input. \nIf", hit("messages/unparsable_call", "malformed", "unparsable_call")),
        ("NameError: name 'x' is not defined", hit("exceptions/exception", "error", "NameError")),
        ("Out[1]: 42", OK),
    ],
)
def test_mint(rules: str, text: str, expected: Outcome) -> None:
    assert SETS[rules].judge(f"Observation:\n{text}{NOTICE}") == expected
    assert SETS[rules].judge(text) == expected


PROMPT = "\n\n(Open file: /repo/a.py)\n(Current directory: /repo)\nbash-$"
EDIT = "Your proposed edit has introduced new syntax error(s). Please retry.\n\nERRORS:\n- {}\n\nThis is how"


@pytest.mark.parametrize("rules", ["swe-agent", "adp"])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (EDIT.format("E999 IndentationError: x"), hit("swe-agent/edit_not_applied", "error", "IndentationError")),
        (EDIT.format("F821 undefined name 'x'"), hit("swe-agent/edit_not_applied", "error", "F821")),
        ("Error: File 'a.py' already exists.", hit("swe-agent/edit_usage", "error", "tool_error")),
        ("No file open. Use the `open` command first.", hit("swe-agent/edit_usage", "error", "tool_error")),
        (
            "Your bash command contained syntax errors and was NOT executed. Please",
            hit("swe-agent/bash_syntax", "error", "shell_syntax"),
        ),
        (
            "The command 'sleep 99\nls' was cancelled because it took more than 30 seconds. Please",
            hit("swe-agent/cancelled", "timeout", "timeout"),
        ),
        (
            "Operation 'vim a.py' is not supported by this environment.",
            hit("swe-agent/not_supported", "rejected", "not_supported"),
        ),
        (
            "The last command <command>sleep 99\nls</command> timed out and has been killed.\nThe output of",
            hit("swe-agent/killed", "timeout", "timeout"),
        ),
        (
            "Command not executed. The user rejected your command with the following message: no",
            hit("swe-agent/not_confirmed", "rejected", "refused"),
        ),
        (FRAMES + "ValueError: x", hit("exceptions/exception", "error", "ValueError")),
        ("[File: /repo/a.py (2 lines total)]\n1:except ValueError:\n2:    raise TypeError(x)", OK),
    ],
)
def test_swe_agent(rules: str, text: str, expected: Outcome) -> None:
    assert SETS[rules].judge(text + PROMPT) == expected
    assert SETS[rules].judge(text) == expected


def test_inspect_prints_stderr_before_stdout() -> None:
    text = FRAMES + "ValueError: x\n\nprinted before the failure\n"
    assert SETS["inspect"].judge(text) == hit("inspect/stderr_first", "error", "ValueError")
    assert SETS["tool"].judge(text) == hit("doubtful/traceback_inside", "unknown", "ValueError")
