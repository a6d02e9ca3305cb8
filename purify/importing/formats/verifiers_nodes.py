"""The message graph of a verifiers trace: its paths, and what a path says.

    nodes   0 system  ->  1 user  ->  2 assistant (sampled)  ->  3 tool  ->  4 assistant (sampled)
                                  ->  5 assistant (sampled)
    paths   0 1 2 3 4  and  0 1 5

A node holds the ids it adds to the sequence; those of a sampled node begin with the template's, where the mask is
false. Log-probs are those of the masked ids alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from purify.errors import RejectedRecordError
from purify.importing.checks import as_list, as_object, json_text, leftover, number, string, token_ids, wrong
from purify.importing.formats.rollout_turns import read_message, read_reply, read_turn, with_extra
from purify.importing.masked import MaskedRun, masked_steps
from purify.importing.turns import Turn
from purify_schemas import Message

Node = Mapping[str, Any]

_NODE = ("parent", "tools", "message", "sampled", "token_ids", "mask", "logprobs")


class PathIds(NamedTuple):
    """The ids of a path, if there are any that fit its turns; else why not, and why log-probs were dropped."""

    prompt: list[int] | None
    runs: list[MaskedRun]
    notes: dict[str, str]


def paths(nodes: Sequence[Node], where: str) -> list[list[int]]:
    """Every path from a root to a leaf, as positions in `nodes`, in the order of the leaves."""
    parents: list[int | None] = []
    for index, node in enumerate(nodes):
        parent = node.get("parent")
        if parent is not None and (type(parent) is not int or not 0 <= parent < index):
            raise wrong(f"{where}.nodes[{index}].parent", parent, "null or the position of an earlier node")
        parents.append(parent)
    found: list[list[int]] = []
    for leaf in sorted(set(range(len(nodes))) - set(parents)):
        path: list[int] = []
        at: int | None = leaf
        while at is not None:
            path.append(at)
            at = parents[at]
        found.append(path[::-1])
    return found


def read_path(
    nodes: Sequence[Node], path: Sequence[int], calls: Mapping[int, Any], where: str
) -> tuple[list[Message], list[Turn]]:
    """The prompt and the turns of a path. `calls` are further members for the `extra` of a turn, by node."""
    prompt: list[Message] = []
    turns: list[Turn] = []
    for index in path:
        node, here = nodes[index], f"{where}.nodes[{index}]"
        message = as_object(node.get("message"), f"{here}.message")
        string(message, "role", f"{here}.message")
        rest = leftover(node, _NODE)
        if node.get("sampled") is True:
            turn = read_turn(_openai(message, f"{here}.message"), f"{here}.message")
            turn.extra = with_extra(turn.extra, {**rest, "call": calls.get(index)}, here)
            turns.append(turn)
            continue
        if not turns:
            read = read_message(message, f"{here}.message")
            prompt.append(read.model_copy(update={"extra": with_extra(read.extra, rest, here)}))
            continue
        reply = read_reply(message, f"{here}.message", len(turns[-1].calls))
        reply.message = reply.message.model_copy(update={"extra": with_extra(reply.message.extra, rest, here)})
        turns[-1].replies.append(reply)
    return prompt, turns


def read_ids(nodes: Sequence[Node], path: Sequence[int], where: str) -> PathIds:
    """The ids of a path. They fit where each sampled node ends in one run of the mask and no other node has one."""
    ids: list[int] = []
    mask: list[bool] = []
    logprobs: list[float | None] = []
    notes: dict[str, str] = {}
    for index in path:
        node, here = nodes[index], f"{where}.nodes[{index}]"
        mine = token_ids(node.get("token_ids"), f"{here}.token_ids")
        masked = as_list(node.get("mask") or [], f"{here}.mask")
        if len(masked) != len(mine) or not all(type(value) is bool for value in masked):
            raise RejectedRecordError(f"{here}.mask must be {len(mine)} booleans, one for each token id")
        sampled = sum(masked)
        if (node.get("sampled") is True) != bool(sampled) or not all(masked[len(mine) - sampled :]):
            notes.setdefault("token_ids_dropped", f"{here}: the mask does not mark one turn of the model")
        known = as_list(node.get("logprobs") or [], f"{here}.logprobs")
        values = [number(value) for value in known]
        if known and (len(known) != sampled or None in values):
            values = []
            notes.setdefault("logprobs_dropped", f"{here}: {len(known)} log-probs for {sampled} sampled ids")
        ids += mine
        mask += masked
        logprobs += [None] * (len(mine) - sampled) + (values or [None] * sampled)
    if not ids:
        return PathIds(None, [], {})
    if "token_ids_dropped" in notes:
        return PathIds(None, [], notes)
    prompt, runs = masked_steps(ids, mask, logprobs)
    turns = sum(nodes[index].get("sampled") is True for index in path)
    if len(runs) != turns:
        notes["token_ids_dropped"] = f"{where}: {len(runs)} runs of the mask for {turns} turns of the model"
        return PathIds(None, [], notes)
    return PathIds(prompt, runs, notes)


def _openai(message: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The message with the free-text input of custom tools as JSON arguments; all else is OpenAI's already."""
    calls = message.get("tool_calls")
    if not isinstance(calls, list):
        return dict(message)
    return {**message, "tool_calls": [_as_function(call, where) for call in calls]}


def _as_function(call: Any, where: str) -> Any:
    if not isinstance(call, dict) or call.get("type") != "custom" or not isinstance(call.get("arguments"), str):
        return call
    return {**call, "arguments": json_text({"input": call["arguments"]}, where)}
