"""Importer `sts`: sessions in the Session Trace Simple Format of the Hugging Face Hub, one file a session.

A file is a header and a message a line (`sessions.py` makes one record of them). The harness is the framework, the
model that all turns name is the model; the session's own id names no task, since the same task may be tried in many
sessions. Pi's own sessions, which the Hub shows too, keep calls in their content and are refused.

llama.app keeps every answer that was asked for again: each way through the tree of its messages becomes a row
(`sts_tree.py`). Ways without an answer are kept in the first row's `extra`.

A session that `purify export --to sts` wrote comes back as it was, up to the losses that export names.

Field names: huggingface.co/docs/hub/session-traces-format.

    purify import sessions/data -o rollouts/ --format sts
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from purify.chat.made_ids import without_made
from purify.errors import RejectedRecordError, first_problem
from purify.importing.base import Record, RecordContext
from purify.importing.checks import as_list, as_object, identifier, json_text, leftover, optional_string, string
from purify.importing.formats.openai_turns import read_reply
from purify.importing.formats.rollout_turns import with_extra
from purify.importing.formats.sts_tree import ways_through
from purify.importing.record_fields import record_fields
from purify.importing.sessions import is_header
from purify.importing.turns import Reply, Turn, build_steps, tool_states
from purify_schemas import Call, Message, Observation, Segment, Step, Trajectory
from purify_schemas.carried import CARRIED, Carried, carried_by

ROLES = ("user", "assistant", "system", "tool")

_HEADER = frozenset({"type", "harness", CARRIED})
_OURS = frozenset({"name", "metadata"})
_METADATA = frozenset({"tools", "not_sampled", "edits"})
_TURN = ("role", "content", "reasoningContent", "toolCalls", "toolCallId")
_CALL = ("id", "function", "type")
_LINE = ("type", "message")


class Sts:
    """See the module's docstring."""

    name = "sts"
    default_rules = "tool"

    def recognise(self, record: Record) -> str | None:
        lines = record.get("lines")
        if not isinstance(lines, list) or not lines or not all(isinstance(line, dict) for line in lines):
            return None
        return f"session of the harness {lines[0]['harness']}" if is_header(lines[0]) else None

    def read(self, record: Record, context: RecordContext) -> list[Trajectory]:
        lines = as_list(record.get("lines"), "lines")
        if not lines or not is_header(header := as_object(lines[0], "line 1")):
            raise RejectedRecordError("line 1 is no session header with a harness")
        member = _json_member(header, CARRIED)
        try:
            told = carried_by({CARRIED: member})
        except ValidationError as error:
            reason = f"{first_problem(error)}; remove this member if the header was changed"
            raise RejectedRecordError(f"line 1.{CARRIED}: {reason}") from None
        metadata = {} if told is None else _json_member(header, "metadata") or {}
        ways = [list(range(1, len(lines)))] if told is not None else ways_through(lines)
        unanswered: list[list[Any]] = []
        rows: list[Trajectory] = []
        for way in ways:
            mine = [lines[at] for at in way]
            prompt, turns = _conversation(mine, way, told)
            if not turns:
                unanswered.append([line["message"] for line in mine])
                continue
            steps = build_steps(turns, context) if told is None else [_plain(turn) for turn in turns]
            fields = _fields(header, metadata, _model(mine), ours=told is not None)
            shown = {
                CARRIED: member,
                "messages": [line["message"] for line in mine],
                "trajectory_id": header.get("id"),
                "task_id": metadata.get("task_id"),
            }
            states = tool_states(steps)
            rows.append(
                context.trajectory(
                    record=shown, messages=prompt, steps=steps, sample=len(rows), tool_states=states, **fields
                )
            )
        if not rows:
            raise RejectedRecordError("no message has the role assistant")
        extra = with_extra(rows[0].extra, {"unanswered": unanswered}, "line 1")
        return [rows[0].model_copy(update={"extra": extra}), *rows[1:]]


