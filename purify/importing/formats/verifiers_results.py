"""`results.jsonl` of verifiers' older `vf-eval`: one rollout a line, as a prompt and a completion.

Tool calls are kept as JSON strings in a message's `tool_calls` (`sanitize_tool_calls`); a reward's parts and other
metrics as `metrics` (0.1.9 and later, repeated among the record's own members), before that among those alone. Model,
environment and sampling arguments are those of the `metadata.json` beside the file.

The first versions (to 0.1.3) counted rows in `id` instead of examples in `example_id`: rollouts of one example do not
stand together there, so their task is what was asked. Other datasets have members of these names, so `--format` must
say what they are. An environment that adds a system prompt of its own (`RLMEnv`) repeats the end of the prompt in the
completion; it is read once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson

from purify.digests import digest
from purify.errors import RejectedRecordError
from purify.importing.base import Record, RecordContext
from purify.importing.checks import as_list, as_object, json_text, leftover, number, wrong
from purify.importing.formats.responses_ids import read_generation, with_ids
from purify.importing.formats.rollout_turns import MODEL_ROLES, read_chat, read_messages, telling
from purify.importing.formats.verifiers_samples import as_result, is_sample, of_sample
from purify.importing.record_fields import optional_reward, reward_value, tool_definitions
from purify.importing.turns import Turn, build_steps, tool_states
from purify_schemas import Message, Reward, Source, Step, Trajectory
from purify_schemas.names import FinishReason

METADATA = "metadata.json"
_KEYS = frozenset({"prompt", "completion", "reward", "example_id"})
_FIRST_KEYS = frozenset({"prompt", "completion", "reward", "id", "task"})
_NO_TASK = "default"
"""What `task` says in an environment that is not made of several."""
_TOKENS = ("prompt_ids", "completion_ids", "completion_logprobs")

_STOPPED: Mapping[object, FinishReason] = {
    **dict.fromkeys(("max_turns_reached", "max_turns"), "max_turns"),
    **dict.fromkeys(("prompt_too_long", "max_total_completion_tokens_reached"), "length"),
    **dict.fromkeys(("has_error", "timeout_reached"), "error"),
    **dict.fromkeys(("no_tools_called", "has_final_env_response"), "stop"),
}


def is_result(record: Record) -> bool:
    """Whether a record has the members that every version writes, and no other format has together."""
    return record.keys() >= _KEYS


def read_result(record: Record, context: RecordContext) -> Trajectory:
    """The row of one rollout."""
    run = _run(record, context)
    source, index, used = _where(record, run)
    record = as_result(record) if is_sample(record) else record
    if (missing := sorted(_KEYS - record.keys())) and not record.keys() >= _FIRST_KEYS:
        raise RejectedRecordError(f"no verifiers episode, trace or result: {', '.join(missing)} missing")
    prompt, turns, again = _chat(record)
    task, names_task = _task(record, run, prompt)
    steps, ids, notes = _with_ids(build_steps(turns, context), record)
    metrics, unread = _metrics(record)
    repeated = {name for name in metrics if record.get(name) == metrics[name]}
    tools, answer = tool_definitions(record.get("tool_defs") or None), record.get("answer")
    told = record.get("info")  # before `tool_defs` was a column, environments told their tools there
    told = told.get("oai_tools") if isinstance(told, dict) else None
    offered = tools or (tool_definitions(told) if isinstance(told, list) else None)
    read = _KEYS | repeated | used | {"metrics"}
    read |= {"answer"} if isinstance(answer, str) else set()
    read |= {"task"} if names_task else set()
    read |= {"tool_defs"} if tools is not None else set()
    extra = telling({**leftover(record, read), "unread_metrics": unread})
    if again:
        notes["prompt_repeated"] = f"the completion began with the last {again} messages of the prompt"
    if ids is not None:
        extra["trajectory"] = [{**call, "tokens": leftover(call["tokens"], _TOKENS)} for call in record["trajectory"]]
    return context.trajectory(
        record=record,
        messages=prompt,
        source=source,
        task_id=task,
        sample_index=index,
        tool_states=tool_states(steps),
        tools=offered,
        prompt_token_ids=ids,
        steps=steps,
        reference=answer if isinstance(answer, str) and answer else None,
        reward=optional_reward(record["reward"], "reward"),
        rewards=[Reward(name=name, value=value) for name, value in metrics.items()],
        finish_reason=_finish(record),
        extra=json_text(extra | notes, "the record"),
    )


def _chat(record: Record) -> tuple[list[Message], list[Turn], int]:
    """Both sides, which are chat messages, or text where the environment knows no chat; and what `_repeated` counts."""
    asked, given = record["prompt"], record["completion"]
    shown = [{"role": "user", "content": asked}] if isinstance(asked, str) else _decoded(asked, "prompt")
    items = [{"role": "assistant", "content": given}] if isinstance(given, str) else _decoded(given, "completion")
    repeated = _repeated(shown, items)
    prompt, turns = read_chat(items[repeated:], "completion")
    if not turns:
        raise RejectedRecordError("completion has no assistant message")
    return [*read_messages(shown, "prompt"), *prompt], turns, repeated


def _repeated(shown: Sequence[Mapping[str, Any]], items: Sequence[Mapping[str, Any]]) -> int:
    """How many messages at the end of the prompt the completion begins with."""
    asked, given = [telling(message) for message in shown], [telling(message) for message in items]
    until = next((at for at, item in enumerate(given) if item.get("role") in MODEL_ROLES), len(given))
    return next((n for n in range(min(len(asked), until), 0, -1) if asked[-n:] == given[:n]), 0)


def _decoded(value: object, path: str) -> list[dict[str, Any]]:
    """Messages with their calls parsed from JSON strings."""
    messages: list[dict[str, Any]] = []
    for index, item in enumerate(as_list(value, path)):
        message = dict(as_object(item, f"{path}[{index}]"))
        if isinstance(calls := message.get("tool_calls"), list):
            message["tool_calls"] = [_call(call, f"{path}[{index}].tool_calls[{i}]") for i, call in enumerate(calls)]
        messages.append(message)
    return messages


def _call(value: object, path: str) -> object:
    if not isinstance(value, str):
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        raise RejectedRecordError(f"{path} is not the JSON of a call") from None


def _with_ids(steps: list[Step], record: Record) -> tuple[list[Step], list[int] | None, dict[str, str]]:
    """Ids from the column `trajectory`, whose elements are the model's calls, if it was saved."""
    calls = record.get("trajectory")
    if not isinstance(calls, list):
        return steps, None, {}
    generations = []
    for index, call in enumerate(calls):
        tokens = call.get("tokens") if isinstance(call, dict) else None
        path = f"trajectory[{index}].tokens"
        generations.append(read_generation(as_object(tokens, path), path, _TOKENS) if tokens is not None else None)
    return with_ids(steps, generations)


