"""Small verifiers episodes, node by node, in the shape that verifiers 0.4 writes."""

from __future__ import annotations

from typing import Any

from purify.failures import Rules
from purify.importing.base import RecordContext
from purify.importing.formats.verifiers import Verifiers
from purify_schemas import Call, Message, Trajectory

CONTEXT = RecordContext("traces.jsonl", 2, Rules.load("tool"))
ARGUMENTS = '{"code": "1/0"}'
FAILED = Call(
    id="c1",
    name="python",
    arguments=ARGUMENTS,
    status="error",
    error_type="ZeroDivisionError",
    status_source="rule:exceptions/exception",
)
RESULT = Message(role="tool", content="ZeroDivisionError: division by zero", call_id="c1")
"""What the failed call of these records becomes, and what came back."""


def read(record: dict[str, Any]) -> list[Trajectory]:
    return Verifiers().read(record, CONTEXT)


def node(parent: int | None, role: str, content: Any, ids: list[int] | None = None, **more: Any) -> dict[str, Any]:
    """A node that no model sampled. As on disk, a root has no `parent`."""
    ids = ids or []
    made: dict[str, Any] = {"semantic_parents": [], "message": {"role": role, "content": content}, "sampled": False}
    made |= {"token_ids": ids, "mask": [False] * len(ids), "is_content": [], "logprobs": []}
    return made | ({} if parent is None else {"parent": parent}) | more


def turn(parent: int, content: str | None, scaffold: list[int], sampled: list[int], **message: Any) -> dict[str, Any]:
    """A sampled node. Its log-probs are minus an eighth of the id."""
    made = node(parent, "assistant", content, scaffold + sampled, sampled=True)
    made["message"] |= message
    made["mask"] = [False] * len(scaffold) + [True] * len(sampled)
    made["logprobs"] = [-token / 8 for token in sampled]
    return made


def call(call_id: str, arguments: str = ARGUMENTS, **more: Any) -> dict[str, Any]:
    return {"id": call_id, "type": "function", "name": "python", "arguments": arguments, **more}


def back(parent: int, call_id: str, content: str, ids: list[int]) -> dict[str, Any]:
    made = node(parent, "tool", content, ids)
    made["message"]["tool_call_id"] = call_id
    return made


def trace(*nodes: dict[str, Any], **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"version": 1, "id": "t", "task": {"type": "Add", "data": {"idx": 3, "id": "add-3"}}}
    made |= {"agent": {"config": {"model": "m"}, "name": "solver", "trainable": True}, "nodes": list(nodes)}
    return made | {"calls": [], "rewards": {}, "metrics": {}, "errors": [], "ok": True} | more


def episode(*traces: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": "e", "env": {"id": "sums"}, "task": traces[0]["task"], "ok": True, "traces": list(traces), **more}


def graph() -> list[dict[str, Any]]:
    """Two answers to one question, the first of which goes on after a failed call."""
    return [
        node(None, "system", "Be brief.", [1, 2]),
        node(0, "user", "1 + 1?", [3]),
        turn(1, "I see.", [4], [5, 6], reasoning_content="hm", tool_calls=[call("c1")]),
        back(2, "c1", "ZeroDivisionError: division by zero", [7]),
        turn(3, "2", [8], [9]),
        turn(1, "3", [4], [10]),
    ]
