"""Function calls that answer in text or JSON, and exit codes."""

from __future__ import annotations

import orjson
import pytest

from purify.failures import Outcome, Rules
from tests.failures.examples import FRAMES, OK, SETS, hit


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Error: gift card balance is not enough", hit("error_prefix/error_prefix", "error", "tool_error")),
        ("ERROR:\nNo replacement was performed", hit("error_prefix/error_prefix", "error", "tool_error")),
        ("[ERROR] no such city", hit("error_prefix/error_prefix", "error", "tool_error")),
        ("Error executing tool search: bad", hit("error_prefix/error_prefix", "error", "tool_error")),
        ("An unexpected error occurred: x", hit("error_prefix/error_occurred", "error", "tool_error")),
        ("Error: 0.01", OK),
        ("Error: 2.5 %\nmore", OK),
        ("Errors: none", OK),
        ("Error analysis of the run", OK),
        ("All good\nError: not at the start", OK),
        ("[]", OK),
        ("{broken", OK),
        ("Transfer successful", OK),
    ],
)
def test_text_of_tools(text: str, expected: Outcome) -> None:
    assert SETS["tool"].judge(text) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"error": "no such user"}, hit("tool/error_field", "error", "tool_error")),
        ({"content": "", "error": "File not found: /x"}, hit("tool/error_field", "error", "tool_error")),
        ({"error": {"message": "bad", "code": 3}}, hit("tool/error_field", "error", "tool_error")),
        ({"error": True}, hit("tool/error_field", "error", "tool_error")),
        ({"error": None, "x": 1}, OK),
        ({"error": "", "x": 1}, OK),
        ({"error": False}, OK),
        ({"error": {}}, OK),
        ({"error": "None"}, OK),
        ({"value": 3.1, "error": 0.02}, OK),
        ({"error": "ValueError: bad"}, hit("exceptions/exception", "error", "ValueError")),
        ({"status": "error", "error": FRAMES + "KeyError: 1\n"}, hit("exceptions/exception", "error", "KeyError")),
        ({"error": "Execution timed out"}, hit("messages/timed_out", "timeout", "timeout")),
        ({"error": {"message": "Rate limit exceeded"}}, hit("messages/rate_limit", "infra", "rate_limit")),
        (
            {"success": False, "error": "Denied: action rejected by user"},
            hit("tool/success_false", "error", "tool_error"),
        ),
        ({"success": False, "error": "Action rejected by user"}, hit("messages/refused", "rejected", "refused")),
        ({"result": "Error: no such city"}, hit("error_prefix/error_prefix", "error", "tool_error")),
        ({"result": "Errors: none"}, OK),
        ({"content": "Error: in a page"}, OK),
        ({"status": "error"}, hit("tool/error_status", "error", "tool_error")),
        ({"status": "failed", "message": "no seat"}, hit("tool/failed_status", "error", "tool_error")),
        ({"job": 3, "status": "failed"}, OK),
        ({"status": "unavailable", "message": "the site is down"}, OK),
        ({"success": False}, hit("tool/success_false", "error", "tool_error")),
        ({"success": 0}, OK),
        ({"is_error": True}, hit("tool/error_flag", "error", "tool_error")),
        ({"isError": False}, OK),
        ({"timed_out": True, "output": "1"}, hit("tool/timeout_flag", "timeout", "timeout")),
        ({"timeout": 30}, OK),
        (
            {"status": "Failed", "run_result": {"status": "TimeLimitExceeded", "return_code": None}},
            hit("tool/timeout_status", "timeout", "timeout"),
        ),
        ({"status": "SandboxError", "message": "x"}, hit("tool/sandbox_status", "infra", "sandbox_unavailable")),
        ({"status_code": 503}, hit("tool/http_service", "infra", "http_503")),
        ({"status_code": 404}, hit("tool/http_client", "error", "http_404")),
        ({"status_code": 200}, OK),
        ({"stdout": "1", "stderr": "", "result": None}, OK),
        ({"stdout": "", "stderr": FRAMES + "NameError: x"}, hit("exceptions/exception", "error", "NameError")),
        ({"stdout": "1", "stderr": "DeprecationWarning: old"}, OK),
        ({"content": "def f():\n    raise\n" + FRAMES + "ValueError: in a file"}, OK),
    ],
)
def test_json_of_tools(fields: dict[str, object], expected: Outcome) -> None:
    assert SETS["tool"].judge(orjson.dumps(fields).decode()) == expected


def test_json_may_hold_nan() -> None:
    assert SETS["tool"].judge('{"loss": NaN, "error": "diverged"}') == hit("tool/error_field", "error", "tool_error")


