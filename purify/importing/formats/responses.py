"""Importer `responses`: OpenAI Responses API rollouts as NeMo-Gym writes them, with token ids where it kept them.

A record holds the request (`responses_create_params`), the `response` whose `output` lists every item of the rollout,
and what the resources server's `verify` added (nemo_gym/openai_utils.py and nemo_gym/base_resources_server.py of
NVIDIA-NeMo/Gym; `_ng_*` keys: nemo_gym/rollout_collection.py).

    purify import example_rollouts.jsonl -o rollouts/ --format responses
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from purify.importing.base import Record, RecordContext
from purify.importing.checks import as_list, as_object, json_text, leftover, number, optional_string, wrong
from purify.importing.formats.responses_ids import with_ids
from purify.importing.formats.responses_items import read_output, read_prompt
from purify.importing.turns import build_steps
from purify_schemas import Message, Source, Step, Trajectory
from purify_schemas.names import FinishReason

SAMPLING = ("temperature", "top_p", "max_output_tokens", "reasoning")


class Responses:
    """Reads NeMo-Gym's rollouts."""

    name = "responses"
    default_rules = "tool"

    def recognise(self, record: Record) -> str | None:
        asked, response = record.get("responses_create_params"), record.get("response")
        if not isinstance(asked, Mapping) or not isinstance(response, Mapping):
            return None
        return "has responses_create_params and response.output" if isinstance(response.get("output"), list) else None

    def read(self, record: Record, context: RecordContext) -> list[Trajectory]:
        asked = as_object(record.get("responses_create_params"), "responses_create_params")
        response = as_object(record.get("response"), "response")
        return [_row(record, asked, response, context)]


def _row(record: Record, asked: Mapping[str, Any], response: Mapping[str, Any], context: RecordContext) -> Trajectory:
    turns, generations = read_output(as_list(response.get("output"), "response.output"), "response.output")
    steps, ids, notes = with_ids(build_steps(turns, context), generations)
    messages = read_prompt(asked.get("input", []), "responses_create_params.input")
    if (instructions := optional_string(asked, "instructions", "responses_create_params")) is not None:
        messages.insert(0, Message(role="system", content=instructions))
    tools = as_list(asked.get("tools") or response.get("tools") or [], "tools")
    names = {name for tool in tools if isinstance(tool, Mapping) and isinstance(name := tool.get("name"), str)}
    names |= {call.name for step in steps for call in step.calls if call.name is not None}
    # A request may leave these to the server, whose response then tells them.
    sampled = {key: asked.get(key) if asked.get(key) is not None else response.get(key) for key in SAMPLING}
    return context.trajectory(
        record=record,
        messages=messages,
        source=Source(
            framework="NeMo-Gym",
            format="responses",
            model=optional_string(response, "model", "response") or optional_string(asked, "model", "request"),
            temperature=_number(sampled.pop("temperature"), "temperature"),
            sampling=json_text({key: value for key, value in sampled.items() if value is not None}, "sampling"),
        ),
        task_id=_task(record, asked),
        sample_index=_index(record.get("_ng_rollout_index"), "_ng_rollout_index"),
        tool_states=dict.fromkeys(names, "unknown"),
        tools=json_text([_nested(tool) for tool in tools], "tools"),
        prompt_token_ids=ids,
        steps=steps,
        answer=_text(_found(record, response, "extracted_answer"), "extracted_answer"),
        reference=_text(_found(record, response, "expected_answer"), "expected_answer"),
        reward=_number(record.get("reward"), "reward"),
        finish_reason=_finish(record, response, steps),
        extra=json_text(_extra(record, asked, response) | notes, "the record"),
    )


def _task(record: Record, asked: Mapping[str, Any]) -> str | None:
    """The most telling name; `_ng_task_index` is only the position in the file of tasks."""
    metadata = asked.get("metadata")
    if isinstance(metadata, Mapping) and isinstance(instance := metadata.get("instance_id"), str):
        return instance
    if record.get("problem_id") is not None:
        keys = ("competition_id", "problem_id", "subtask")
        return "/".join(_text(record[key], key) or "" for key in keys if record.get(key) is not None)
    return _text(record.get("id", record.get("_ng_task_index")), "id")


def _finish(record: Record, response: Mapping[str, Any], steps: Sequence[Step]) -> FinishReason:
    details = response.get("incomplete_details")
    reason = details.get("reason") if isinstance(details, Mapping) else None
    if reason is not None or response.get("status") == "incomplete":
        return "length" if reason == "max_output_tokens" else "unknown"
    if response.get("error") or response.get("status") == "failed" or record.get("agent_timed_out") is True:
        return "error"
    if record.get("finished_naturally") is False:
        return "unknown"  # out of turns, or an engine that failed
    # An agent loop goes on while the model calls tools, so a last turn without a call ended by itself.
    return "stop" if steps and not steps[-1].calls and not steps[-1].observation.messages else "unknown"


def _found(record: Record, response: Mapping[str, Any], key: str) -> object:
    delegated = record.get("delegated_response")
    places = (record, response, delegated if isinstance(delegated, Mapping) else {})
    return next((place[key] for place in places if place.get(key) is not None), None)


def _extra(record: Record, asked: Mapping[str, Any], response: Mapping[str, Any]) -> dict[str, Any]:
    """Everything not read. The response repeats most of the request, and both spell out what is null."""
    taken = {"responses_create_params", "response", "reward", "extracted_answer", "expected_answer"}
    request = leftover(asked, {"input", "instructions", "tools", *SAMPLING})
    told = {"output", "model", *(key for key in SAMPLING if asked.get(key) is None)}
    told |= {key for key in ("extracted_answer", "expected_answer") if record.get(key) is None}
    answer = {key: value for key, value in leftover(response, told).items() if asked.get(key) != value}
    kept = {"responses_create_params": request, "response": answer}
    kept = {name: {k: v for k, v in part.items() if v is not None} for name, part in kept.items()}
    return leftover(record, taken | {"_ng_rollout_index"}) | {name: part for name, part in kept.items() if part}


def _nested(tool: object) -> object:
    """A function tool in the shape that chat templates read; other tools stay as they are."""
    if not isinstance(tool, Mapping) or tool.get("type") != "function" or "function" in tool:
        return tool
    return {"type": "function", "function": leftover(tool, {"type"})}


def _text(value: object, path: str) -> str | None:
    return value if value is None or isinstance(value, str) else json_text(value, path)


def _number(value: object, path: str) -> float | None:
    if value is None or (read := number(value)) is not None:
        return None if value is None else read
    raise wrong(path, value, "a finite number or null")


def _index(value: object, path: str) -> int | None:
    if value is None:
        return None
    if type(value) is int and 0 <= value < 2**31:
        return value
    raise wrong(path, value, "a position or null")
