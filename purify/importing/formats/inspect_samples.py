"""Parts of an inspect sample: attachments, scores, how it ended, and what its events tell about tools."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from purify.importing.checks import number, wrong
from purify.importing.record_fields import reward_value
from purify_schemas import Reward
from purify_schemas.names import FinishReason

ATTACHMENT = "attachment://"

LISTS: Mapping[str, Any] = {"reductions": True, "eval": {"dataset": {"sample_ids": True}}}
"""Parts of a log that list all of its samples, as pydantic's `exclude` names them."""

_GRADES: Mapping[str, float] = {
    **dict.fromkeys(("C", "yes", "true"), 1.0),
    "P": 0.5,
    **dict.fromkeys(("I", "N", "no", "false"), 0.0),
}
_LIMITS: Mapping[object, FinishReason] = {
    **dict.fromkeys(("message", "turn"), "max_turns"),
    **dict.fromkeys(("token", "context"), "length"),
}
_STOPS: Mapping[object, FinishReason] = {
    # An agent that stops after a call has submitted: nothing else ends it without a limit or an error.
    **dict.fromkeys(("stop", "tool_calls"), "stop"),
    **dict.fromkeys(("max_tokens", "model_length"), "length"),
}


def without_lists(log: Mapping[str, Any], lists: Mapping[str, Any] = LISTS) -> dict[str, Any]:
    """A log without the parts that list all of its samples."""
    kept = {key: value for key, value in log.items() if lists.get(key) is not True}
    for key, inner in lists.items():
        if inner is not True and isinstance(kept.get(key), Mapping):
            kept[key] = without_lists(kept[key], inner)
    return kept


def attachments_resolved(value: Any, attached: Mapping[str, Any]) -> Any:
    """`value` with every string that is an attachment's reference replaced by the attachment, if it is there."""
    if isinstance(value, str):
        found = attached.get(value.removeprefix(ATTACHMENT)) if value.startswith(ATTACHMENT) else None
        return found if isinstance(found, str) else value
    if isinstance(value, dict):
        return {key: attachments_resolved(item, attached) for key, item in value.items()}
    return [attachments_resolved(item, attached) for item in value] if isinstance(value, list) else value


def rewards(scores: object, path: str) -> tuple[list[Reward], str | None]:
    """One reward a score (`scorer.key` for a score that is an object), and the answer that the first score read."""
    if scores is None:
        return [], None
    if not isinstance(scores, dict):
        raise wrong(path, scores, "an object or null")
    found: list[Reward] = []
    answers: list[str] = []
    for name, score in scores.items():
        if not isinstance(score, dict):
            raise wrong(f"{path}.{name}", score, "an object")
        value = score.get("value")
        parts = {f"{name}.{key}": part for key, part in value.items()} if isinstance(value, dict) else {name: value}
        graded = {key: _grade(part) for key, part in parts.items()}
        found += [Reward(name=key, value=grade) for key, grade in graded.items() if grade is not None]
        if isinstance(answer := score.get("answer"), str):
            answers.append(answer)
    return found, answers[0] if answers else None


def _grade(value: object) -> float | None:
    if isinstance(value, bool):
        return float(value)
    if isinstance(value, str):
        grade = _GRADES.get(value, _GRADES.get(value.lower()) if len(value) > 1 else None)
        if grade is not None:
            return grade
        try:
            value = float(value)
        except ValueError:
            return None
    return reward_value(value)


def finish_reason(sample: Mapping[str, Any]) -> FinishReason:
    if sample.get("error"):
        return "error"
    limit = sample.get("limit")
    if isinstance(limit, Mapping):
        kind = limit.get("type")
        return _LIMITS.get(kind, "unknown") if isinstance(kind, str) else "unknown"
    output = sample.get("output")
    choices = output.get("choices") if isinstance(output, Mapping) else None
    first = choices[0] if isinstance(choices, list) and choices else None
    reason = first.get("stop_reason") if isinstance(first, Mapping) else None
    return _STOPS.get(reason, "unknown") if isinstance(reason, str) else "unknown"


def tool_events(events: Iterable[Mapping[str, Any]]) -> tuple[list[Any], dict[str, float]]:
    """Every tool definition that a model call was given, and the seconds each tool call worked, by call id."""
    definitions: dict[str, Any] = {}
    durations: dict[str, float] = {}
    for event in events:
        listed = event.get("tools")
        if event.get("event") == "model" and isinstance(listed, list):
            for tool in listed:
                if isinstance(tool, dict) and isinstance(name := tool.get("name"), str):
                    definitions.setdefault(name, tool)
        elif event.get("event") == "tool" and isinstance(call := event.get("id"), str):
            seconds = number(event.get("working_time"))
            if seconds is not None:
                durations[call] = seconds
    return list(definitions.values()), durations
