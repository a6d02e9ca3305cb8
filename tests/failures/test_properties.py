"""What holds for any result."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import get_args

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from purify.failures import Rules
from purify.failures.loading import BUILT_IN, known_sets
from purify_schemas.names import Status
from tests.failures.examples import FRAMES, SETS
from tests.failures.test_messages import MESSAGES

PIECES = [
    FRAMES,
    "Traceback (most recent call last):",
    "---------- A      Traceback (most recent call last)",
    "NameError: x",
    "Error: ",
    "timed out",
    "not found",
    '{"error": ',
    '"stderr": "',
    "}",
    "<returncode>1</returncode>",
    "exit code 1",
    "bash-$",
    "Observation:",
    "\x1b[31m",
    "\x1b]0;",
    "\n",
    "\n\n",
    " ",
    "...",
    "\r\n",
    "|",
    "é",
    "\x00",
    "  indented",
]
results = st.one_of(st.text(), st.lists(st.sampled_from(PIECES), max_size=8).map("".join))


@given(results)
def test_every_result_gets_an_outcome(text: str) -> None:
    for rules in SETS.values():
        outcome = rules.judge(text)
        assert outcome.status in get_args(Status)
        assert re.fullmatch(r"no_rule|rule:[\w-]+/\w+", outcome.status_source or "")
        assert (outcome.status_source == "no_rule") == (outcome.status == "ok")


@given(results)
def test_escapes_and_blank_space_around_a_result_change_nothing(text: str) -> None:
    plain = text.replace("\x1b", "").strip()
    for rules in SETS.values():
        assert rules.judge(f"\n \x1b[0;31m{plain}\x1b[0m\n\n") == rules.judge(plain)


@pytest.fixture(scope="module")
def unhurried(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Rules]:
    """The built-in sets without `words`, which only save time."""
    folder: Path = tmp_path_factory.mktemp("rulesets")
    for name in known_sets():
        content = yaml.safe_load((BUILT_IN / f"{name}.yaml").read_text(encoding="utf-8"))
        content["extends"] = [f"{extended}.yaml" for extended in content.get("extends", [])]
        for rule in content.get("rules", []):
            if "by" in rule:
                rule["by"] += ".yaml"
        content.pop("words", None)
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return {name: Rules.load(str(folder / f"{name}.yaml")) for name in SETS}


def test_words_only_save_time(unhurried: dict[str, Rules]) -> None:
    texts = [text for text, *_ in MESSAGES]
    texts += [
        lead + change(text) for text in texts for lead in ("Error: ", "[", "1\n") for change in (str.upper, str.lower)
    ]
    for name, rules in SETS.items():
        found = [rules.judge(text) for text in texts]
        expected = [unhurried[name].judge(text) for text in texts]
        assert found == expected


MILLION = 1_000_000
LONG = {
    "one line": "a" * MILLION,
    "lines": "hello world\n" * (MILLION // 12),
    "blank": "\n" * MILLION + "x",
    "dots": "a." * (MILLION // 2),
    "digits": "ValueError: " + "1" * MILLION,
    "escapes": "\x1b[31mx\x1b[0m" * (MILLION // 10),
    "titles": "\x1b]0;" * (MILLION // 4),
    "headers": "Traceback (most recent call last):\n" * (MILLION // 35),
    "frames": FRAMES + "  x\n" * (MILLION // 4),
    "cell": "-----\nNameError      Traceback (most recent call last)\n" + "NameErrors\n" * (MILLION // 11),
    "name": FRAMES + "a." * (MILLION // 2),
    "notices": "bash-$\n" * (MILLION // 7),
    "braces": "{" * MILLION,
    "object": '{"output": "' + "line\\n" * (MILLION // 6) + '", "exit_code": 1}',
    "message": "Error: the code " + "code " * (MILLION // 5),
    "colons": "bash: " + ": " * (MILLION // 2) + "not found",
    "cancelled": "The command " + "x' " * (MILLION // 3),
}


@pytest.mark.parametrize("name", LONG)
def test_a_long_result_takes_time_in_proportion(name: str) -> None:
    # Anything superlinear takes minutes on a million characters; the slowest of these takes 0.1 s.
    for rules in SETS.values():
        started = time.process_time()
        rules.judge(LONG[name])
        assert time.process_time() - started < 2
