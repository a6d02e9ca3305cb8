"""Small NeMo-Gym rollouts, item by item."""

from __future__ import annotations

from typing import Any

from purify.failures import Rules
from purify.importing.base import RecordContext
from purify.importing.formats.responses import Responses
from purify_schemas import Call, Message, Trajectory

CONTEXT = RecordContext("rollouts.jsonl", 2, Rules.load("tool"))
OK: dict[str, Any] = {"status": "ok", "status_source": "no_rule"}
NO_RESULT: dict[str, Any] = {"status": "unknown", "status_source": "no_result"}


def read(record: dict[str, Any]) -> Trajectory:
    (row,) = Responses().read(record, CONTEXT)
    return row


def rollout(*items: dict[str, Any], **record: Any) -> dict[str, Any]:
    return {"responses_create_params": {"input": "1 + 1?"}, "response": {"output": list(items)}, **record}


def think(*texts: str, **item: Any) -> dict[str, Any]:
    return {"type": "reasoning", "summary": [{"type": "summary_text", "text": text} for text in texts], **item}


def say(text: str, **item: Any) -> dict[str, Any]:
    parts: list[dict[str, Any]] = [{"type": "output_text", "text": text, "annotations": [], "logprobs": None}]
    return {"type": "message", "role": "assistant", "status": "completed", "content": parts, **item}


def act(call_id: str, arguments: str = '{"code": "1"}', name: str = "execute_python", **item: Any) -> dict[str, Any]:
    return {"type": "function_call", "call_id": call_id, "id": call_id, "name": name, "arguments": arguments, **item}


def back(call_id: str, output: Any = "2", **item: Any) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": output, "status": None, **item}


def ids(prompt: list[int], sampled: list[int], logprobs: list[Any] | None = None) -> dict[str, Any]:
    logprobs = [-token / 8 for token in sampled] if logprobs is None else logprobs
    return {"prompt_token_ids": prompt, "generation_token_ids": sampled, "generation_log_probs": logprobs}


def called(call_id: str, arguments: str = '{"code": "1"}', name: str = "execute_python", **outcome: Any) -> Call:
    return Call(id=call_id, name=name, arguments=arguments, **(outcome or OK))


def result(call_id: str, text: str | None = "2") -> Message:
    return Message(role="tool", content=text, call_id=call_id)