def _json_member(header: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    """A member of our own header, which is JSON text; None if it is not there (or another harness's)."""
    text = header.get(name)
    if not isinstance(text, str):
        return None
    try:
        return as_object(json.loads(text), f"line 1.{name}")
    except (ValueError, RecursionError):
        raise RejectedRecordError(f"line 1.{name} is not JSON; remove it if the header was changed") from None


def _conversation(lines: list[Any], way: Sequence[int], told: Carried | None) -> tuple[list[Message], list[Turn]]:
    """The prompt, and the turns with what came back. `way` are the positions of these lines in the file."""
    not_sampled = () if told is None else told.not_sampled
    real = () if told is None else {call.id for calls in told.calls for call in calls if call.id is not None}
    prompt: list[Message] = []
    turns: list[Turn] = []
    for position, item in enumerate(lines):
        here = f"line {way[position] + 1}"
        line = as_object(item, here)
        if string(line, "type", here) != "message":
            raise RejectedRecordError(f"{here}.type is {line['type']!r}, expected 'message'")
        path = f"{here}.message"
        message = as_object(line.get("message"), path)
        role = string(message, "role", path)
        if role not in ROLES:
            raise RejectedRecordError(f"{path}.role is {role!r}, expected one of: {', '.join(ROLES)}")
        string(message, "content", path)
        if role == "assistant" and position not in not_sampled:
            turns.append(_turn(message, path))
            turns[-1].extra = _with_line(turns[-1].extra, line, here)
            continue
        reply = _reply(message, path, real)
        reply.message = reply.message.model_copy(update={"extra": _with_line(reply.message.extra, line, here)})
        if turns:
            turns[-1].replies.append(reply)
        else:
            prompt.append(reply.message)
    return prompt, turns


def _with_line(extra: str | None, line: Mapping[str, Any], path: str) -> str | None:
    """What a line tells beside its message, as a member `line`: both may have a `timestamp`."""
    told = leftover(line, _LINE)
    return with_extra(extra, {"line": told}, path) if told else extra


def _turn(message: Mapping[str, Any], path: str) -> Turn:
    thinking = optional_string(message, "reasoningContent", path) or ""
    calls, unread = [], []
    for index, item in enumerate(as_list(message.get("toolCalls") or [], f"{path}.toolCalls")):
        here = f"{path}.toolCalls[{index}]"
        call = as_object(item, here)
        function = as_object(call.get("function"), f"{here}.function")
        name = optional_string(function, "name", f"{here}.function") or None
        arguments = optional_string(function, "arguments", f"{here}.function")
        calls.append(Call(id=identifier(call, "id", here), name=name, arguments=arguments))
        unread.append(leftover(call, _CALL))
    rest = leftover(message, _TURN)
    if any(unread):
        rest["toolCalls"] = unread
    return Turn(
        reasoning=thinking + message["content"], thinking_chars=len(thinking), calls=calls, extra=json_text(rest, path)
    )


def _reply(message: Mapping[str, Any], path: str, real: Collection[str]) -> Reply:
    """A message that the policy did not sample. Calls in one get the names that OpenAI gives them.

    `real` are the ids of calls that are none of those made by export.
    """
    call_id = without_made(identifier(message, "toolCallId", path), real)
    shown = {"role": message["role"], "content": message["content"], "tool_call_id": call_id}
    if calls := message.get("toolCalls"):
        shown["tool_calls"] = [
            {"type": "function", **as_object(call, f"{path}.toolCalls")} for call in as_list(calls, f"{path}.toolCalls")
        ]
    if "reasoningContent" in message:
        shown["reasoning_content"] = message["reasoningContent"]
    return read_reply({**leftover(message, (*_TURN, "name", "tool_calls", "tool_call_id")), **shown}, path)


def _plain(turn: Turn) -> Step:
    """A step of our own session; its calls are put back by `Carried.onto`."""
    messages = [reply.message for reply in turn.replies]
    added = leftover(json.loads(turn.extra or "{}"), {"model"})
    return Step(
        reasoning=Segment(text=turn.reasoning),
        thinking_chars=turn.thinking_chars,
        observation=Observation(messages=messages),
        extra=json_text(added, "the turn"),
    )


def _fields(header: Mapping[str, Any], metadata: Mapping[str, Any], model: str | None, *, ours: bool) -> dict[str, Any]:
    """Everything about the row that its messages do not say."""
    rest = {"id": header["id"]} if "id" in header else {}
    used = {*_HEADER, "id"}
    if ours:
        rest = leftover(header, used | _OURS)
        used |= _METADATA
    fields = record_fields(metadata if ours else header, used=used, format_name="sts")
    fields["source"] = fields["source"].model_copy(
        update={"framework": header["harness"], "model": model or fields["source"].model}
    )
    if ours:
        fields["tools"] = optional_string(metadata, "tools", "line 1.metadata")
    fields["extra"] = json_text({**rest, **json.loads(fields["extra"] or "{}")}, "line 1")
    return fields


def _model(lines: list[Any]) -> str | None:
    """The model that all turns name, if they name one."""
    messages = [line["message"] for line in lines if line["message"]["role"] == "assistant"]
    named = [message.get("model") for message in messages]
    return named[0] if isinstance(named[0], str) and named.count(named[0]) == len(named) else None
