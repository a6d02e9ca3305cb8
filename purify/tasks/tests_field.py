"""The tests of a code task, in the forms that task files hold them.

    "assert add(1, 2) == 3"                                     Python source
    [{"input": "1 2", "output": "3"}]                           standard input and output
    {"inputs": ["1 2"], "outputs": ["3"]}                       the same, as verl has it
    {"fn_name": "add", "inputs": ["1\\n2"], "outputs": ["3"]}    arguments and result of a function, one JSON a line
    {"functional": "assert ..."}  {"pytest": "def test_..."}    Python source

Each may also stand as a string of JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from purify.errors import RejectedRecordError
from purify.tasks.assertions import split_tests
from purify.tasks.task import IoTest, Tests

_CALL = """\
import json as _json
def _call(*_arguments):
    _function = globals().get({name!r}) or getattr(Solution(), {name!r})
    return _json.loads(_json.dumps(_function(*_arguments)))
"""


def holds_tests(value: object) -> bool:
    """Whether an answer is in fact tests: verl puts both in one field."""
    known = _parsed(value)
    return isinstance(known, dict) and ({"inputs", "outputs"} <= known.keys() or not known.keys().isdisjoint(_SOURCE))


def read_tests(value: object) -> Tests:
    """Raises `RejectedRecordError` for anything that is not one of the forms."""
    known = _parsed(value)
    if isinstance(known, str):
        return _source(known)
    if isinstance(known, list):
        return _pairs([_member(pair, "input") for pair in known], [_member(pair, "output") for pair in known])
    if isinstance(known, dict):
        for key in _SOURCE:
            if isinstance(source := known.get(key), str):
                return _source(source)
        inputs, outputs = known.get("inputs"), known.get("outputs")
        if isinstance(inputs, list) and isinstance(outputs, list):
            name = known.get("fn_name")
            return _calls(str(name), inputs, outputs) if name else _pairs(inputs, outputs)
    raise RejectedRecordError("tests are Python source, or pairs of input and output; these are neither")


_SOURCE = ("functional", "pytest")


def _parsed(value: object) -> object:
    if isinstance(value, str) and value.lstrip()[:1] in {"{", "["}:
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def _source(text: str) -> str:
    split_tests(text)
    return text


def _pairs(inputs: Sequence[object], outputs: Sequence[object]) -> list[IoTest]:
    _same_length(inputs, outputs)
    return [IoTest(input=_text(i), output=_text(o)) for i, o in zip(inputs, outputs, strict=True)]


def _calls(name: str, inputs: Sequence[object], outputs: Sequence[object]) -> str:
    """Asserts on a function's result. As in verl, a result may stand alone in a list, and tuples are lists."""
    _same_length(inputs, outputs)
    lines = [_CALL.format(name=name)]
    for given, wanted in zip(inputs, outputs, strict=True):
        try:
            arguments = [json.loads(line) for line in given.split("\n")] if isinstance(given, str) else given
            result = json.loads(wanted) if isinstance(wanted, str) else wanted
        except ValueError:
            raise RejectedRecordError("tests of a function need JSON arguments and results") from None
        if not isinstance(arguments, list):
            raise RejectedRecordError("tests of a function need a list of arguments")
        accepted = [result, result[0]] if isinstance(result, list) and result else [result]
        lines.append(f"assert _call({', '.join(map(repr, arguments))}) in {accepted!r}")
    return _source("\n".join(lines))


def _same_length(inputs: Sequence[object], outputs: Sequence[object]) -> None:
    if len(inputs) != len(outputs) or not inputs:
        raise RejectedRecordError(f"tests have {len(inputs)} inputs and {len(outputs)} outputs")


def _member(pair: object, key: str) -> object:
    if not isinstance(pair, Mapping) or key not in pair:
        raise RejectedRecordError(f"a test has no {key!r}")
    return pair[key]


def _text(value: Any) -> str:
    """Lines may be given one by one."""
    return "\n".join(map(_text, value)) if isinstance(value, list) else str(value)
