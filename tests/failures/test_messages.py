"""How executors say that a call was not carried out."""

from __future__ import annotations

import pytest

from purify_schemas.names import Status
from tests.failures.examples import OK, SETS, hit

MESSAGES: list[tuple[str, str, Status, str]] = [
    ("Execution timed out", "timed_out", "timeout", "timeout"),
    ("Error: Code execution timed out after 10 seconds.", "timed_out", "timeout", "timeout"),
    ("Command timed out before completing.", "timed_out", "timeout", "timeout"),
    ("timed out after 30 seconds", "timed_out", "timeout", "timeout"),
    ("EXECUTION TIMED OUT BECAUSE NO OUTPUT CAME.\nPLEASE REFINE", "timed_out", "timeout", "timeout"),
    ("Time Limit Exceeded", "timed_out", "timeout", "timeout"),
    ("TIMEOUT", "timeout_only", "timeout", "timeout"),
    ("Timeout Error", "timeout_only", "timeout", "timeout"),
    ("1\n2\nExecution timed out after 10 seconds.", "timed_out_last", "timeout", "timeout"),
    ("1\n[The command has no new output after 30 seconds. Wait ...]", "no_new_output", "timeout", "timeout"),
    ("Rate limit exceeded, retry in 20s", "rate_limit", "infra", "rate_limit"),
    ("Error code: 429 - slow down", "rate_limit", "infra", "rate_limit"),
    ("HTTP 429", "rate_limit", "infra", "rate_limit"),
    ("429 Client Error: Too Many Requests for url: x", "rate_limit", "infra", "rate_limit"),
    ("You exceeded your current quota, check your plan", "rate_limit", "infra", "rate_limit"),
    ("Internal Server Error", "service", "infra", "service_unavailable"),
    ("HTTP 503: Service Unavailable", "service", "infra", "service_unavailable"),
    ("Error code: 500 - {}", "service", "infra", "service_unavailable"),
    ("502 Bad Gateway", "service", "infra", "service_unavailable"),
    ("Sandbox is not available", "sandbox", "infra", "sandbox_unavailable"),
    ("Error: failed to connect to the executor", "sandbox", "infra", "sandbox_unavailable"),
    ("Error: connect ECONNREFUSED 127.0.0.1:8080", "sandbox", "infra", "sandbox_unavailable"),
    ("The kernel has died, restarting", "kernel_died", "unknown", "kernel_died"),
    ("Invalid JSON in tool call: Expecting ','", "invalid_json", "malformed", "invalid_json"),
    ("could not parse tool arguments", "unparsable_call", "malformed", "unparsable_call"),
    ("Error parsing the following tool call arguments:\n\n{", "unparsable_call", "malformed", "unparsable_call"),
    ("Your output was not formatted correctly.", "unparsable_call", "malformed", "unparsable_call"),
    ("I don't understand your input. \nIf you want to", "unparsable_call", "malformed", "unparsable_call"),
    ("Unknown tool: serach", "unknown_tool", "error", "unknown_tool"),
    ("Error: serach is not a valid tool, try one of [search].", "unknown_tool", "error", "unknown_tool"),
    ("Tool 'serach' not found", "unknown_tool", "error", "unknown_tool"),
    ("Missing required argument: city", "invalid_arguments", "error", "invalid_arguments"),
    ("Tool call denied by user", "refused", "rejected", "refused"),
    ("Permission not granted by user", "refused", "rejected", "refused"),
    ("Approval denied.", "refused", "rejected", "refused"),
    ("The user doesn't want to proceed with this tool use.", "refused", "rejected", "refused"),
]


@pytest.mark.parametrize(("text", "rule", "status", "error_type"), MESSAGES)
@pytest.mark.parametrize("rules", ["python", "tool", "shell"])
def test_messages_of_executors(rules: str, text: str, rule: str, status: Status, error_type: str) -> None:
    assert SETS[rules].judge(text) == hit(f"messages/{rule}", status, error_type)


@pytest.mark.parametrize(
    "text",
    [
        "429",
        "Total 429",
        "503 service calls were made",
        "Timeout: 30",
        "Timed 12 runs",
        "Process 4 of 9",
        "The code is on line 4. It never timed out.",
        "Rates and limits",
        "Connected",
        "Sandbox: ready",
        "Kernel 6.1.0",
        "Function f not found in a.py",
        "Tools: hammer",
        "JSON is valid",
        "Invalid rows: 3",
        "Missing values: 0",
        "Requests per second: 40",
        "Operation not permitted",
        "Users declined offers: 3",
        "Permission denied (publickey)",
        "Action: run",
    ],
)
@pytest.mark.parametrize("rules", ["python", "tool", "shell"])
def test_good_results_that_begin_alike(rules: str, text: str) -> None:
    assert SETS[rules].judge(text) == OK
