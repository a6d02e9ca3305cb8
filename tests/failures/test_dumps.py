"""The built-in rule sets on real rollouts. Every class of outcome was checked by reading its results."""

from __future__ import annotations

import json
import re
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from purify.failures import Rules

DUMPS = Path(__file__).parents[2].parent / "shared" / "dumps"
pytestmark = pytest.mark.skipif(not DUMPS.is_dir(), reason=f"the rollout dumps are not at {DUMPS}")


def records(pattern: str) -> Iterator[dict[str, Any]]:
    """Records of JSON and JSON-lines files, in order."""
    for path in sorted(DUMPS.glob(pattern)):
        text = path.read_text(encoding="utf-8")
        whole = path.suffix == ".json" or path.suffix == ".traj"
        value = json.loads(text) if whole else [json.loads(line) for line in text.splitlines() if line.strip()]
        yield from value if isinstance(value, list) else [value]


def mathcoder() -> Iterator[str]:
    for record in records("mathcoder/*"):
        for block in record["debug_result"]:
            if block.get("role", block.get("type")) == "execution":
                yield block["content"]


def mint() -> Iterator[str]:
    for record in records("mint/*"):
        yield from (turn["content"] for turn in record["state"]["history"][1:] if turn["role"] == "user")


def nemo_gym() -> Iterator[str]:
    for record in records("nemo-gym/*"):
        yield from (item["output"] for item in record["response"]["output"] if item["type"] == "function_call_output")


def tau_bench() -> Iterator[str]:
    for record in records("tau-bench/*"):
        yield from (message["content"] for message in record["traj"] if message["role"] == "tool")


def tora() -> Iterator[str]:
    for record in records("tora/*"):
        text = record["code"][0] if "code" in record else record["messages"][-1]["content"]
        yield from re.findall(r"```output\n(.*?)```", text, re.DOTALL)


def sharegpt() -> Iterator[str]:
    for record in records("sharegpt/*"):
        for turn in record.get("conversations") or record["messages"]:
            if (turn.get("from") or turn["role"]) in ("observation", "tool"):
                content = turn.get("value") or turn["content"]
                yield content if isinstance(content, str) else "".join(part["value"] for part in content)


def adp() -> Iterator[str]:
    for record in records("adp/*_sft.json"):
        yield from (turn["value"] for turn in record["conversations"] if turn["from"] == "observation")


def swe_agent() -> Iterator[str]:
    for record in records("swe-agent/*"):
        if "trajectory" in record:
            yield from (step["observation"] for step in record["trajectory"])
        else:
            yield from (message["content"] for message in record["history"] if message["role"] == "tool")


def mini_swe_agent() -> Iterator[str]:
    for path in sorted(DUMPS.glob("mini-swe-agent/*")):
        value = json.loads(path.read_text(encoding="utf-8"))
        messages = value if isinstance(value, list) else value["messages"]
        yield from (message["content"] for message in messages[2:] if message["role"] == "user")


def inspect() -> Iterator[str]:
    with zipfile.ZipFile(DUMPS / "inspect" / "log.eval") as archive:
        names = sorted(name for name in archive.namelist() if name.startswith("samples/"))
        samples = [json.loads(archive.read(name)) for name in names]
    for message in (message for sample in samples for message in sample["messages"] if message["role"] == "tool"):
        content = message["content"]
        yield content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


COUNTS: dict[Callable[[], Iterator[str]], tuple[str, dict[str, int]]] = {
    mathcoder: (
        "python",
        {
            "ok": 2427,
            "error NameError": 75,
            "error TypeError": 47,
            "error IndexError": 28,
            "error AttributeError": 24,
            "error SyntaxError": 14,
            "error SympifyError": 11,
            "error ValueError": 5,
            "error ComputationFailed": 3,
            "error OverflowError": 2,
            "error ImportError": 2,
            "error NotImplementedError": 2,
            "error IndentationError": 1,
        },
    ),
    mint: (
        "mint",
        {
            "ok": 154,
            "rejected wrong_answer": 126,
            "error AssertionError": 95,
            "error NameError": 41,
            "error IndentationError": 38,
            "error TypeError": 28,
            "malformed unparsable_call": 21,
            "error SyntaxError": 19,
            "error IndexError": 17,
            "error AttributeError": 12,
            "error ValueError": 8,
            "error ImportError": 7,
            "error KeyError": 6,
            "timeout TimeoutError": 6,
            "error NotImplementedError": 1,
            "error LinAlgError": 1,
            "error ShapeError": 1,
        },
    ),
    nemo_gym: (
        "tool",
        {
            "ok": 82,
            "error ModuleNotFoundError": 14,
            "error not_executable": 10,
            "error command_error": 6,
            "error tool_error": 4,
            "error no_such_file": 2,
            "unknown exit_code_1": 2,
            "error command_not_found": 1,
            "error OverflowError": 1,
            "error TypeError": 1,
        },
    ),
    tau_bench: (
        "tool",
        {
            "ok": 468,
            "error tool_error": 33,
        },
    ),
    tora: (
        "python",
        {
            "ok": 224,
        },
    ),
    sharegpt: (
        "tool",
        {
            "ok": 253,
        },
    ),
    adp: (
        "adp",
        {
            "ok": 76,
            "error ValueError": 3,
            "error IndentationError": 3,
            "error OperationalError": 1,
            "error NotJSONError": 1,
        },
    ),
    swe_agent: (
        "swe-agent",
        {
            "ok": 34,
            "error IndentationError": 3,
            "error SyntaxError": 3,
            "error TypeError": 1,
            "error F821": 1,
            "error ValueError": 1,
            "error AttributeError": 1,
        },
    ),
    mini_swe_agent: (
        "shell",
        {
            "ok": 10,
            "error no_such_file": 1,
            "error ZeroDivisionError": 1,
        },
    ),
    inspect: (
        "inspect",
        {
            "ok": 106,
            "error NameError": 8,
            "error command_not_found": 5,
            "error ValueError": 1,
        },
    ),
}


@pytest.mark.parametrize("family", COUNTS, ids=lambda family: family.__name__)
def test_counts(family: Callable[[], Iterator[str]]) -> None:
    name, expected = COUNTS[family]
    rules = Rules.load(name)
    found = Counter(f"{outcome.status} {outcome.error_type or ''}".rstrip() for outcome in map(rules.judge, family()))
    assert dict(found) == expected
