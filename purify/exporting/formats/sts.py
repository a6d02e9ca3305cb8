"""Exporter `sts`: a session file for each trajectory, as the trace viewer of the Hugging Face Hub opens them.

    {"type": "session", "harness": "purify", "id": "t0", "name": "What is 6 times 7?", "metadata": "{...}"}
    {"type": "message", "message": {"role": "assistant", "content": "", "toolCalls": [...], "model": "m"}}

The header may hold anything more, and the viewer ignores it. Here that is JSON text: `metadata` (the reward, the tools,
the edits of a purified row, the positions of assistant messages that the model did not sample) and `purify`, which
`purify import` needs. `datasets.load_dataset` takes such files for sessions of the agent Pi,
wants the package teich for them, and drops their calls: read them with `parse_agent_traces=False`.

Field names: huggingface.co/docs/hub/session-traces-format.

    purify export purified/ -o sessions/ --to sts
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from purify.chat.made_ids import made_id
from purify.exporting.base import Layout, RowData, Tally, json_leaf
from purify.exporting.calls import ChatCall
from purify.exporting.chat import LOSSES, losses_of, prompt_messages, step_messages
from purify.exporting.config import ExportConfig
from purify.json_text import dump_json
from purify_schemas import Call, Edit, Message, Step, Trajectory
from purify_schemas.carried import CARRIED, Carried

_KEPT = frozenset({"spacing", "tools", "surrogates", "not_sampled"})
"""Losses of chats that are none here: tools and arguments are text, and the header says what was not sampled."""
HARNESS = "purify"
TITLE_CHARS = 80
ROLES = {**dict.fromkeys(("system", "user", "assistant", "tool")), "developer": "system", "function": "tool"}
"""What the format calls a role; None where it has the same name. Any other is a user to it."""


class Sts:
    """See the module's docstring."""

    name = "sts"
    reader = "the trace viewer of the Hugging Face Hub"
    losses: Mapping[str, str] = {
        **{name: LOSSES[name] for name in LOSSES if name not in _KEPT},
        "token_ids": "token ids, log-probs, and whether the ids split cleanly at the call",
        "names": "names of messages (who spoke, which tool answered)",
        "roles": "roles other than system, user, assistant and tool: the nearest of these stands there",
        "prompt_calls": "how calls in the prompt were written, and what else they held",
    }
    layout: Layout = "sessions"
    schema: pa.Schema | None = None

    def records(self, trajectory: Trajectory, config: ExportConfig, tally: Tally) -> Iterator[RowData]:
        if not trajectory.steps:
            tally.skip("no turn of the model")
            return
        tally.lose(*_losses(trajectory))
        messages = [_message(message) for message in prompt_messages(trajectory)]
        for index, step in enumerate(trajectory.steps):
            messages += _turn(index, step, trajectory.source.model)
        carried = Carried.of(trajectory, self.name, {"messages": messages})
        yield {
            "lines": [_header(trajectory, carried), *({"type": "message", "message": message} for message in messages)]
        }


def _losses(trajectory: Trajectory) -> set[str]:
    messages = [*trajectory.messages, *(m for step in trajectory.steps for m in step.observation.messages)]
    lost = losses_of(trajectory) - _KEPT
    more = {
        "token_ids": any(step.boundary != "exact" or step.observation.token_ids for step in trajectory.steps),
        "names": any(message.name is not None for message in messages),
        "roles": any(ROLES.get(message.role, "user") is not None for message in messages),
        "prompt_calls": any(message.tool_calls is not None for message in messages),
    }
    return lost | {name for name, happened in more.items() if happened}


def _header(trajectory: Trajectory, carried: Carried) -> dict[str, Any]:
    """Always the same members, and text: `datasets` wants one type for a member in all files."""
    told: dict[str, Any] = {
        "task_id": trajectory.task_id,
        "reward": trajectory.reward,
        "final_answer": trajectory.answer,
        "reference": trajectory.reference,
        "tools": trajectory.tools,
        "not_sampled": carried.not_sampled or None,
        "edits": None if trajectory.provenance is None else list(map(_edit, trajectory.provenance.edits)),
    }
    return {
        "type": "session",
        "harness": HARNESS,
        "id": trajectory.trajectory_id,
        "name": _title(trajectory),
        "metadata": dump_json({name: value for name, value in told.items() if value is not None}),
        CARRIED: carried.json_text(),
    }


def _edit(edit: Edit) -> dict[str, Any]:
    reason = edit.reason
    return {
        "raw_steps": edit.raw_steps,
        "accepted": edit.accepted,
        "granularity": edit.granularity,
        **({} if reason is None else {"reason": reason}),
    }


def _title(trajectory: Trajectory) -> str:
    asked = next((message.content for message in trajectory.messages if message.role == "user"), None)
    first = next(iter((asked or "").split("\n")), "").strip()
    return first[:TITLE_CHARS] or trajectory.task_id


def _message(message: dict[str, Any]) -> dict[str, Any]:
    """A chat message under the names of the format."""
    role = message["role"]
    written: dict[str, Any] = {"role": ROLES.get(role, "user") or role, "content": message["content"]}
    if "tool_calls" in message:
        written["toolCalls"] = [_demonstrated(call) for call in message["tool_calls"]]
    if "tool_call_id" in message:
        written["toolCallId"] = message["tool_call_id"]
    return written


def _demonstrated(call: ChatCall) -> dict[str, Any]:
    name, arguments = call["function"]["name"], call["function"]["arguments"]
    return {"id": call.get("id") or "", "function": {"name": name, "arguments": json_leaf(arguments)}}


def _turn(index: int, step: Step, model: str | None) -> list[dict[str, Any]]:
    """The assistant's message and what came back, with made ids where calls have none."""
    turn, *replies = step_messages(step)
    written: dict[str, Any] = {"role": "assistant", "content": turn["content"]}
    if "reasoning_content" in turn:
        written["reasoningContent"] = turn["reasoning_content"]
    made = []
    if "tool_calls" in turn:
        written["toolCalls"] = [_call(index, position, call) for position, call in enumerate(step.calls)]
        made = [made_id(index, position) for position, call in enumerate(step.calls) if call.id is None]
    if model is not None:
        written["model"] = model
    messages = [written]
    for message, reply in zip(step.observation.messages, map(_message, replies), strict=True):
        if made and _answers_unnamed(message):
            reply["toolCallId"] = made.pop(0)
        messages.append(reply)
    return messages


def _answers_unnamed(message: Message) -> bool:
    return message.call_id is None and message.role in ("tool", "function")


def _call(index: int, position: int, call: Call) -> dict[str, Any]:
    text = call.arguments if call.arguments is not None and call.arguments.strip() else "{}"
    call_id = call.id if call.id is not None else made_id(index, position)
    return {"id": call_id, "function": {"name": call.name, "arguments": text}}
