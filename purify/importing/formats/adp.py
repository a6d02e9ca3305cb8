"""Importer `adp`: trajectories of agent-data-protocol, standardised (`*_std.json`).

`content` lists actions and observations. An action is a turn; what follows a tool action is its result, whatever its
`source` says (older samples call it `user`). Tool actions in a row that carry call ids and wait for their results are
one turn with parallel calls. `description`, the thought of an action, is the reasoning, after `reasoning_content`.

An `api_action` calls `function`; its `kwargs` are an object, or in some data sets the text of a Python dict. A
`code_action` calls a tool named after its language with the argument `code`. Rewards of single actions and observations
stay with their step. Everything in `details` is read as if it stood in the record itself.

Field names: schema/SCHEMA.md, schema/trajectory.py, schema/action/ and schema/observation/ of
neulab/agent-data-protocol; commands of SWE-agent, whose runs are among the data sets: config/commands (later tools) of
SWE-agent/SWE-agent. The `*_sft.json` files are conversations, which `sharegpt` reads.

    purify import sample_std.json -o rollouts/ --format adp
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from purify.errors import RejectedRecordError
from purify.importing.base import Record, RecordContext
from purify.importing.checks import as_list, as_object, leftover, string
from purify.importing.enclosed import enclosed
from purify.importing.formats.adp_items import ACTIONS, ITEMS, read_action, read_observation
from purify.importing.record_fields import record_fields
from purify.importing.turns import Turn, build_steps, tool_states
from purify_schemas import Message, Trajectory

_FINISH = re.compile(r"\s*<finish>(.*?)</finish>\s*", re.DOTALL)
# Shells, and SWE-agent's commands: what they open, scroll, edit and submit are files and the editor's place in them.
_EXTERNAL = frozenset(
    {
        *("bash", "sh", "shell", "console", "commandline", "powershell", "cmd", "bat"),
        *("open", "goto", "scroll_up", "scroll_down", "create", "edit", "submit"),
        *("search_dir", "search_file", "find_file"),
    }
)


class AgentDataProtocol:
    """See the module's docstring."""

    name = "adp"
    default_rules = "adp"

    def recognise(self, record: Record) -> str | None:
        content = record.get("content")
        if "id" not in record or not isinstance(content, list) or not content:
            return None
        classes = [item.get("class_") if isinstance(item, dict) else None for item in content]
        known = all(isinstance(name, str) and name in ITEMS for name in classes)
        return "content of actions and observations with class_" if known else None

    def read(self, record: Record, context: RecordContext) -> list[Trajectory]:
        items = as_list(record.get("content"), "content")
        prompt, turns = _conversation(items)
        if not turns:
            raise RejectedRecordError("content has no action")
        flat = _flat(record)
        answer, finished = _answer(items[-1])
        if isinstance(flat.get("generated_patch"), str):  # of coding agents; their last words are no answer
            answer = flat.pop("generated_patch")
        fields = record_fields(flat, used=(), format_name=self.name, framework="agent-data-protocol")
        if fields["answer"] is None:
            fields["answer"] = answer
        if finished and fields["finish_reason"] == "unknown":
            fields["finish_reason"] = "stop"
        steps = build_steps(turns, context)
        states = {name: "external" if name in _EXTERNAL else state for name, state in tool_states(steps).items()}
        return [context.trajectory(record=record, messages=prompt, steps=steps, tool_states=states, **fields)]


def _conversation(items: Sequence[object]) -> tuple[list[Message], list[Turn]]:
    prompt: list[Message] = []
    turns: list[Turn] = []
    for index, value in enumerate(items):
        path = f"content[{index}]"
        item = as_object(value, path)
        kind = string(item, "class_", path)
        if kind in ACTIONS:
            turn = read_action(item, kind, path)
            if turns and _parallel(turns[-1], turn):
                turns[-1] = _joined(turns[-1], turn)
            else:
                turns.append(turn)
        elif kind not in ITEMS:
            raise RejectedRecordError(f"{path}.class_ {kind!r} is no action or observation of agent-data-protocol")
        elif turns:
            answered = sum(len(reply.results) for reply in turns[-1].replies)
            turns[-1].replies.append(read_observation(item, kind, path, answers=answered < len(turns[-1].calls)))
        else:
            prompt.append(read_observation(item, kind, path, answers=False).message)
    return prompt, turns


def _parallel(before: Turn, turn: Turn) -> bool:
    """Whether a call follows one that has an id and no result yet: both were made in one turn."""
    linked = all(one.calls and one.calls[-1].id is not None for one in (before, turn))
    return linked and not before.replies


def _joined(before: Turn, turn: Turn) -> Turn:
    texts = [text for text in (before.reasoning, turn.reasoning) if text]
    extras = [extra for extra in (before.extra, turn.extra) if extra]
    return Turn(
        reasoning="\n\n".join(texts) if texts else before.reasoning,
        thinking_chars=before.thinking_chars,
        calls=[*before.calls, *turn.calls],
        extra=f"[{','.join(extras)}]" if extras else None,
    )


def _flat(record: Record) -> dict[str, Any]:
    """The record's fields and those of its details side by side; a detail of the same name stays in `details`."""
    details = as_object(record.get("details") or {}, "details")
    own = leftover(record, ("content", "details"))
    twice = {key: value for key, value in details.items() if key in own}
    return {**details, **own, **({"details": twice} if twice else {})}


def _answer(last: Mapping[str, Any]) -> tuple[str | None, bool]:
    """What a closing message says: the solution in it, else all of it; and whether it says that the agent is done."""
    content = last.get("content")
    if last.get("class_") != "message_action" or not isinstance(content, str):
        return None, False
    finish = _FINISH.fullmatch(content)
    said = finish[1] if finish else content
    solution = next((text for _, _, text in enclosed(said, "<solution>", "</solution>")), said)
    return solution.strip(), finish is not None
