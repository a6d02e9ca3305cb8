"""Which tool calls failed, judged from the text of their results by rules that a user can read, extend and choose.

A rule set is a YAML file. `purify/failures/rulesets/` holds the built-in ones: `python` (interpreters and kernels),
`shell` (terminals), `tool` (function calls that answer in text or JSON), and sets for single frameworks. Your own file
says how your tools fail and inherits the rest:

    extends: [tool]                      # built-in names, or files beside this one
    without: [error_prefix/error_prefix] # inherited rules to leave out
    last_lines: ['Turns left: \\d+']      # whole lines your environment adds, set aside first (also: first_lines)
    rules:                               # tried in order, own rules before inherited ones; the first hit decides
      - id: no_such_booking
        tool: 'get_.*'                   # only for tools of these names
        start: 'Booking \\S+ not found'   # at the start of the result; also last_line, whole, contains, text
        status: error                    # ok, error, timeout, malformed, infra, rejected or unknown
        error_type: no_such_booking      # literal; `{name}` is a named group or a tested field
      - id: http
        fields: {code: {equals: [401, 403]}, message: {start: 'Refused'}}   # a JSON object: all tests must hold
        status: rejected
        error_type: http_{code}
      - id: crashed
        exception: '(?!KeyError).*'      # class of the Python exception that ends the result
        status: error                    # error_type is the class name
      - id: nested
        judge: [log.stderr]              # the rules of another set judge this field
        by: python

`purify.failures.format` describes every key. Escape sequences and blank space around a result are removed before it is
judged. Tests of the start, the last line or a short whole result see 2,000 characters, so a long result costs little.
What no rule hits is `ok`.

Try it:

    python -c "from purify.failures import Rules; print(Rules.load('python').judge('ValueError: no'))"
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from purify.errors import PurifyError
from purify.failures.checks import Groups, field_value, groups_of, rule_checks
from purify.failures.format import PLACEHOLDER, Rule
from purify.failures.loading import chosen_rules, locate, rule_files
from purify.failures.result import Result, Wrapping
from purify_schemas.rows import Status


class Outcome(NamedTuple):
    status: Status
    error_type: str | None
    status_source: str | None
    """`rule:<set>/<id>` of the rule that decided, by the set it is written in; `no_rule` or `no_result`."""


_NO_RESULT = Outcome("unknown", None, "no_result")
_NO_RULE = Outcome("ok", None, "no_rule")

_EXCEPTION, _FIELDS, _WRAPPED = 1, 2, 4
_ALL = _EXCEPTION | _FIELDS | _WRAPPED


class _CompiledRule:
    __slots__ = ("_checks", "_judge", "_rule", "_source", "needs")

    def __init__(self, set_name: str, rule: Rule, judge: Rules | None) -> None:
        self._rule = rule
        self._judge = judge
        self._source = f"rule:{set_name}/{rule.id}"
        self._checks = rule_checks(rule)
        on_fields = rule.fields or (rule.judge and "." not in rule.judge)
        self.needs = (
            (_EXCEPTION if rule.exception is not None or rule.exception_inside is not None else 0)
            | (_FIELDS if on_fields else 0)
            | (_WRAPPED if rule.wrapping is not None else 0)
        )

    def outcome(self, result: Result, tool: str | None) -> Outcome | None:
        """The outcome, or None if the rule does not hit."""
        hits = []
        for check in self._checks:
            hit = check(result)
            if hit is None:
                return None
            hits.append(hit)
        rule = self._rule
        if rule.tool is not None and (tool is None or not rule.tool.fullmatch(tool)):
            return None
        if self._judge is not None:
            return self._judged(self._judge, result, tool)
        groups = {name: value for hit in hits for name, value in groups_of(hit).items() if value is not None}
        return Outcome(rule.status or "unknown", _error_type(rule.error_type, groups), self._source)

    def _judged(self, judge: Rules, result: Result, tool: str | None) -> Outcome | None:
        for path in self._rule.judge or []:
            text = result.text if path == "." else field_value(result.fields, path)
            if isinstance(text, str) and text:
                outcome = judge.judge(text, tool=tool)
                if outcome.status_source != _NO_RULE.status_source:
                    return outcome
        return None


def _error_type(template: str | None, groups: Groups) -> str | None:
    if template is None:
        return groups.get("error_type")
    return PLACEHOLDER.sub(lambda match: str(groups.get(match[1], "")), template)


class Rules:
    """A loaded rule set. Equal texts get equal outcomes; nothing is remembered between them."""

    __slots__ = ("_by_kind", "_wrapping", "name")

    def __init__(self, name: str, rules: list[_CompiledRule], wrapping: Wrapping) -> None:
        self.name = name
        self._wrapping = wrapping
        # Most results have no exception, no JSON and no wrapping, and most rules need one of these.
        self._by_kind = tuple(tuple(rule for rule in rules if not rule.needs & ~kind) for kind in range(_ALL + 1))

    @classmethod
    def load(cls, name_or_path: str) -> Rules:
        """Load a built-in rule set by name, or a YAML file by its path.

        Raises `PurifyError`, one line that says what is wrong where, for an unknown name, a missing file or a bad one.
        """
        return cls._load(locate(name_or_path), ())

    @classmethod
    def _load(cls, path: Path, judging: tuple[Path, ...]) -> Rules:
        if path.resolve() in judging:
            raise PurifyError(f"{path}: judges by itself; name another rule set after by")
        files = rule_files(path)
        judges: dict[Path, Rules] = {}
        rules = []
        for file, rule in chosen_rules(files):
            judge = None
            if rule.by is not None:
                by = locate(rule.by, file.path.parent)
                judge = judges[by] = judges.get(by) or cls._load(by, (*judging, path.resolve()))
            rules.append(_CompiledRule(file.name, rule, judge))
        wrapping = Wrapping(
            [line.pattern for file in files for line in file.content.first_lines],
            [line.pattern for file in files for line in file.content.last_lines],
        )
        return cls(files[0].name, rules, wrapping)

    def judge(self, text: str | None, *, tool: str | None = None) -> Outcome:
        """Say how the call ended that gave this result. None means that no result came back."""
        if text is None:
            return _NO_RESULT
        result = Result(text, self._wrapping)
        kind = (
            (_EXCEPTION if result.exception is not None else 0)
            | (_FIELDS if result.fields is not None else 0)
            | (_WRAPPED if result.wrapping else 0)
        )
        for rule in self._by_kind[kind]:
            outcome = rule.outcome(result, tool)
            if outcome is not None:
                return outcome
        return _NO_RULE
