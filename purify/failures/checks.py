"""The tests of a rule as functions: each takes a `Result` and returns what it found by name, or None."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from purify.failures.format import FieldTests, Rule, TextTests, field_key, text_tests
from purify.failures.result import WINDOW, Result, Wrapping

Groups = Mapping[str, Any]
"""Groups of a regular expression, or the value of a tested field."""
Check = Callable[[Result], "re.Match[str] | Groups | None"]

_NOTHING: Groups = {}
_MISSING = object()
_NO_WRAPPING = Wrapping([], [])


def rule_checks(rule: Rule) -> list[Check]:
    """Every test of a rule. Matches are returned as they are: their groups are read only if the rule hits."""
    checks = _text_checks(rule)
    checks += [_field_check(path, tests) for path, tests in rule.fields.items()]
    if (wrapping := rule.wrapping) is not None:
        checks.append(lambda result: wrapping.search(result.wrapping))
    return checks


def field_value(fields: Mapping[str, Any] | None, path: str) -> Any:
    """The first of the alternatives in `a|b.c` that is neither null nor empty text; else null, empty or missing."""
    found: Any = _MISSING
    for alternative in path.split("|"):
        value: Any = fields
        for key in alternative.split("."):
            value = value.get(key, _MISSING) if isinstance(value, dict) else _MISSING
        if value is not _MISSING:
            found = value
            if value is not None and value != "":
                break
    return found


def _text_checks(tests: TextTests) -> list[Check]:
    return [_text_check(name, value) for name, value in text_tests(tests).items()]


def _text_check(name: str, value: Any) -> Check:
    match name:
        case "start":
            return lambda result: value.match(result.text, 0, WINDOW)
        case "last_line":
            return lambda result: value.match(result.last_line, 0, WINDOW)
        case "whole":
            return lambda result: value.fullmatch(result.text) if len(result.text) <= WINDOW else None
        case "text":
            return lambda result: value.search(result.text)
        case "contains":
            return lambda result: _NOTHING if any(literal in result.text for literal in value) else None
        case _:
            return _exception_check(value, ends=name == "exception")


def _exception_check(pattern: re.Pattern[str], *, ends: bool) -> Check:
    def check(result: Result) -> Groups | None:
        exception = result.exception
        if exception is None or exception.ends != ends or not pattern.fullmatch(exception.name or ""):
            return None
        return {"error_type": exception.name}

    return check


def _field_check(path: str, tests: FieldTests) -> Check:
    inner = _text_checks(tests)
    key = field_key(path)

    def check(result: Result) -> Groups | None:
        value = field_value(result.fields, path)
        if value is _MISSING or not _value_holds(value, tests):
            return None
        groups: dict[str, Any] = {}
        if inner:
            if not isinstance(value, str):
                return None
            text = Result(value, _NO_WRAPPING)
            for inner_check in inner:
                hit = inner_check(text)
                if hit is None:
                    return None
                groups.update(groups_of(hit))
        return {key: value, **groups}

    return check


def _value_holds(value: Any, tests: FieldTests) -> bool:
    if tests.present is not None:
        present = value is True or (isinstance(value, str | list | dict) and len(value) > 0)
        if present != tests.present:
            return False
    if tests.equals is not None and not any(_same(value, expected) for expected in tests.equals):
        return False
    return tests.differs is None or not any(_same(value, other) for other in tests.differs)


def _same(value: Any, expected: object) -> bool:
    # JSON's true and 1 are different things, Python's are not.
    return isinstance(value, bool) == isinstance(expected, bool) and value == expected


def groups_of(hit: re.Match[str] | Groups) -> Groups:
    return hit.groupdict() if isinstance(hit, re.Match) else hit
