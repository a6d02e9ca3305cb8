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

from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from purify.errors import PurifyError
from purify.failures.checks import Groups, field_keys, field_value, groups_of, rule_checks
from purify.failures.format import PLACEHOLDER, Rule
from purify.failures.loading import NamedFile, chosen_rules, locate, rule_files
from purify.failures.result import Result, Wrapping
from purify_schemas.names import Status


class Outcome(NamedTuple):
    status: Status
    error_type: str | None
    status_source: str | None
    """`rule:<set>/<id>` of the rule that decided, by the set it is written in; `no_rule` or `no_result`."""


_NO_RESULT = Outcome("unknown", None, "no_result")
_NO_RULE = Outcome("ok", None, "no_rule")

_EXCEPTION, _FIELDS, _WRAPPED = 1, 2, 4
_ALL = _EXCEPTION | _FIELDS | _WRAPPED
_ITSELF = field_keys(".")


class _CompiledRule:
    __slots__ = ("_checks", "_judge", "_judged_fields", "_rule", "_source", "keys", "needs", "words")

    def __init__(self, file: NamedFile, rule: Rule, judge: Rules | None) -> None:
        self._rule = rule
        self._judge = judge
        self._judged_fields = [field_keys(path) for path in rule.judge or []]
        self._source = f"rule:{file.name}/{rule.id}"
        self._checks = rule_checks(rule)
        self.words = tuple(word.lower() for word in file.content.words)
        # Without one of these keys a JSON object cannot be hit.
        paths = next(iter(rule.fields), None) or "|".join(rule.judge or [])
        self.keys = frozenset(path.split(".")[0] for path in paths.split("|") if path not in ("", "."))
        self.needs = (
            (_EXCEPTION if rule.exception is not None or rule.exception_inside is not None else 0)
            | (_FIELDS if self.keys else 0)
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
        for keys in self._judged_fields:
            text = result.text if keys == _ITSELF else field_value(result.fields, keys)
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

    __slots__ = ("_by_kind", "_path", "_wrapping", "name")

    def __init__(self, path: Path, rules: list[_CompiledRule], wrapping: Wrapping) -> None:
        self.name = path.stem
        self._path = path
        self._wrapping = wrapping
        # Most results have no exception, no JSON and no wrapping, and most rules need one of these.
        self._by_kind = [_blocks([rule for rule in rules if not rule.needs & ~kind]) for kind in range(_ALL + 1)]

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
                by = locate(rule.by, file.path)
                judge = judges[by] = judges.get(by) or cls._load(by, (*judging, path.resolve()))
            rules.append(_CompiledRule(file, rule, judge))
        wrapping = Wrapping(
            [lines.pattern for file in files if (lines := file.content.first_lines)],
            [lines.pattern for file in files if (lines := file.content.last_lines)],
        )
        return cls(path, rules, wrapping)

    def __reduce__(self) -> tuple[object, ...]:
        # Compiled rules are closures; another process reads the file again.
        return Rules.load, (str(self._path.resolve()),)

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
        fields = result.fields or {}
        for words, rules in self._by_kind[kind]:
            if words and not result.has_any(words):
                continue
            for rule in rules:
                if rule.keys and rule.keys.isdisjoint(fields):
                    continue
                outcome = rule.outcome(result, tool)
                if outcome is not None:
                    return outcome
        return _NO_RULE


def _blocks(rules: list[_CompiledRule]) -> list[tuple[tuple[str, ...], list[_CompiledRule]]]:
    """Neighbours that are tried on the same words share one look for them."""
    return [(words, list(block)) for words, block in groupby(rules, key=lambda rule: rule.words)]
