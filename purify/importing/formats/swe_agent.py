"""Importer `swe-agent`: `.traj` files of SWE-agent, of versions before and after 1.0.

`trajectory` has every turn that was sampled, `history` what the model was shown. A turn that the harness asked to write
again (no command in it, a blocked one, bad shell syntax) stands in `trajectory` only; since 1.0 the complaint about it
is found in the `query` of the next step. A file with `history` alone (a demonstration) is read from that.

A turn calls tools by function calls, or writes one command as text: then the tool is the documented command that it
starts with, else `bash`, with the argument `command`. All of them act on files or the shell, so they are `external`. A
turn without a command is a malformed call. The last entry of a run that the harness ended (`Exit due to cost limit`) is
no turn and stays in `extra`. Observations are the messages of `history`, under the role `tool`; calls are judged by the
bare `observation`. `query` repeats the history, so only its messages that stand nowhere there are kept.

The answer is the submitted patch. The task is the problem statement's id, or the file's name, which is the same.

Field names: sweagent/types.py, sweagent/agent/agents.py and sweagent/tools/parsing.py of SWE-agent/SWE-agent.

    purify import trajectories/ -o rollouts/ --format swe-agent
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from purify.errors import RejectedRecordError
from purify.importing.base import Record, RecordContext
from purify.importing.checks import as_list, as_object, json_text, leftover, number
from purify.importing.formats.swe_agent_turns import read_turns
from purify.importing.turns import build_steps, tool_states
from purify_schemas import Source, Trajectory
from purify_schemas.names import FinishReason

_FINISH: Mapping[str, FinishReason] = {
    **dict.fromkeys(("submitted", "exit_command", "exit_forfeit"), "stop"),
    "exit_context": "length",
    "exit_cost": "max_turns",  # a budget of calls, in money
    **dict.fromkeys(("exit_format", "exit_api", "exit_error", "exit_environment_error"), "error"),
    **dict.fromkeys(("exit_command_timeout", "exit_total_execution_time", "early_exit"), "error"),
}
_SAMPLING = ("temperature", "top_p", "stop", "completion_kwargs")


class SWEAgent:
    """See the module's docstring."""

    name = "swe-agent"
    default_rules = "swe-agent"

    def recognise(self, record: Record) -> str | None:
        steps, history = record.get("trajectory"), record.get("history")
        if isinstance(steps, list) and steps and isinstance(steps[0], Mapping):
            return "trajectory of actions and observations" if steps[0].keys() >= {"action", "observation"} else None
        if not isinstance(history, list) or not all(isinstance(entry, Mapping) for entry in history):
            return None
        turns = [entry for entry in history if entry.get("role") == "assistant"]
        return "history with actions" if turns and all("action" in turn for turn in turns) else None

    def read(self, record: Record, context: RecordContext) -> list[Trajectory]:
        history = as_list(record.get("history") or [], "history")
        prompt, turns, unread = read_turns(history, as_list(record.get("trajectory") or [], "trajectory"))
        if not turns:
            raise RejectedRecordError("neither trajectory nor history has a turn of the model")
        info = as_object(record.get("info") or {}, "info")
        config = _config(record.get("replay_config"))
        model = _inside(config, "agent", "model")
        sampling = {key: model[key] for key in _SAMPLING if model.get(key) not in (None, [], {})}
        submission = info.get("submission")
        rest = {**leftover(record, ("trajectory", "history", "info")), **unread}
        if noted := leftover(info, ("submission",)):
            rest["info"] = noted
        steps = build_steps(turns, context)
        row = context.trajectory(
            record=record,
            messages=prompt,
            source=Source(
                framework="SWE-agent",
                format=self.name,
                model=model["name"] if isinstance(model.get("name"), str) else None,
                temperature=number(sampling.pop("temperature", None)),
                sampling=json_text(sampling, "replay_config"),
            ),
            task_id=_task(config, context.file),
            sample_index=None,
            tool_states=tool_states(steps, "external"),
            steps=steps,
            answer=submission if isinstance(submission, str) else json_text(submission, "info.submission"),
            finish_reason=_finish(info.get("exit_status")),
            extra=json_text(rest, "the record"),
        )
        return [row]


def _config(value: object) -> Mapping[str, Any]:
    """`replay_config`, an object or its JSON text."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return {}
    return value if isinstance(value, dict) else {}


def _inside(owner: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    for key in keys:
        inner = owner.get(key)
        owner = inner if isinstance(inner, dict) else {}
    return owner


def _task(config: Mapping[str, Any], file: str) -> str | None:
    """SWE-agent names the file after the problem statement."""
    found = _inside(config, "problem_statement").get("id")
    if isinstance(found, str) and found:
        return found
    path = PurePosixPath(file)
    return path.stem if path.suffix == ".traj" else None


def _finish(status: object) -> FinishReason:
    """`submitted (exit_cost)`: the harness submitted what there was when it stopped the run."""
    if not isinstance(status, str):
        return "unknown"
    inner = status.removeprefix("submitted (").removesuffix(")")
    return _FINISH.get(inner, "unknown")
