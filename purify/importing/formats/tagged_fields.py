"""What a preset's keys say of a whole record: task, sample, answer, reference, reward."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from purify.digests import digest
from purify.errors import RejectedRecordError
from purify.importing.base import Record
from purify.importing.checks import json_text, number, wrong
from purify.importing.presets import Preset

Position = tuple[int, int]
"""Which of how many samples of one record."""


def dig(record: Mapping[str, Any], dotted: str) -> Any:
    """The member at a dotted key; None where there is none."""
    value: Any = record
    for key in dotted.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def first_of(record: Record, keys: Sequence[str]) -> tuple[str | None, Any]:
    return next(((key, value) for key in keys if (value := dig(record, key)) is not None), (None, None))


def _of_sample(key: str, value: Any, at: Position | None) -> Any:
    """A list beside several samples has one value each."""
    if at is None or not isinstance(value, list):
        return value
    if len(value) != at[1]:
        raise RejectedRecordError(f"{key} has {len(value)} values for {at[1]} samples")
    return value[at[0]]


def label(record: Record, keys: Sequence[str], at: Position | None = None) -> str | None:
    """A text; numbers and structures as JSON."""
    key, value = first_of(record, keys)
    value = _of_sample(str(key), value, at)
    return value if value is None or isinstance(value, str) else json_text(value, str(key))


def reward(record: Record, preset: Preset, at: Position | None) -> float | None:
    key, value = first_of(record, preset.reward)
    value = _of_sample(str(key), value, at)
    if value is None or isinstance(value, bool):
        return None if value is None else float(value)
    if (read := number(value)) is None:
        raise wrong(str(key), value, "a finite number or a boolean")
    return read


def sample_index(record: Record, preset: Preset) -> int | None:
    key, value = first_of(record, preset.sample)
    if value is None:
        return None
    if type(value) is int and 0 <= value < 2**31:
        return value
    raise wrong(str(key), value, "a position or null")


def task_name(record: Record, preset: Preset) -> str | None:
    named = [name for key in preset.task if (name := label(record, [key])) is not None]
    text = label(record, [preset.task_text]) if preset.task_text else None
    return "/".join([*named, *([digest(text)[:8]] if text is not None else [])]) if named else None


def without(record: Mapping[str, Any], paths: Sequence[Sequence[str]]) -> dict[str, Any]:
    """The record without the members at these paths, and without objects that become empty by it."""
    kept: dict[str, Any] = {}
    for key, value in record.items():
        inside = [path[1:] for path in paths if path[0] == key]
        if [] in inside:
            continue
        if inside and isinstance(value, Mapping):
            value = without(value, inside)
            if not value:
                continue
        kept[key] = value
    return kept
