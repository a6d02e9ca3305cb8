"""One ATIF step as a turn, or as the messages that stand between turns.

    {"step_id": 2, "source": "agent", "message": "Let me see.",
     "tool_calls": [{"tool_call_id": "c1", "function_name": "python", "arguments": {"code": "1/0"}}],
     "observation": {"results": [{"source_call_id": "c1", "content": "ZeroDivisionError"}]}}

A member `purify` of an `extra` is what `purify export` kept beside the plain step.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from purify.chat.made_ids import without_made
from purify.errors import RejectedRecordError
from purify.importing.checks import as_list, as_object, identifier, json_text, leftover, optional_string, string
from purify.importing.content import read_content
from purify.importing.formats.atif_terminal import find_call, split_screen
from purify.importing.formats.openai_turns import read_message, read_reply
from purify.importing.formats.responses_ids import Generation, read_generation
from purify.importing.turns import Reply, Turn
from purify_schemas import Call, Message, Observation, Segment, Step
from purify_schemas.carried import CARRIED
from purify_schemas.names import Boundary
from purify_schemas.rows import Row, TokenId

_ROLES = {"system": "system", "user": "user", "agent": "assistant"}
_SHOWN = ("message", "reasoning_content", "tool_calls", "observation")
_COUNTED = ("step_id", "source", *_SHOWN, "is_copied_context", "extra", "metrics")
_CALL = ("tool_call_id", "function_name", "arguments")
_RESULT = ("source_call_id", "content", "extra")
_IDS = ("prompt_token_ids", "completion_token_ids", "logprobs")
_OUR_CALL = frozenset({"status", "error_type", "status_source", "duration_s"})


class Kept(Row):
    """What export kept of a turn beside its step."""

    reasoning: str | None = None
    thinking_chars: int | None = None
    """Where it is not the length of `reasoning_content`."""
    action: str | None = None
    boundary: Boundary = "exact"
    extra: str | None = None
    tokens: tuple[int | None, int | None] | None = None
    """Ids of the reasoning and of the action."""
    with_logprobs: tuple[bool, bool] = (False, False)
    observation_token_ids: list[TokenId] | None = None


class AgentTurn(NamedTuple):
    """What the policy sampled in one step, with what came back."""

    turn: Turn
    generation: Generation | None
    kept: Kept


def source_of(step: Mapping[str, Any], path: str) -> str:
    """Raises `RejectedRecordError` if it is none of system, user and agent."""
    source = string(step, "source", path)
    if source not in _ROLES:
        raise RejectedRecordError(f"{path}.source is {source!r}, expected system, user or agent")
    return source


def is_turn(step: Mapping[str, Any], path: str) -> bool:
    """Whether the policy sampled this step: not copied from elsewhere, nor dispatched without a model."""
    sampled = step.get("is_copied_context") is not True and step.get("llm_call_count") != 0
    return source_of(step, path) == "agent" and sampled


def read_turn(step: Mapping[str, Any], path: str, *, calls_in_text: bool = False) -> AgentTurn:
    """A step of the agent's own. `calls_in_text` says that its agent lists no calls: it parses its model's text."""
    content = read_content({"content": step.get("message")}, path)
    thinking = optional_string(step, "reasoning_content", path) or ""
    calls, unread = _read_calls(step, path)
    kept, extra = _split(step, path)
    metrics = as_object(step.get("metrics") or {}, f"{path}.metrics")
    rest = leftover(step, _COUNTED)
    if content.order is not None or content.parts:
        rest["message"] = step["message"]
    if any(unread):
        rest["tool_calls"] = unread
    if told := leftover(metrics, _IDS):
        rest["metrics"] = told
    if extra:
        rest["extra"] = extra
    turn = Turn(
        reasoning=thinking + (content.text or "") if thinking else content.text,
        thinking_chars=len(thinking),
        calls=calls,
        extra=json_text(rest, path),
        replies=_read_results(step, path),
    )
    if calls:
        split_screen(turn)
    else:
        find_call(turn, calls_in_text=calls_in_text)
    several = type(count := step.get("llm_call_count")) is int and count > 1
    generation = None if several else _generation(metrics, f"{path}.metrics")
    return AgentTurn(turn, generation, Kept.model_validate(kept or {}))


def read_between(step: Mapping[str, Any], path: str) -> list[Reply]:
    """A step that is no turn of the policy's: its message, then what its calls or the system's operation gave back."""
    role = _ROLES[source_of(step, path)]
    told = leftover(step, _COUNTED)
    kept, extra = _split(step, path)
    if step.get("metrics"):
        told["metrics"] = step["metrics"]
    if step.get("is_copied_context") and role != "assistant":
        told["is_copied_context"] = step["is_copied_context"]
    if extra:
        told["extra"] = extra
    calls, unread = _read_calls(step, path)
    if any(unread):
        told["unread"] = unread
    shown = {"role": role, "content": step.get("message")}
    if calls:
        functions = [{"name": call.name, "arguments": call.arguments} for call in calls]
        shown["tool_calls"] = [
            {"id": call.id, "type": "function", "function": function}
            for call, function in zip(calls, functions, strict=True)
        ]
    message = _restored(read_message({**told, **shown}, path), kept)
    return [Reply(message), *(Reply(reply.message) for reply in _read_results(step, path))]


def restored(agent: AgentTurn, step: Step) -> Step:
    """The step as it was before `purify export`, but for its calls, which `Carried.onto` puts back and checks.

    `step` has the ids of the whole turn in its reasoning.
    """
    kept = agent.kept
    texts = (kept.reasoning if "reasoning" in kept.model_fields_set else step.reasoning.text, kept.action)
    sides = [Segment(text=text) for text in texts]
    ids, logprobs = step.reasoning.token_ids, step.reasoning.logprobs
    if ids is not None and kept.tokens is not None:
        at = 0
        for index, (length, known) in enumerate(zip(kept.tokens, kept.with_logprobs, strict=True)):
            end = at + (length or 0)
            values = logprobs[at:end] if logprobs is not None else [] if length == 0 else None
            told = {"token_ids": None if length is None else ids[at:end], "logprobs": values if known else None}
            sides[index] = Segment(text=texts[index], **told)
            at = end
    told_back = kept.observation_token_ids
    back = step.observation.token_ids if told_back is None else told_back
    messages = [reply.message for reply in agent.turn.replies]
    return step.model_copy(
        update={
            "reasoning": sides[0],
            "thinking_chars": step.thinking_chars if kept.thinking_chars is None else kept.thinking_chars,
            "action": sides[1],
            "boundary": kept.boundary,
            "extra": kept.extra,
            "observation": Observation(token_ids=back, messages=messages),
        }
    )


def _read_calls(step: Mapping[str, Any], path: str) -> tuple[list[Call], list[dict[str, Any]]]:
    """The calls of a step, and the members of each that are not understood."""
    calls, unread = [], []
    for index, item in enumerate(as_list(step.get("tool_calls") or [], f"{path}.tool_calls")):
        here = f"{path}.tool_calls[{index}]"
        call = as_object(item, here)
        arguments = call.get("arguments")
        text = arguments if isinstance(arguments, str) else json_text(as_object(arguments or {}, here), here) or "{}"
        calls.append(
            Call(
                id=identifier(call, "tool_call_id", here),
                name=optional_string(call, "function_name", here) or None,
                arguments=text,
            )
        )
        rest = leftover(call, _CALL)
        if isinstance(extra := rest.get("extra"), dict) and extra.keys() <= _OUR_CALL:
            del rest["extra"]
        unread.append(rest)
    return calls, unread


def _read_results(step: Mapping[str, Any], path: str) -> list[Reply]:
    observation = as_object(step.get("observation") or {}, f"{path}.observation")
    replies = []
    for index, item in enumerate(as_list(observation.get("results") or [], f"{path}.observation.results")):
        here = f"{path}.observation.results[{index}]"
        result = as_object(item, here)
        kept, extra = _split(result, here)
        shown = {"role": "tool", "content": result.get("content")}
        call_id = without_made(identifier(result, "source_call_id", here))
        flags = {**leftover(result, _RESULT), **extra}
        clashing = {
            name: flags.pop(name) for name in ("role", "content", "tool_call_id", "tool_calls") if name in flags
        }
        told = {**flags, **({"extra": clashing} if clashing else {})}
        reply = read_reply({**told, **shown, "tool_call_id": call_id}, here)
        replies.append(Reply(_restored(reply.message, kept), reply.results))
    return replies


def _split(owner: Mapping[str, Any], path: str) -> tuple[Mapping[str, Any] | None, dict[str, Any]]:
    """What export kept, and the rest of an `extra`."""
    extra = as_object(owner.get("extra") or {}, f"{path}.extra")
    kept = extra.get(CARRIED)
    return (kept if isinstance(kept, dict) else None), leftover(extra, {CARRIED})


def _restored(message: Message, kept: Mapping[str, Any] | None) -> Message:
    return message if kept is None else Message.model_validate({**dict(message), **kept})


def _generation(metrics: Mapping[str, Any], path: str) -> Generation | None:
    generation = read_generation(metrics, path, _IDS)
    extra = metrics.get("extra")
    if generation is not None and isinstance(extra, dict) and extra.get("logprobs_of") == "score":
        return Generation(generation.prompt, generation.sampled, None)
    return generation
