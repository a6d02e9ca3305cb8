"""What a row takes along in a foreign format that has no place for it: the column (or member) `purify`.

A chat format holds texts and calls. Who sampled them, how each call ended and what state a tool has go here, so that
an exported row which is imported again is the row it was. Token ids, log-probs and edits are not carried. A digest of
the conversation goes along, since all this is true of that conversation only.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

from purify_schemas.names import FinishReason
from purify_schemas.rows import Call, Reward, Row, Source, Step, ToolState, Trajectory

CARRIED = "purify"
"""Name of the member of a record (or of its `extra`) that holds it."""

SIDES = ("chosen", "rejected")
"""Members of a preference, and of its `purify`, which holds one for each."""

OWN_COLUMNS = frozenset({CARRIED, "trajectory_id", "group_id", "failed_calls"})
"""What exports write beside commonly read fields: no news to an importer."""

_CONVERSATIONS: Mapping[str, tuple[str, ...]] = {
    "kto": ("prompt", "completion"),
    "preference": ("prompt", *SIDES),
    "sharegpt": ("conversations",),
    "atif": ("steps",),
}
"""The members that hold the conversation, by format; elsewhere `messages`."""
_COLUMNS = ("trajectory_id", "task_id", "group_id")


class Carried(Row):
    format: str
    """The exporter that wrote the record."""
    digest: str
    """`conversation_digest` of the record."""
    trajectory_id: str
    task_id: str
    group_id: str
    sample_index: int | None = None
    tool_state: list[ToolState] = []
    rewards: list[Reward] = []
    finish_reason: FinishReason = "unknown"
    source: Source = Source()
    extra: str | None = None
    calls: list[list[Call]] = []
    """Of each step: its calls, as they were sampled and as they ended."""
    not_sampled: list[int] = []
    """Positions, in the whole conversation, of assistant messages that are no steps: the policy did not sample them."""

    @classmethod
    def of(cls, trajectory: Trajectory, format: str, record: Mapping[str, Any]) -> Carried:
        """`record` is what is written, its conversation as objects."""
        shared = cls.model_fields.keys() & type(trajectory).model_fields.keys()
        return cls(
            format=format,
            digest=conversation_digest(record, format),
            calls=[step.calls for step in trajectory.steps],
            not_sampled=_not_sampled(trajectory),
            **{name: getattr(trajectory, name) for name in shared},
        )

    def members(self) -> dict[str, Any]:
        """As JSON, without what is null or empty."""
        return self.model_dump(mode="json", exclude_defaults=True)

    def json_text(self) -> str:
        """The same as compact text."""
        return self.model_dump_json(exclude_defaults=True)

    def onto(self, trajectory: Trajectory, record: Mapping[str, Any]) -> Trajectory:
        """The row as it was, given what its texts, and the columns of the record, say.

        Raises `ValueError` if the conversation is not the one that was exported.
        """
        if self.digest != conversation_digest(record, self.format):
            raise ValueError(
                "the messages were changed after purify exported them; remove the member purify to import them as they"
                " are"
            )
        if len(self.calls) != len(trajectory.steps):
            raise ValueError(f"purify tells of {len(self.calls)} steps, the messages have {len(trajectory.steps)}")
        steps = [_with_calls(step, calls) for step, calls in zip(trajectory.steps, self.calls, strict=True)]
        news = {part.name for part in trajectory.rewards}
        extra = record.get("extra")
        columns = {**(extra if isinstance(extra, Mapping) else {}), **record}
        named = {name: columns[name] for name in _COLUMNS if isinstance(columns.get(name), str)}
        told = {name: getattr(self, name) for name in ("sample_index", "tool_state", "finish_reason", "source")}
        return trajectory.model_copy(
            update={
                **told,
                **{name: named.get(name, getattr(self, name)) for name in _COLUMNS},
                "rewards": [*(part for part in self.rewards if part.name not in news), *trajectory.rewards],
                "extra": with_news(self.extra, trajectory.extra),
                "steps": steps,
            }
        )


def conversation_digest(record: Mapping[str, Any], format: str) -> str:
    """Digest of the conversation in a record of this format.

    Null members count for nothing (structs of Parquet have every member of their neighbours); numbers past 64 bits, and
    halves of surrogate pairs, count for what they become in a file.
    """
    told = {name: _shown(record.get(name)) for name in _CONVERSATIONS.get(format, ("messages",))}
    text = json.dumps(_canonical(told), sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def whole_text(text: str) -> str:
    """The text with U+FFFD for each half of a surrogate pair, which no file can hold."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def carried_by(record: Mapping[str, Any]) -> Carried | None:
    """What a foreign record carries; None if it was not written by `purify export`.

    Raises `pydantic.ValidationError` if it was changed.
    """
    found = _member(record)
    return None if found is None else Carried.model_validate(found)


def exported_as(record: Mapping[str, Any]) -> str | None:
    """The format that `purify export` wrote the record in; None if it did not."""
    found = _member(record) or {}
    name = found.get("format")
    return name if isinstance(name, str) else None


def with_news(told: str | None, added: str | None) -> str | None:
    """The row's own `extra` with what was added to its record since; columns that are empty are no news."""
    news = {name: value for name, value in json.loads(added or "{}").items() if value not in (None, "")}
    if not news:
        return told
    own = json.loads(told or "{}")
    return json.dumps(
        {**(own if isinstance(own, dict) else {"extra": own}), **news}, ensure_ascii=False, separators=(",", ":")
    )


def _member(record: Mapping[str, Any]) -> Mapping[str, Any] | None:
    extra = record.get("extra")
    found = record.get(CARRIED, extra.get(CARRIED) if isinstance(extra, Mapping) else None)
    return found if isinstance(found, Mapping) else None


def _not_sampled(trajectory: Trajectory) -> list[int]:
    found = [at for at, message in enumerate(trajectory.messages) if message.role == "assistant"]
    at = len(trajectory.messages)
    for step in trajectory.steps:
        found += [at + 1 + i for i, message in enumerate(step.observation.messages) if message.role == "assistant"]
        at += 1 + len(step.observation.messages)
    return found


def _with_calls(step: Step, calls: list[Call]) -> Step:
    return Step.model_validate({**dict(step), "calls": calls})


def _shown(items: Any) -> Any:
    """Messages without their token ids, which are long and say the same."""
    if not isinstance(items, list):
        return items
    return [
        {name: value for name, value in item.items() if name != "metrics"} if isinstance(item, Mapping) else item
        for item in items
    ]


def _canonical(value: Any) -> Any:
    if isinstance(value, Mapping):
        items = ((whole_text(key), _canonical(item)) for key, item in value.items())
        return {key: item for key, item in items if item is not None}
    if isinstance(value, list | tuple):
        return [_canonical(item) for item in value]
    if isinstance(value, str):
        return whole_text(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _number(value)
    return value


def _number(value: float) -> float | None:
    if isinstance(value, int) and -(2**63) <= value < 2**64:
        return value
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None
