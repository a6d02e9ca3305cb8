"""Rule files of users: what they can say, and what they are told when one is wrong."""

from __future__ import annotations

import pickle
import textwrap
from pathlib import Path

import pytest
import yaml

from purify.errors import PurifyError
from purify.failures import Outcome, Rules, rules
from purify.failures.loading import BUILT_IN, known_sets

OK = Outcome("ok", None, "no_rule")


def write(folder: Path, text: str, name: str = "mine") -> str:
    path = folder / f"{name}.yaml"
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return str(path)


def test_the_example_in_the_docstring_works(tmp_path: Path) -> None:
    text = rules.__doc__ or ""
    mine = Rules.load(write(tmp_path, text[text.index("    extends:") : text.index("`purify.failures.format`")]))
    assert mine.name == "mine"
    missing = "Booking 7 not found\nTurns left: 3"
    assert mine.judge(missing, tool="get_booking") == Outcome("error", "no_such_booking", "rule:mine/no_such_booking")
    assert mine.judge(missing, tool="cancel") == OK
    assert mine.judge(missing) == OK
    refused = '{"code": 401, "message": "Refused: no token"}'
    assert mine.judge(refused) == Outcome("rejected", "http_401", "rule:mine/http")
    assert mine.judge(refused.replace("401", "402")) == OK
    assert mine.judge("IndexError: x") == Outcome("error", "IndexError", "rule:mine/crashed")
    assert mine.judge("KeyError: x") == Outcome("error", "KeyError", "rule:exceptions/exception")
    nested = '{"log": {"stderr": "NameError: x"}}'
    assert mine.judge(nested) == Outcome("error", "NameError", "rule:exceptions/exception")
    assert mine.judge("Error: left out") == OK
    assert Rules.load("tool").judge("Error: left out").status == "error"


def test_own_rules_come_before_inherited_ones_and_sets_before_those_they_extend(tmp_path: Path) -> None:
    write(tmp_path, "rules: [{id: a, start: x, status: infra}, {id: b, start: y, status: infra}]", "base")
    write(tmp_path, "{extends: base.yaml, rules: [{id: a, start: x, status: error}]}", "left")
    write(tmp_path, "{extends: base.yaml, rules: [{id: a, start: 'y', status: timeout}]}", "right")
    mine = Rules.load(write(tmp_path, "extends: [left.yaml, right.yaml]"))
    assert mine.judge("x") == Outcome("error", None, "rule:left/a")
    assert mine.judge("y") == Outcome("timeout", None, "rule:right/a")


def test_an_own_rule_can_declare_a_result_good(tmp_path: Path) -> None:
    mine = Rules.load(
        write(
            tmp_path,
            """
            extends: tool
            rules:
              - {id: expected, start: 'Error: nothing to do', status: ok}
            """,
        )
    )
    assert mine.judge("Error: nothing to do") == Outcome("ok", None, "rule:mine/expected")
    assert mine.judge("Error: other") == Outcome("error", "tool_error", "rule:error_prefix/error_prefix")


@pytest.mark.parametrize(
    ("test", "hits", "misses"),
    [
        ("start: 'a\\d'", ["a1", "  a1 b", "a1\nb"], ["b a1", "xa1"]),
        ("start: ['(?i)fail', 'no$']", ["FAILED", "no"], ["none", "NO"]),
        ("start: '(?x) a \\s b  # spaced'", ["a b"], ["ab"]),
        ("last_line: 'end'", ["x\nend", "x\nend of it\n\n"], ["end\nx", "x\nthe end"]),
        ("whole: 'a.*'", ["ab", " ab\n"], ["ab\nc", "a" * 2001]),
        ("contains: [needle, pin]", ["hay needle hay", "h\npin"], ["hay", "Needle"]),
        ("text: '(?m)^b\\d'", ["a\nb1\nc"], ["ab1"]),
        ("{start: a, last_line: b}", ["a\nb"], ["a\nc", "c\nb"]),
        ("exception: '(Key|Index)Error'", ["KeyError: 1"], ["ValueError: 1"]),
        ("wrapping: 'Turn 3'", ["x\nTurn 3"], ["Turn 3 x", "x\nTurn 4"]),
        ("fields: {a: {equals: 1}}", ['{"a": 1}', '{"a": 1.0}'], ['{"a": true}', '{"a": "1"}', '{"b": 1}', "[1]"]),
        ("fields: {a: {equals: [true, x]}}", ['{"a": true}', '{"a": "x"}'], ['{"a": 1}', '{"a": ["x"]}']),
        ("fields: {a: {differs: [0, null]}}", ['{"a": 1}', '{"a": false}'], ['{"a": 0}', '{"a": null}', "{}"]),
        ("fields: {a: {present: true}}", ['{"a": "x"}', '{"a": [0]}'], ['{"a": ""}', '{"a": 1}', '{"a": null}', "{}"]),
        ("fields: {a: {present: false}}", ['{"a": ""}', '{"a": 1}', '{"a": null}'], ['{"a": "x"}', "{}"]),
        ("fields: {a.b: {equals: 1}}", ['{"a": {"b": 1}}'], ['{"a": 1}', '{"a.b": 1}']),
        ("fields: {a|b: {equals: 1}}", ['{"b": 1}', '{"a": null, "b": 1}'], ['{"a": 2, "b": 1}']),
        ("fields: {a: {last_line: end}}", ['{"a": "x\\nend\\n"}'], ['{"a": "end\\nx"}', '{"a": 1}']),
        ("fields: {a: {equals: 1}, b: {start: x}}", ['{"a": 1, "b": "xy"}'], ['{"a": 1}', '{"b": "xy"}']),
    ],
)
def test_every_test(tmp_path: Path, test: str, hits: list[str], misses: list[str]) -> None:
    rule = test if test.startswith("{") else f"{{{test}}}"
    content = {"last_lines": r"Turn \d", "rules": [{"id": "r", "status": "error", **yaml.safe_load(rule)}]}
    mine = Rules.load(write(tmp_path, yaml.safe_dump(content)))
    assert [mine.judge(text).status for text in hits] == ["error"] * len(hits)
    assert [mine.judge(text) for text in misses] == [OK] * len(misses)


