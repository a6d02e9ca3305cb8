"""Importer `inspect`: logs of inspect_ai, JSON (one object with `samples`) or `.eval` archives.

Every sample is one trajectory; its epoch, counted from 1 there, is the sample index. An archive is read sample by
sample (`inspect_archive.py`) into records of the same shape as a JSON log. `attachment://` references in messages are
resolved from the sample's own `attachments`. A sample in which the model never spoke (no sandbox could be started) is
no trajectory; the first row keeps those of a JSON log in its `extra`, and what the log lists of all its samples.

Scores become rewards the way inspect's own metrics count them: C 1, P 0.5, I and N 0, booleans and their words 1 and 0,
numbers as they are; other values stay in `extra`. The first score is the outcome, as it is inspect's headline metric.
A limit on messages or turns ends a sample with `max_turns`, one on tokens or context with `length`, an error with
`error`; time, cost and an operator tell nothing about the model.

Events repeat the conversation at every model call. They are kept in `extra`, but for their `input` and `call`, and the
pools (`events_data`) those are made of; tool definitions and durations come from them. Log-probs there are of token
texts, not ids, and stay there.

Field names: inspect_ai/log/_log.py (`EvalLog`, `EvalSample`), inspect_ai/model/_chat_message.py,
inspect_ai/event/_model.py and _tool.py, inspect_ai/scorer/_metric.py (`value_to_float`),
inspect_ai/solver/_basic_agent.py of UKGovernmentBEIS/inspect_ai.

    purify import logs/ -o rollouts/ --format inspect
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import ValidationError

from purify.errors import RejectedRecordError, first_problem
from purify.failures.rules import Outcome
from purify.importing.base import Record, RecordContext
from purify.importing.checks import as_list, as_object, identifier, json_text, leftover, number, optional_string, string
from purify.importing.formats.inspect_samples import (
    attachments_resolved,
    finish_reason,
    rewards,
    tool_events,
    without_lists,
)
from purify.importing.formats.openai_turns import read_message, read_reply, read_turn
from purify.importing.record_fields import tool_definitions
from purify.importing.turns import Turn, build_steps, tool_states
from purify_schemas import Message, Source, Trajectory
from purify_schemas.names import ToolStateName

LOG = frozenset({"eval", "status", "samples"})

# inspect_ai/tool/_tools: each call of bash and python is a new process in a sandbox whose files stay.
_EXTERNAL = frozenset({"bash", "python", "bash_session", "text_editor", "computer"})

_SAMPLE = ("id", "epoch", "messages", "target", "events_data")
_REPEATED = ("input", "call", "input_refs", "call_refs")
_WRONG = "Your submission was incorrect"
_REFUSED = Outcome("rejected", "wrong_answer", "source:basic_agent")


class InspectLog:
    """See the module's docstring."""

    name = "inspect"
    default_rules = "inspect"

    def recognise(self, record: Record) -> str | None:
        if not record.keys() >= LOG or not isinstance(record["eval"], Mapping):
            return None
        return "inspect log: eval, status, samples" if isinstance(record["samples"], list) else None

    def read(self, record: Record, context: RecordContext) -> list[Trajectory]:
        as_object(record.get("eval"), "eval")
        items = as_list(record.get("samples"), "samples")
        samples = [_Sample.read(as_object(item, f"samples[{i}]"), i) for i, item in enumerate(items)]
        turned = [sample for sample in samples if sample.turns]
        if not turned:
            raise RejectedRecordError(f"no turn of the model in {len(samples)} samples")
        silent = [sample.told for sample in samples if not sample.turns]
        log = leftover(record, ("samples",))
        rest = {"log": log, **({"samples_without_a_turn": silent} if silent else {})}
        rows: list[Trajectory] = []
        for sample in turned:
            try:
                rows.append(_row(sample, rest, record, context))
            except ValidationError as error:
                raise RejectedRecordError(f"{sample.path}: {first_problem(error)}") from None
            rest = {"log": without_lists(log)}
        return rows


class _Sample(NamedTuple):
    """A sample with its conversation cut into the prompt and the turns."""

    told: Mapping[str, Any]
    position: int
    path: str
    messages: list[Message]
    turns: list[Turn]

    @classmethod
    def read(cls, told: Mapping[str, Any], index: int) -> _Sample:
        path = f"samples[{index}]"
        return cls(told, index, path, *_conversation(told, path))