def _metrics(record: Record) -> tuple[dict[str, float], dict[str, Any]]:
    """The metrics that are numbers, and those that are not. The first version wrote them as floats beside its times."""
    if "metrics" in record:
        members = as_object(record["metrics"] or {}, "metrics")
    else:
        others = leftover(record, _KEYS | _FIRST_KEYS | {"answer"})
        members = {k: v for k, v in others.items() if isinstance(v, float) and not k.endswith("_ms")}
    numbers = {name: found for name, member in members.items() if (found := reward_value(member)) is not None}
    return numbers, leftover(members, numbers)


def _run(record: Record, context: RecordContext) -> Mapping[str, Any]:
    """What the run's metadata says; empty where there is none, as for a sample."""
    if context.root is None or is_sample(record):
        return {}
    return metadata_beside(context.root / context.file)


def metadata_beside(results: Path) -> Mapping[str, Any]:
    """What the run's metadata beside the file of results says; empty where there is none of `vf-eval`'s."""
    path = results.parent / METADATA
    return _metadata(path, path.stat().st_mtime_ns) if path.is_file() else {}


@lru_cache(maxsize=64)
def _metadata(path: Path, modified: int) -> Mapping[str, Any]:
    """Read once a file and state of it, not once a record."""
    try:
        found = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError:
        return {}
    keys = found.keys() if isinstance(found, dict) else set()
    # The first versions called the environment `env`.
    return found if keys >= {"env_id", "model"} or keys >= {"env", "model", "rollouts_per_example"} else {}


def _source(run: Mapping[str, Any]) -> Source:
    model, sampling = run.get("model"), run.get("sampling_args")
    sampling = sampling if isinstance(sampling, dict) else {}
    return Source(
        framework="verifiers",
        format="verifiers",
        model=model if isinstance(model, str) else None,
        temperature=number(sampling.get("temperature")),
        sampling=json_text(leftover(sampling, ("temperature",)), "metadata.json: sampling_args"),
    )


def _where(record: Record, run: Mapping[str, Any]) -> tuple[Source, int | None, set[str]]:
    """Where a rollout is from, its number in its task, and the members that tell so.

    A sample tells all three itself; results are not numbered, and the run's metadata tell where they are from.
    """
    return of_sample(record, _source(run)) if is_sample(record) else (_source(run), None, set())


def _task(record: Record, run: Mapping[str, Any], prompt: Sequence[Message]) -> tuple[str, bool]:
    """An example's position in the data of its environment, and whether `task` is what names that."""
    name = record.get("task")
    named = isinstance(name, str) and name not in ("", _NO_TASK)
    env = name if named else run.get("env_id", run.get("env"))
    if "example_id" in record:
        example = record["example_id"]
        if isinstance(example, bool) or not isinstance(example, int | str):
            raise wrong("example_id", example, "a number or a string")
    else:
        answer = record.get("answer")
        example = digest(*(message.model_dump() for message in prompt), answer if isinstance(answer, str) else None)
    return (f"{env}/{example}" if isinstance(env, str) and env else str(example)), named


def _finish(record: Record) -> FinishReason:
    stopped = record.get("stop_condition")
    known = _STOPPED.get(stopped) if isinstance(stopped, str) else None
    if known is not None or record.get("error") is not None:
        return known or "error"
    if record.get("is_truncated") is True:
        return "length"
    return "stop" if record.get("is_completed") is True else "unknown"