def test_error_types(tmp_path: Path) -> None:
    mine = Rules.load(
        write(
            tmp_path,
            r"""
            rules:
              - {id: named, start: 'Fault (?P<error_type>\w+)', status: error}
              - {id: built, start: '(?P<kind>\w+)!(?P<code>\d+)?', status: error, error_type: '{kind}_{code}'}
              - {id: field, fields: {'x.code|code': {present: false}}, status: error, error_type: 'c{code}'}
              - {id: none, start: plain, status: error}
            """,
        )
    )
    assert mine.judge("Fault E7 here").error_type == "E7"
    assert mine.judge("disk!12").error_type == "disk_12"
    assert mine.judge("disk!").error_type == "disk_"
    assert mine.judge('{"code": 5}').error_type == "c5"
    assert mine.judge("plain").error_type is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rules: [{id: x, statsu: error}]", "rule 'x'.statsu: unknown key; known are start, last_line, "),
        ("ruls: []", "ruls: unknown key; known are description, extends, "),
        ("rules: [{id: x, status: error, fields: {a: {eq: 1}}}]", "rule 'x'.fields.a.eq: unknown key; known are start"),
        ("rules: [{id: x, status: eror, start: a}]", "rule 'x'.status: Input should be 'ok', 'error', 'timeout', "),
        (
            "rules: [{id: x, status: error, start: '(a'}]",
            "rule 'x'.start: bad regular expression '(a': missing ), unterminated subpattern at position 0",
        ),
        ("rules: [{id: x, status: error, start: [a, 3]}]", "rule 'x'.start: must be a regular expression or a list"),
        (
            "rules: [{id: x, status: error, start: ['(?P<a>x)', '(?P<a>y)']}]",
            "rule 'x'.start: these regular expressions do not go together: redefinition of group name 'a'",
        ),
        ("last_lines: '('", "last_lines: bad regular expression '('"),
        ("rules: [", "not a YAML file: while parsing a flow node"),
        ("- a", "a rule file is a mapping with keys such as rules and extends"),
        ("rules: [{status: error, start: a}]", "rule 1.id: Field required"),
        ("rules: [{id: x, status: error}]", "rule 'x': give a test"),
        ("rules: [{id: x, start: a}]", "rule 'x': give a status"),
        ("rules: [{id: x, status: error, fields: {a: {}}}]", "rule 'x': field 'a' has no test"),
        ("rules: [{id: x, judge: a}]", "rule 'x': judge and by go together"),
        (
            "rules: [{id: x, judge: a, by: python, status: ok}]",
            "rule 'x': a rule with judge takes status and error_type",
        ),
        ("rules: [{id: x, judge: a, by: mine.yaml}]", "judges by itself; name another rule set after by"),
        (
            "rules: [{id: x, status: error, start: a, error_type: 'x_{y}'}]",
            "rule 'x': error_type names {y}, which no test of the rule sets",
        ),
        (
            "rules: [{id: x, status: error, start: a}, {id: x, status: error, start: b}]",
            "two rules have the id 'x'; rename one",
        ),
        ("extends: pyton", "rule set 'pyton' is unknown; known are adp, "),
        ("extends: other.yaml", "other.yaml does not exist; give a YAML file or the name of a rule set"),
        ("extends: mine.yaml", "extends itself through mine.yaml -> mine.yaml"),
        ("{extends: tool, without: tool/nope}", "without: no inherited rule is called 'tool/nope'; write set/id"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(PurifyError) as raised:
        Rules.load(path)
    said = str(raised.value)
    assert said.startswith(f"{path}: ")
    assert message in said
    assert "\n" not in said


def test_names_that_are_no_rule_set() -> None:
    with pytest.raises(
        PurifyError, match=r"rule set 'pyton' is unknown; known are adp, .*tool.*; a file ends in \.yaml"
    ):
        Rules.load("pyton")
    with pytest.raises(PurifyError, match=r"rule file none\.yaml does not exist; give a YAML file or the name"):
        Rules.load("none.yaml")


@pytest.mark.parametrize("name", known_sets())
def test_every_built_in_set_loads_and_says_what_it_is_for(name: str) -> None:
    loaded = Rules.load(name)
    assert loaded.name == name
    assert loaded.judge("42") == OK
    assert yaml.safe_load((BUILT_IN / f"{name}.yaml").read_text(encoding="utf-8"))["description"]


def test_a_loaded_set_can_go_to_another_process(tmp_path: Path) -> None:
    path = write(tmp_path, "rules: [{id: a, start: bad, status: error}]")
    for name in ("tool", path):
        copy = pickle.loads(pickle.dumps(Rules.load(name)))
        assert copy.name == Rules.load(name).name
        assert copy.judge("bad") == Rules.load(name).judge("bad")
