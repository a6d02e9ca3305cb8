"""The tests of a rule as functions: each takes a `Result` and returns what it found by name, or None."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from purify.failures.format import FieldTests, Rule, TextTests, field_key, text_tests
from purify.failures.result import WINDOW, Result, Wrapping

Groups = Mapping[str, Any]
"""Groups of a regular expression, or the value of a tested field."""
Check = Callable[[Result], "re.Match[str] | Groups | None"]
FieldKeys = tuple[tuple[str, ...], ...]

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


def field_keys(path: str) -> FieldKeys:
    """`a|b.c` -> the keys to follow for each alternative."""
    return tuple(tuple(alternative.split(".")) for alternative in path.split("|"))


def field_value(fields: Mapping[str, Any] | None, alternatives: FieldKeys) -> Any:
    """The first alternative that is neither null nor empty text; else null or empty text, or a mark for missing."""
    found: Any = _MISSING
    for keys in alternatives:
        value: Any = fields
        for key in keys:
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
    name = field_key(path)
    keys = field_keys(path)
    value_checks = _value_checks(tests)
    text_checks = _text_checks(tests)

    def check(result: Result) -> Groups | None:
        value = field_value(result.fields, keys)
        if value is _MISSING:
            return None
        for holds in value_checks:
            if not holds(value):
                return None
        groups = {name: value}
        if text_checks:
            if not isinstance(value, str):
                return None
            text = Result(value, _NO_WRAPPING)
            for text_check in text_checks:
                hit = text_check(text)
                if hit is None:
                    return None
                groups.update(groups_of(hit))
        return groups

    return check


def _value_checks(tests: FieldTests) -> list[Callable[[Any], bool]]:
    checks: list[Callable[[Any], bool]] = []
    if (present := tests.present) is not None:
        checks.append(
            lambda value: present == (value is True or (isinstance(value, str | list | dict) and bool(value)))
        )
    if tests.equals is not None:
        checks.append(_one_of(tests.equals))
    if tests.differs is not None:
        is_other = _one_of(tests.differs)
        checks.append(lambda value: not is_other(value))
    return checks


def _one_of(values: Sequence[object]) -> Callable[[Any], bool]:
    # JSON's true and 1 are different things, Python's are not.
    expected = frozenset((isinstance(value, bool), value) for value in values)
    return lambda value: not isinstance(value, list | dict) and (isinstance(value, bool), value) in expected


def groups_of(hit: re.Match[str] | Groups) -> Groups:
    return hit.groupdict() if isinstance(hit, re.Match) else hit
