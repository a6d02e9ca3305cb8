"""Tool calls written as JSON: `{"name": ..., "arguments": {...}}`.

Arguments keep their own text, so that numbers and spaces stay as they were sampled. What cannot be parsed is a call all
the same: malformed, named where a name can be seen, with its raw text as arguments.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from purify_schemas import Call

_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"\s*")
_NAME = re.compile(r'"name"\s*:\s*"([^"\\]+)"')


def json_calls(text: str) -> tuple[list[Call], bool]:
    """Calls from a JSON object or a list of them, and whether any had further members."""
    calls: list[Call] = []
    unread = False
    try:
        at = skip_space(text, 0)
        many = text.startswith("[", at)
        more = True
        while more:
            members, at = object_members(text, skip_space(text, at + many))
            calls.append(read_members(members))
            unread = unread or not members.keys() <= {"name", "id", _arguments_key(members)}
            at = skip_space(text, at)
            more = many and text.startswith(",", at)
        if many:
            at = _expect(text, at, "]")
        if skip_space(text, at) != len(text):
            raise ValueError("text after the call")
    except (ValueError, RecursionError):
        return [malformed(text)], False
    return calls, unread


def object_members(text: str, at: int) -> tuple[dict[str, str], int]:
    """The members of the JSON object at `at`, each value as its raw text, and where the object ends."""
    members: dict[str, str] = {}
    at = skip_space(text, _expect(text, at, "{"))
    if text.startswith("}", at):
        return members, at + 1
    while True:
        key, at = _DECODER.raw_decode(text, at)
        if not isinstance(key, str):
            raise ValueError("a key is not a string")
        start = skip_space(text, _expect(text, skip_space(text, at), ":"))
        _, at = _DECODER.raw_decode(text, start)
        members[key] = text[start:at]
        at = skip_space(text, at)
        if not text.startswith(",", at):
            return members, _expect(text, at, "}")
        at = skip_space(text, at + 1)


def read_members(members: Mapping[str, str]) -> Call:
    """Raises `ValueError` for an object that is no call."""
    name = json.loads(members.get("name", "null"))
    if not isinstance(name, str):
        raise ValueError("no name")
    identity = json.loads(members.get("id", "null"))
    arguments = members.get(_arguments_key(members), "null")
    if arguments == "null" or arguments.startswith('"'):  # a string: encoded twice, as in OpenAI's own messages
        arguments = json.loads(arguments)
    for decoded in (name, arguments):
        (decoded or "").encode()  # half a surrogate pair, which a cut-off escape leaves, is a ValueError too
    return Call(id=None if identity is None else str(identity), name=name, arguments=arguments)


def malformed(text: str, *, name: str | None = None, error_type: str = "invalid_json") -> Call:
    """A call that could not be parsed. A name that can be seen in the text is taken for its name."""
    if name is None and (seen := _NAME.search(text)):
        name = seen[1]
    return Call(name=name, arguments=text, status="malformed", error_type=error_type, status_source="call_text")


def skip_space(text: str, at: int) -> int:
    """Where the blank space at `at` ends."""
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _arguments_key(members: Mapping[str, str]) -> str:
    return "arguments" if "arguments" in members else "parameters"


def _expect(text: str, at: int, mark: str) -> int:
    if not text.startswith(mark, at):
        raise ValueError(f"expected {mark} at {at}")
    return at + 1
