"""Messages and turns of a trajectory as ATIF steps.

ATIF has a place for most of a turn. What it has none for stands in an `extra.purify` beside it, as members of our own
`Message` and `Step`, and only where plain ATIF would be read otherwise:

    {"source": "agent", "message": "Let me see.", "extra": {"purify": {"action": "<tool_call>..."}}}
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import Any

from purify.chat.made_ids import made_id, without_made
from purify.exporting.chat import step_messages
from purify.exporting.ids import Stretch
from purify_schemas import Call, Message, Step
from purify_schemas.carried import CARRIED

SOURCES = {"system": "system", "user": "user", "assistant": "agent"}

AtifStep = dict[str, Any]


def message_step(message: Message) -> AtifStep:
    """A message that this policy did not sample. A demonstration is marked as context, not to be trained on."""
    source = SOURCES.get(message.role, "system")
    step: AtifStep = {"source": source, "message": message.content or ""}
    if source == "agent":
        step["is_copied_context"] = True
    role = message.role if message.role in SOURCES else source
    return step | _kept(message, Message(role=role, content=step["message"]))


def turn_steps(index: int, step: Step) -> list[AtifStep]:
    """The agent's step with the results of its calls, then a step for each further message."""
    turn = next(step_messages(step))
    calls = [
        _call(step.calls[position], written, call.id if call.id is not None else made_id(index, position))
        for position, (call, written) in enumerate(zip(step.calls, turn.get("tool_calls", []), strict=False))
    ]
    agent: AtifStep = {"source": "agent", "message": turn["content"] or ""}
    if "reasoning_content" in turn:
        agent["reasoning_content"] = turn["reasoning_content"]
    if calls:
        agent["tool_calls"] = calls
    results = list(takewhile(lambda message: message.role == "tool", step.observation.messages))
    if results:
        agent["observation"] = {"results": _results(results, calls)}
    shown = agent.get("reasoning_content", "") + agent["message"]
    kept: dict[str, Any] = {} if step.reasoning.text == shown else {"reasoning": step.reasoning.text}
    if len(agent.get("reasoning_content", "")) != step.thinking_chars:
        kept["thinking_chars"] = step.thinking_chars
    if step.action.text is not None:
        kept["action"] = step.action.text
    if step.boundary != "exact":
        kept["boundary"] = step.boundary
    if step.extra is not None:
        kept["extra"] = step.extra
    if kept:
        agent["extra"] = {CARRIED: kept}
    return [agent, *map(message_step, step.observation.messages[len(results) :])]


def add_metrics(agent: AtifStep, step: Step, before: Sequence[int], parts: Sequence[Stretch], *, last: bool) -> bool:
    """Put the ids and log-probs of a turn into its agent step; `before` is its whole prompt.

    ATIF wants a log-prob for every id: where some are unknown, those of a scoring pass are given, and said to be so,
    else none. Returns whether sampled log-probs had to be left out.
    """
    ids = [token for part in parts for token in part.ids]
    metrics: dict[str, Any] = {
        "prompt_tokens": len(before),
        "completion_tokens": len(ids),
        "prompt_token_ids": list(before),
        "completion_token_ids": ids,
    }
    whole = [part for part in parts if part.ids]
    known = all(part.logprobs is not None for part in whole)
    if known:
        metrics["logprobs"] = [value for part in whole for value in part.logprobs or ()]
    elif all(part.scored is not None for part in whole):
        metrics["logprobs"] = [value for part in whole for value in part.scored or ()]
        metrics["extra"] = {"logprobs_of": "score"}
    kept: dict[str, Any] = {
        "tokens": [None if side.token_ids is None else len(side.token_ids) for side in (step.reasoning, step.action)],
        "with_logprobs": [side.logprobs is not None for side in (step.reasoning, step.action)],
    }
    if last and step.observation.token_ids is not None:
        kept["observation_token_ids"] = step.observation.token_ids
    agent["metrics"] = metrics
    agent["extra"] = {CARRIED: {**agent.get("extra", {}).get(CARRIED, {}), **kept}}
    return not known and any(part.logprobs is not None for part in whole)


def _call(call: Call, written: dict[str, Any], call_id: str) -> dict[str, Any]:
    function = written["function"]
    extra = {
        name: value
        for name in ("status", "error_type", "status_source", "duration_s")
        if (value := getattr(call, name)) is not None
    }
    return {
        "tool_call_id": call_id,
        "function_name": function["name"],
        "arguments": function["arguments"],
        "extra": extra,
    }


def _results(messages: Sequence[Message], calls: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Results by the ids of their calls; one without an id answers the first call without one that is left."""
    ids = {call["tool_call_id"] for call in calls}
    made = [call_id for call in calls if without_made(call_id := call["tool_call_id"]) is None]
    results = []
    for message in messages:
        known = message.call_id if message.call_id in ids else None
        answered = made.pop(0) if message.call_id is None and made else known
        result: dict[str, Any] = {} if answered is None else {"source_call_id": answered}
        if message.content is not None:
            result["content"] = message.content
        read = Message(role="tool", call_id=without_made(known), content=message.content)
        results.append(result | _kept(message, read))
    return results


def _kept(message: Message, read: Message) -> dict[str, Any]:
    """What a message has otherwise than plain ATIF would be read."""
    names = Message.model_fields
    kept = {name: getattr(message, name) for name in names if getattr(message, name) != getattr(read, name)}
    return {"extra": {CARRIED: kept}} if kept else {}
