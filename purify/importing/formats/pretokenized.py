"""Importer `pretokenized`: token sequences with a loss mask, our own exports and those of trainers.

Read are `input_ids` with a mask: `loss_mask` (verl, prime-rl), `completion_mask` and `assistant_masks` (TRL), or
`labels` with -100 where there is no loss (Hugging Face); all of them must agree. The runs of the mask are turns
(`masked.py`). Log-probs come from `logprobs` or `rollout_log_probs`; null is unknown. Padding, where `attention_mask`
is 0, is cut off both ends, and `extra` notes how much.

The texts are those of chat messages in the record, if these have one turn for each run of the mask; else the messages
stay in `extra`. Without texts it is not known where a call begins, nor whether there is one: nothing of such a row can
be purified, but it can be scored and trained on.

A file that `purify export --to pretokenized` wrote holds the texts too, and comes back as it was.

Field names: trl/trainer/sft_trainer.py (pre-tokenized datasets), verl/utils/dataset/multiturn_sft_dataset.py,
src/prime_rl/trainer/sft/data.py of PrimeIntellect-ai/prime-rl, slime/utils/types.py (`rollout_log_probs`).

    purify import tokens/ -o rollouts/ --format pretokenized
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from purify.chat.labels import IGNORED
from purify.errors import RejectedRecordError
from purify.importing.base import Record, RecordContext
from purify.importing.checks import as_list, as_object, json_text, leftover, number, string, token_ids, wrong
from purify.importing.formats.rollout_turns import read_chat, read_messages, with_extra
from purify.importing.masked import attach_runs, masked_steps
from purify.importing.record_fields import record_fields, system_prompt
from purify.importing.turns import Turn, build_steps, tool_states
from purify_schemas import Message, Step, Trajectory
from purify_schemas.carried import with_news

MASKS = ("loss_mask", "completion_mask", "assistant_masks")
LOGPROBS = ("logprobs", "rollout_log_probs")
ATTENTION = "attention_mask"
CONVERSATION = ("messages", "conversation", "conversations")

_ALIGNED = ("input_ids", ATTENTION, "labels", *MASKS, *LOGPROBS)
_IDS = ("trajectory_id", "task_id", "group_id")
_EXPORTED = ("scored_logprobs", "segments", "reward", "temperature", "trajectory")
_PARTS = ("reasoning", "action", "observation")


class Pretokenized:
    """See the module's docstring."""

    name = "pretokenized"
    default_rules = "tool"

    def recognise(self, record: Record) -> str | None:
        return told_by_tokens(record)

    def read(self, record: Record, context: RecordContext) -> list[Trajectory]:
        if not token_ids(record.get("input_ids"), "input_ids"):
            raise RejectedRecordError("input_ids is empty or missing")
        record, notes = _without_padding(record)
        ids = token_ids(record["input_ids"], "input_ids")
        if record.get("segments") is not None and record.get("trajectory") is not None:
            return [context.as_asked(record, _restored(record, ids))]
        prompt, runs = masked_steps(ids, _mask(record, ids), _logprobs(record, LOGPROBS))
        if not runs:
            raise RejectedRecordError("the mask marks no token as the model's")
        used = {*_ALIGNED}
        chat = _chat(record)
        if chat is not None and len(chat.turns) == len(runs):
            used |= chat.used
            messages, steps = chat.prompt, attach_runs(build_steps(chat.turns, context), runs)
        else:
            if chat is not None:
                notes["messages_apart"] = f"{len(chat.turns)} turns of the messages for {len(runs)} runs of the mask"
            bare = attach_runs([Step()] * len(runs), runs)
            messages, steps = [], [step.model_copy(update={"boundary": "unknown"}) for step in bare]
        fields = record_fields(record, used=used, format_name=self.name)
        fields["extra"] = with_extra(fields["extra"], notes, "the record")
        return [
            context.trajectory(
                record=record,
                messages=messages,
                steps=steps,
                prompt_token_ids=prompt,
                tool_states=tool_states(steps),
                **fields,
            )
        ]


def told_by_tokens(record: Record) -> str | None:
    """Why a record is read from its token ids, whatever it holds besides; None if it has no ids with a mask."""
    ids = record.get("input_ids")
    if not isinstance(ids, list) or not ids or not all(type(token) is int for token in ids):
        return None
    if isinstance(record.get("segments"), list) and isinstance(record.get("trajectory"), dict):
        return "token ids with segments, as purify writes them"
    mask = next((name for name in (*MASKS, "labels") if _is_aligned(record.get(name), len(ids))), None)
    return None if mask is None else f"input_ids with {mask}"


def _is_aligned(value: object, length: int) -> bool:
    return isinstance(value, list) and len(value) == length


def _without_padding(record: Record) -> tuple[dict[str, Any], dict[str, Any]]:
    """The record without the positions that nothing attends to, and a note of how many those are."""
    if record.get(ATTENTION) is None:
        return dict(record), {}
    seen = as_list(record[ATTENTION], ATTENTION)
    size = len(record["input_ids"])
    for name in _ALIGNED:
        if record.get(name) is not None and len(as_list(record[name], name)) != len(seen):
            raise RejectedRecordError(f"{len(seen)} values of {ATTENTION} for {len(record[name])} of {name}")
    if (other := next((at for at, value in enumerate(seen) if value not in (0, 1)), None)) is not None:
        raise RejectedRecordError(f"{ATTENTION}[{other}] is {seen[other]!r}, expected 0 or 1")
    if 1 not in seen:
        raise RejectedRecordError(f"{ATTENTION} is 0 everywhere")
    start, end = seen.index(1), size - seen[::-1].index(1)
    if 0 in seen[start:end]:
        hole = start + seen[start:end].index(0)
        raise RejectedRecordError(f"{ATTENTION}[{hole}] is 0 between tokens that are 1: only padding can be cut off")
    aligned = {name: record[name][start:end] for name in _ALIGNED if record.get(name) is not None}
    padding = {"before": start, "after": size - end}
    return {**record, **aligned}, {"padding_dropped": padding} if any(padding.values()) else {}


