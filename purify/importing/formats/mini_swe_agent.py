"""Importer `mini-swe-agent`: `.traj.json` files of mini-swe-agent, all versions.

The first version wrote a bare list of messages, which is read as `{"messages": [...]}`. Later files are an object with
`trajectory_format`. A turn holds one command in a fence (```` ```bash ````, since 2.0 ```` ```mswea_bash_command ````),
or calls the tool `bash`; either way it is a call of `bash` with the argument `command`. Fences of a custom
`action_regex` are only understood where the message lists its `actions` (since 2.0). State lives in files: `external`.

An observation in a user's message becomes one of role `tool`; calls are judged by the bare output and its exit code
where the message has them. A turn that the harness could not use is a malformed call; since 2.0 it is kept only inside
the complaint about it, and is taken from there.

The answer is the submission, the task the instance's id or the file's name.

Field names: src/minisweagent/agents/default.py and interactive.py, models/utils/actions_text.py and
actions_toolcall.py, run/utils/save.py, run/utilities/inspector.py and docs/advanced/v2_migration.md of
SWE-agent/mini-swe-agent.

    purify import runs/ -o rollouts/ --format mini-swe-agent
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath

from purify.errors import RejectedRecordError
from purify.importing.base import Record, RecordContext
from purify.importing.checks import as_list, as_object, json_text, leftover, number
from purify.importing.formats.mini_swe_agent_turns import SUBMIT, read_conversation
from purify.importing.turns import build_steps, tool_states
from purify_schemas import Source, Trajectory
from purify_schemas.names import FinishReason

_FORMAT = "mini-swe-agent"
_SUFFIX = ".traj.json"

_FINISH: Mapping[str, FinishReason] = {
    "Submitted": "stop",
    **dict.fromkeys(("LimitsExceeded", "TimeExceeded"), "max_turns"),  # budgets of calls, money and time
    "ContextWindowExceededError": "length",
    "RepeatedFormatError": "error",
}


class MiniSWEAgent:
    """See the module's docstring."""

    name = "mini-swe-agent"
    default_rules = "swe-agent"

    def recognise(self, record: Record) -> str | None:
        messages = record.get("messages")
        if not isinstance(messages, list):
            return None
        told = record.get("trajectory_format")
        if isinstance(told, str):
            return f"trajectory_format {told}" if told.startswith(_FORMAT) else None
        if record.keys() != {"messages"}:
            return None
        contents = [message.get("content") for message in messages if isinstance(message, dict)]
        texts = [content for content in contents if isinstance(content, str)]
        fenced = any("```mswea_bash_command\n" in text for text in texts)
        # The first version's fence is anybody's, but what its prompt says submits a task is not.
        fenced |= any("```bash\n" in text for text in texts) and any(mark in text for text in texts for mark in SUBMIT)
        ran = any(text.startswith("<returncode>") for text in texts)
        return "messages with mini-swe-agent's fences and return codes" if fenced and ran else None

    def read(self, record: Record, context: RecordContext) -> list[Trajectory]:
        info = as_object(record.get("info") or {}, "info")
        status = info.get("exit_status")
        prompt, turns, submission = read_conversation(as_list(record.get("messages"), "messages"), status)
        if not turns:
            raise RejectedRecordError("messages has no turn of the model")
        config = info.get("config")
        model = config.get("model") if isinstance(config, dict) else None
        model = model if isinstance(model, dict) else {}
        asked = model.get("model_kwargs")
        sampling = dict(asked) if isinstance(asked, dict) else {}
        told = info.get("submission")
        answer = told if isinstance(told, str) and told else submission
        rest = leftover(record, ("messages", "info"))
        if noted := {key: value for key, value in info.items() if key != "submission" or value != answer}:
            rest["info"] = noted
        steps = build_steps(turns, context)
        row = context.trajectory(
            record=record,
            messages=prompt,
            source=Source(
                framework="mini-swe-agent",
                format=self.name,
                model=model["model_name"] if isinstance(model.get("model_name"), str) else None,
                temperature=number(sampling.pop("temperature", None)),
                sampling=json_text(sampling, "info.config.model.model_kwargs"),
            ),
            task_id=_task(record, context.file),
            sample_index=None,
            tool_states=tool_states(steps, "external"),
            steps=steps,
            answer=answer,
            finish_reason=_finish(status, submission),
            extra=json_text(rest, "the record"),
        )
        return [row]


def _task(record: Record, file: str) -> str | None:
    found = record.get("instance_id")
    if isinstance(found, str) and found:
        return found
    name = PurePosixPath(file).name
    return name.removesuffix(_SUFFIX) if name.endswith(_SUFFIX) else None


def _finish(status: object, submission: str | None) -> FinishReason:
    """Any other status is the name of an exception."""
    if isinstance(status, str) and status:
        return _FINISH.get(status, "error")
    return "stop" if submission is not None else "unknown"
