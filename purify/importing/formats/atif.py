"""Importer `atif`: Agent Trajectory Interchange Format v1.0 to v1.8, as Harbor and many agents write it.

A record is one trajectory document. Steps of the agent are turns, unless they were copied from elsewhere
(`is_copied_context`) or dispatched without a model (`llm_call_count` 0): those are context, as are the steps of user
and system. Token ids (v1.3, v1.4) are used where every turn has them and each prompt extends the turn before.
Trajectories of sub-agents that are embedded (v1.7) become rows of their own, each a task of its own; `subagent_of` in
their `extra` names the document they belong to. References to them stay with the result that holds them.

An agent that lists no calls in any step may write them into its message (`<function=...>`, OpenHands without function
calling): those that were answered are taken from there. A turn that Terminus 2 could not parse lists none either; it is
a malformed call.

A later version is refused: some versions added how to tell context from turns (`is_copied_context`, `llm_call_count`),
and read as an older one, such a document would give turns that no model sampled.

A document that `purify export --to atif` wrote comes back as it was, up to the losses that export names.

Field names: rfcs/0001-trajectory-format.md of harbor-framework/harbor, and the models of the package atif 1.8.0.

    purify import jobs/ -o rollouts/ --format atif
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from purify.errors import RejectedRecordError
from purify.importing.base import Record, RecordContext
from purify.importing.checks import as_list, as_object, json_text, leftover, number, optional_string, string
from purify.importing.formats.atif_steps import AgentTurn, is_turn, read_between, read_turn, restored
from purify.importing.formats.responses_ids import with_ids
from purify.importing.record_fields import SAMPLE, record_fields, tool_definitions
from purify.importing.turns import build_steps, tool_states
from purify_schemas import Message, Segment, Step, Trajectory
from purify_schemas.carried import CARRIED, OWN_COLUMNS

VERSION = "ATIF-v1."
NEWEST = 8

_ROOT = frozenset({"schema_version", "agent", "steps", "extra", "subagent_trajectories"})
_OURS = ("trajectory_id", "final_metrics")
"""What export writes there anew, with the agent's version."""
_AGENT = ("name", "model_name", "tool_definitions")


class Atif:
    """See the module's docstring."""

    name = "atif"
    default_rules = "tool"

    def recognise(self, record: Record) -> str | None:
        version = record.get("schema_version")
        if (
            not isinstance(version, str)
            or not version.startswith("ATIF-v")
            or not isinstance(record.get("steps"), list)
        ):
            return None
        return f"schema_version {version}"

    def read(self, record: Record, context: RecordContext) -> list[Trajectory]:
        string(record, "schema_version", "the document")
        return _rows(record, context, "", 0)


def _rows(
    document: Record, context: RecordContext, path: str, sample: int, parent: str | None = None
) -> list[Trajectory]:
    """The row of a document, if it has a turn of its own, and those of the sub-agents embedded in it."""
    _check_version(document, path)
    listed = as_list(document.get("subagent_trajectories") or [], f"{path}subagent_trajectories")
    row = _row(document, context, path, sample, parent)
    rows = [] if row is None else [row]
    name = document.get("trajectory_id") or document.get("session_id")
    for index, item in enumerate(listed):
        here = f"{path}subagent_trajectories[{index}]"
        above = name if isinstance(name, str) else f"{context.file}#{context.row}"
        rows += _rows(as_object(item, here), context, f"{here}.", sample + len(rows) + (row is None), above)
    if not rows:
        raise RejectedRecordError(f"{path}steps has no step of the agent's own")
    return rows


def _check_version(document: Record, path: str) -> None:
    version = document.get("schema_version", f"{VERSION}0")
    found = re.fullmatch(rf"{re.escape(VERSION)}(\d{{1,3}})", version) if isinstance(version, str) else None
    if found is None or int(found[1]) > NEWEST:
        known = f"this importer reads {VERSION}0 to {VERSION}{NEWEST}"
        raise RejectedRecordError(f"{path}schema_version is {version!r}, {known}")