class _Chat(NamedTuple):
    """Chat messages beside the ids; `used` are the record's members that they are in."""

    prompt: list[Message]
    turns: list[Turn]
    used: set[str]


def _chat(record: Record) -> _Chat | None:
    """The chat messages of a record, or TRL's `prompt` and `completion`, if it has any."""
    key = next((key for key in (*CONVERSATION, "completion") if _is_chat(record.get(key))), None)
    if key is None or (key == "completion" and not _is_chat(record.get("prompt"))):
        return None
    used, given = ({key, "prompt"}, record["prompt"]) if key == "completion" else ({key}, [])
    system = system_prompt(record, [*given, *record[key]], used)
    asked = read_messages(given, "prompt")
    prompt, turns = read_chat(record[key], key)
    return _Chat([*system, *asked, *prompt], turns, used)


def _is_chat(value: object) -> bool:
    """Whether this is a list of messages with roles, which other formats' are not."""
    if not isinstance(value, list) or not value:
        return False
    return all(isinstance(message, Mapping) and isinstance(message.get("role"), str) for message in value)


def _mask(record: Record, ids: Sequence[int]) -> list[int]:
    """The mask that all of the record's masks agree on."""
    found = {name: as_list(record[name], name) for name in MASKS if record.get(name) is not None}
    if record.get("labels") is not None:
        labels = as_list(record["labels"], "labels")
        for position, (label, token) in enumerate(zip(labels, ids, strict=False)):
            if label not in (IGNORED, token):
                reason = f"labels[{position}] is {label!r}, expected {token} or {IGNORED}; shifted labels are not read"
                raise RejectedRecordError(reason)
        found["labels"] = [label != IGNORED for label in labels]
    if not found:
        raise RejectedRecordError(f"no loss mask: none of {', '.join(MASKS)}, labels")
    (first, mask), *others = found.items()
    for name, other in others:
        if other != mask:
            raise RejectedRecordError(f"{first} and {name} differ; keep the one that is meant")
    return mask


def _logprobs(record: Record, names: Sequence[str]) -> list[float | None] | None:
    name = next((name for name in names if record.get(name) is not None), None)
    return None if name is None else [number(value) for value in as_list(record[name], name)]


def _restored(record: Record, ids: list[int]) -> Trajectory:
    """The row that was exported. pydantic refuses what does not fit together."""
    row = dict(as_object(record["trajectory"], "trajectory"))
    listed = as_list(row.get("steps") or [], "trajectory.steps")
    steps = [dict(as_object(step, f"trajectory.steps[{index}]")) for index, step in enumerate(listed)]
    logprobs = _logprobs(record, ("logprobs",)) or [None] * len(ids)
    at = 0
    own: list[bool] = []
    for index, item in enumerate(as_list(record["segments"], "segments")):
        path = f"segments[{index}]"
        segment = as_object(item, path)
        part, step, length = string(segment, "part", path), segment.get("step"), segment.get("length")
        if type(length) is not int or length <= 0:
            raise wrong(f"{path}.length", length, "a number of tokens")
        mine, told = ids[at : at + length], logprobs[at : at + length]
        at += length
        own += [part in ("reasoning", "action")] * length
        if part == "prompt":
            row["prompt_token_ids"] = mine
        elif part in _PARTS and type(step) is int and 0 <= step < len(steps):
            owner = dict(as_object(steps[step].get(part, {}), f"trajectory.steps[{step}].{part}"))
            known = part != "observation" and None not in told
            steps[step][part] = {**owner, "token_ids": mine, **({"logprobs": told} if known else {})}
        else:
            raise RejectedRecordError(f"{path} is {part!r} of step {step}, which the trajectory does not have")
    if at != len(ids):
        raise RejectedRecordError(f"segments tell of {at} tokens, input_ids has {len(ids)}; was the row cut?")
    if any(record.get(name) is not None for name in (*MASKS, "labels")) and _mask(record, ids) != own:
        raise RejectedRecordError(
            "the mask was changed after purify exported it; remove the members segments and trajectory to import the"
            " record by its mask"
        )
    return Trajectory.model_validate({**row, **_columns(record, row), "steps": steps})


def _columns(record: Record, row: Mapping[str, Any]) -> dict[str, Any]:
    """What stands in columns of the record, some of it added since the export."""
    columns: dict[str, Any] = {name: record[name] for name in _IDS if isinstance(record.get(name), str)}
    if "reward" in record:
        columns["reward"] = record["reward"]
    if "temperature" in record:
        columns["source"] = {**as_object(row.get("source", {}), "source"), "temperature": record["temperature"]}
    added = leftover(record, {*_ALIGNED, *_IDS, *_EXPORTED})
    return {**columns, "extra": with_news(row.get("extra"), json_text(added, "the record"))}