@pytest.mark.parametrize(
    ("output", "code", "expected"),
    [
        ("ok", 0, OK),
        ("", None, OK),
        ("", 1, hit("doubtful/exit_code_field", "unknown", "exit_code_1")),
        ("2 failed, 3 passed", 1, hit("doubtful/exit_code_field", "unknown", "exit_code_1")),
        ("killed", -9, hit("doubtful/exit_code_field", "unknown", "exit_code_-9")),
        ("a", 124, hit("exit_codes/timeout_field", "timeout", "exit_code_124")),
        ("x", 126, hit("exit_codes/not_executable_field", "error", "not_executable")),
        ("bash: sudo: command not found", 127, hit("exit_codes/not_found_field", "error", "command_not_found")),
        ("bash: sudo: command not found", 1, hit("command_errors/not_found", "error", "command_not_found")),
        ("cat: x: No such file or directory", 1, hit("command_errors/no_such_file", "error", "no_such_file")),
        ("a\ncat: x: No such file or directory", 1, hit("command_errors/no_such_file_last", "error", "no_such_file")),
        ("a\nfind: '/x': Permission denied", 1, hit("doubtful/exit_code_field", "unknown", "exit_code_1")),
        ("fatal: not a git repository", 128, hit("command_errors/command_error", "error", "command_error")),
        ("Reading\nE: Unable to locate package x", 100, hit("command_errors/command_error", "error", "command_error")),
        ("sh: 1: syntax error near x", 2, hit("command_errors/shell_syntax", "error", "shell_syntax")),
        (FRAMES + "ValueError: x", 1, hit("exceptions/exception", "error", "ValueError")),
        (FRAMES + "ValueError: x\nmore output", 1, hit("command_errors/traceback_inside", "error", "ValueError")),
        (FRAMES + "ValueError: x\nmore output", 0, hit("doubtful/field_traceback_inside", "unknown", "ValueError")),
    ],
)
def test_exit_codes_in_fields(output: str, code: int | None, expected: Outcome) -> None:
    for name in ("exit_code", "returncode"):
        text = orjson.dumps({"output": output, name: code, "error": None}).decode()
        assert SETS["tool"].judge(text) == expected
        assert SETS["shell"].judge(text) == expected


@pytest.mark.parametrize(
    "frame",
    [
        "<returncode>{code}</returncode>\n<output>\n{output}\n</output>",
        "EXECUTION RESULT of [execute_bash]:\n{output}\n[The command completed with exit code {code}.]\n"
        "[Current working directory: /workspace]\n[Python interpreter: /usr/bin/python]\n"
        "[Command finished with exit code {code}]",
        "exitcode: {code} (execution failed)\nCode output: \n{output}",
        "Exit code: {code}\nWall time: 0.1 seconds\nOutput:\n{output}",
    ],
)
@pytest.mark.parametrize(
    ("output", "code", "expected"),
    [
        ("ok", 0, OK),
        ("", 0, OK),
        ("1 failed", 1, hit("doubtful/exit_code", "unknown", "exit_code_1")),
        ("", 10, hit("doubtful/exit_code", "unknown", "exit_code_10")),
        ("a", 124, hit("exit_codes/timeout", "timeout", "exit_code_124")),
        ("x", 126, hit("exit_codes/not_executable", "error", "not_executable")),
        ("x", 127, hit("exit_codes/not_found", "error", "command_not_found")),
        ("fatal: not a git repository", 128, hit("command_errors/command_error", "error", "command_error")),
        (FRAMES + "ValueError: x", 1, hit("exceptions/exception", "error", "ValueError")),
        (FRAMES + "ValueError: x\nbye", 1, hit("command_errors/traceback_inside", "error", "ValueError")),
    ],
)
def test_exit_codes_around_a_result(frame: str, output: str, code: int, expected: Outcome) -> None:
    assert SETS["shell"].judge(frame.format(output=output, code=code)) == expected


@pytest.mark.parametrize(
    ("text", "status", "error_type"),
    [
        ("x\nExit code: 3", "unknown", "exit_code_3"),
        ("x\n[exit code: 3]", "unknown", "exit_code_3"),
        ("x\nexit status 2", "unknown", "exit_code_2"),
        ("x\nProcess exited with code 3.", "unknown", "exit_code_3"),
        ("x\nCommand finished with status: 124", "timeout", "exit_code_124"),
        ("x\nReturn code: 127\n", "error", "command_not_found"),
        ("cat: y: No such file or directory\nExit code: 1", "error", "no_such_file"),
        ("x\nExit code: 0", "ok", None),
        ("the exit code: 3 is in the middle\nfine", "ok", None),
    ],
)
def test_an_exit_code_at_the_end_counts_like_one_at_the_start(text: str, status: str, error_type: str | None) -> None:
    outcome = Rules.load("tool").judge(text)
    assert (outcome.status, outcome.error_type) == (status, error_type)