def _row(document: Record, context: RecordContext, path: str, sample: int, parent: str | None) -> Trajectory | None:
    prompt: list[Message] = []
    turns: list[AgentTurn] = []
    extra = as_object(document.get("extra") or {}, f"{path}extra")
    ours = isinstance(extra.get(CARRIED), dict)
    steps_given = [
        as_object(item, f"{path}steps[{i}]") for i, item in enumerate(as_list(document.get("steps"), f"{path}steps"))
    ]
    calls_in_text = not ours and not any(step.get("tool_calls") for step in steps_given)
    for index, step in enumerate(steps_given):
        here = f"{path}steps[{index}]"
        if is_turn(step, here):
            turns.append(read_turn(step, here, calls_in_text=calls_in_text))
        elif turns:
            turns[-1].turn.replies.extend(read_between(step, here))
        else:
            prompt += [reply.message for reply in read_between(step, here)]
    if not turns:
        return None
    generations = [agent.generation for agent in turns]
    if ours:
        steps, ids, notes = with_ids([_plain(agent) for agent in turns], generations)
        steps = [restored(agent, step) for agent, step in zip(turns, steps, strict=True)]
    else:
        steps, ids, notes = with_ids(build_steps([agent.turn for agent in turns], context), generations)
    fields = _fields(document, extra, path, notes, parent, sample)
    return context.trajectory(
        record=document,
        messages=prompt,
        steps=steps,
        sample=sample,
        tool_states=tool_states(steps),
        prompt_token_ids=ids,
        **fields,
    )


def _plain(agent: AgentTurn) -> Step:
    return Step(reasoning=Segment(text=agent.turn.reasoning), thinking_chars=agent.turn.thinking_chars)


def _fields(
    document: Record, extra: Mapping[str, Any], path: str, notes: Mapping[str, str], parent: str | None, sample: int
) -> dict[str, Any]:
    """Everything about the row that is not in its steps; what is not understood goes to `extra`."""
    agent = as_object(document.get("agent") or {}, f"{path}agent")
    ours = isinstance(extra.get(CARRIED), dict)
    used = {*OWN_COLUMNS, "task_id", "provenance", "tools"} if ours else set()
    # A sub-agent's sample number is its parent's, as two rows with one task and number would be one.
    fields = record_fields(extra, used=used, format_name="atif", unread=SAMPLE if parent is not None else ())
    model = optional_string(agent, "model_name", f"{path}agent")
    framework = optional_string(agent, "name", f"{path}agent")
    source = fields["source"]
    options = agent.get("extra")  # Terminus 2 tells its temperature there
    told = number(options.get("temperature")) if isinstance(options, dict) and not ours else None
    fields["source"] = source.model_copy(
        update={
            "framework": framework or source.framework,
            "model": model or source.model,
            "temperature": source.temperature if told is None else told,
        }
    )
    defined = agent.get("tool_definitions")
    if ours:
        fields["tools"] = optional_string(extra, "tools", f"{path}extra") or json_text(defined, f"{path}agent")
    elif fields["tools"] is None:
        fields["tools"] = tool_definitions(defined)
    rest = leftover(document, {*_ROOT, *_OURS} if ours else _ROOT)
    if unread := leftover(agent, (*_AGENT, "version") if ours else _AGENT):
        rest["agent"] = unread
    if fields["extra"] is not None:
        rest["extra"] = json.loads(fields["extra"])
    if parent is not None:
        name = document.get("trajectory_id")
        rest["subagent_of"] = parent
        # Its reward, if it has one, is of another task than its parent's.
        fields["task_id"] = fields["task_id"] or f"{parent}/{name if isinstance(name, str) else sample}"
    fields["extra"] = json_text({**rest, **notes}, f"{path}the document")
    return fields