def _row(read: _Sample, shared: Mapping[str, Any], record: Record, context: RecordContext) -> Trajectory:
    """`shared` is what the row keeps in `extra` besides its sample's own."""
    sample, path, turns, log = read.told, read.path, read.turns, record["eval"]
    events = as_list(sample.get("events") or [], f"{path}.events")
    definitions, durations = tool_events(event for event in events if isinstance(event, dict))
    for turn in turns:
        turn.calls = [call.model_copy(update={"duration_s": durations.get(call.id or "")}) for call in turn.calls]
    steps = build_steps(turns, context)
    known: dict[str, ToolStateName] = {name: "external" for name in tool_states(steps) if name in _EXTERNAL}
    config = log.get("model_generate_config")
    sampling = {key: value for key, value in config.items() if value is not None} if isinstance(config, dict) else {}
    scores, answer = rewards(sample.get("scores"), f"{path}.scores")
    rest: dict[str, Any] = leftover(sample, _SAMPLE)
    if events:
        rest["events"] = [leftover(event, _REPEATED) if isinstance(event, dict) else event for event in events]
    return context.trajectory(
        record=record,
        sample=read.position,
        messages=read.messages,
        source=Source(
            framework="inspect_ai",
            format="inspect",
            model=optional_string(log, "model", "eval"),
            temperature=number(sampling.pop("temperature", None)),
            sampling=json_text(sampling, "eval.model_generate_config"),
        ),
        task_id=_task(sample, path, log),
        sample_index=_epoch(sample),
        tool_states={**tool_states(steps), **known},
        tools=tool_definitions(definitions),
        steps=steps,
        answer=answer if answer is not None else _completion(sample),
        reference=_target(sample),
        reward=scores[0].value if scores else None,
        rewards=scores,
        finish_reason=finish_reason(sample),
        extra=json_text({**shared, **rest}, path),
    )


def _conversation(sample: Mapping[str, Any], path: str) -> tuple[list[Message], list[Turn]]:
    """The prompt and the turns. Assistant messages of the input are demonstrations."""
    prompt: list[Message] = []
    turns: list[Turn] = []
    for message, here in _messages(sample, path):
        role = string(message, "role", here)
        if role == "assistant" and message.get("source") != "input":
            turns.append(read_turn(message, here))
        elif not turns:
            prompt.append(read_message(message, here))
        else:
            if role == "user" and str(message.get("content")).lstrip().startswith(_WRONG):
                _refuse_submission(turns[-1])
            turns[-1].replies.append(read_reply(message, here))
    return prompt, turns


def _messages(sample: Mapping[str, Any], path: str) -> Iterator[tuple[dict[str, Any], str]]:
    attached = sample.get("attachments")
    for index, item in enumerate(as_list(sample.get("messages"), f"{path}.messages")):
        here = f"{path}.messages[{index}]"
        message = as_object(attachments_resolved(item, attached if isinstance(attached, dict) else {}), here)
        if isinstance(message.get("tool_call_id"), list):  # content for several calls in one user's message
            message = {**leftover(message, ("tool_call_id",)), "tool_call_ids": message["tool_call_id"]}
        yield message, here


def _refuse_submission(turn: Turn) -> None:
    """basic_agent says in a user's message that what was submitted is wrong: that call was understood and refused."""
    for result in (result for reply in turn.replies for result in reply.results if result.name == "submit"):
        result.flag = result.flag or _REFUSED


def _task(sample: Mapping[str, Any], path: str, log: Mapping[str, Any]) -> str | None:
    """Sample ids are numbers more often than not, so the name of the evaluation stands before them."""
    found = identifier(sample, "id", path)
    named = log.get("task")
    return f"{named}/{found}" if found is not None and isinstance(named, str) and named else found


def _epoch(sample: Mapping[str, Any]) -> int | None:
    epoch = sample.get("epoch")
    return epoch - 1 if type(epoch) is int and 0 < epoch <= 2**31 else None


def _completion(sample: Mapping[str, Any]) -> str | None:
    output = sample.get("output")
    completion = output.get("completion") if isinstance(output, Mapping) else None
    return completion if isinstance(completion, str) and completion else None


def _target(sample: Mapping[str, Any]) -> str | None:
    """The expected answer; several are a JSON list."""
    target = sample.get("target")
    if isinstance(target, Sequence) and not isinstance(target, str) and len(target) == 1:
        target = target[0]
    return target if isinstance(target, str) else json_text(target, "target")
