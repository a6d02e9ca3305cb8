"""From a record of a task file to a `Task`: which members are read, and what is refused.

`prompt` (text or messages) or `messages`; `answer` or `ground_truth`; `verifier`; `tests`; `task_id` or `id`;
`data_source`. verl's `reward_model.ground_truth` is the answer, or the tests. Everything else is kept in `extra`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from purify.digests import digest
from purify.errors import RejectedRecordError
from purify.tasks.records import Number, dump_json
from purify.tasks.sources import verifier_of_source
from purify.tasks.task import Task, Tests
from purify.tasks.tests_field import holds_tests, read_tests
from purify_schemas import Message

_ROLES = ("assistant", "system", "tool", "user")
_MEDIA = ("images", "videos", "audios")


class Read(NamedTuple):
    task: Task
    named: bool
    """Whether the row names its task; otherwise the id is a digest of what it says."""


def read_task(record: Mapping[str, Any], file: str, row: int, raw: bytes) -> Read:
    """Raises `RejectedRecordError` with the reason if the record is no task that could be sampled."""
    rest = {key: value for key, value in record.items() if value is not None}
    for key in _MEDIA:
        if rest.get(key):
            raise RejectedRecordError(f"has {key}; only text can be sampled")
    messages = _prompt(rest)
    data_source = _string(rest, "data_source")
    verifier = _string(rest, "verifier")
    answer, tests = _expected(rest)
    if verifier is None and data_source is not None:
        verifier = verifier_of_source(data_source)
    if verifier is None and tests is not None:
        verifier = "unit_tests"
    named = _name(rest)
    said = Task(task_id="", messages=messages, answer=answer, verifier=verifier, tests=tests, data_source=data_source)
    return Read(
        said.model_copy(
            update={
                "task_id": named if named is not None else digest(said.model_dump_json(exclude={"raw"})),
                "extra": dump_json(rest) if rest else None,
                "file": file,
                "row": row,
                "raw": raw,
            }
        ),
        named is not None,
    )


def _prompt(rest: dict[str, Any]) -> list[Message]:
    if "prompt" in rest and "messages" in rest:
        raise RejectedRecordError("has prompt and messages; give one of them")
    key = "messages" if "messages" in rest else "prompt"
    value = rest.pop(key, None)
    if isinstance(value, str) and key == "prompt":
        value = [{"role": "user", "content": value}]
    if value is None:
        raise RejectedRecordError("has no prompt and no messages")
    if not isinstance(value, list):
        raise RejectedRecordError(f"{key} is no list of messages")
    if not value:
        raise RejectedRecordError(f"{key} is empty")
    messages = [_message(item, f"{key}[{index}]") for index, item in enumerate(value)]
    if messages[-1].role == "assistant":
        raise RejectedRecordError(f"{key} ends with an assistant message; it must end with what is to be answered")
    if messages[-1].role == "system":
        raise RejectedRecordError(f"{key} ends with a system message; a user message must follow")
    return messages


def _message(value: object, path: str) -> Message:
    if not isinstance(value, Mapping):
        raise RejectedRecordError(f"{path} is no message")
    rest = {key: item for key, item in value.items() if item is not None}
    role = rest.pop("role", None)
    if role not in _ROLES:
        raise RejectedRecordError(f"{path}.role is {role!r}, expected one of {', '.join(_ROLES)}")
    calls = rest.pop("tool_calls", None) or None
    content = _content(rest.pop("content", None), path)
    if content is None and calls is None:
        raise RejectedRecordError(f"{path}.content is missing")
    return Message(
        role=role,
        name=_string(rest, "name"),
        content=content,
        tool_calls=None if calls is None else dump_json(calls),
        call_id=_string(rest, "tool_call_id"),
        extra=dump_json(rest) if rest else None,
    )


def _content(value: object, path: str) -> str | None:
    """Text, or text parts, which are joined."""
    if value is None or isinstance(value, str):
        return value
    if not isinstance(value, list):
        raise RejectedRecordError(f"{path}.content is no text")
    parts = [part.get("text") for part in value if isinstance(part, Mapping) and part.get("type") == "text"]
    texts = [text for text in parts if isinstance(text, str)]
    if len(texts) != len(value):
        raise RejectedRecordError(f"{path}.content has parts that are no text; only text can be sampled")
    return "".join(texts)


def _expected(rest: dict[str, Any]) -> tuple[str | None, Tests | None]:
    """The answer and the tests."""
    tests = rest.pop("tests", None)
    model = rest.get("reward_model")
    if "answer" in rest or "ground_truth" in rest:
        value = rest.pop("answer" if "answer" in rest else "ground_truth")
    elif isinstance(model, Mapping) and "ground_truth" in model:
        value = model["ground_truth"]
        rest["reward_model"] = {key: item for key, item in model.items() if key != "ground_truth"}
    else:
        value = None
    if tests is None and holds_tests(value):
        tests, value = value, None
    return None if value is None else _scalar(value), None if tests is None else read_tests(tests)


def _scalar(value: object) -> str:
    """An answer as text: a number as it was written, true and false as in JSON, a list or an object as its JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, Number):
        return value.text
    return dump_json(value)


def _name(rest: dict[str, Any]) -> str | None:
    key = "task_id" if "task_id" in rest else "id"
    value = rest.pop(key, None)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise RejectedRecordError(f"{key} is neither text nor a whole number")
    return str(value)


def _string(rest: dict[str, Any], key: str) -> str | None:
    value = rest.pop(key, None)
    if value is not None and not isinstance(value, str):
        raise RejectedRecordError(f"{key} is no text")
    return value or None
