"""Importer `pretokenized`: token sequences with a loss mask, our own exports and those of trainers.

Read are `input_ids` with a mask: `loss_mask` (verl, prime-rl), `completion_mask` and `assistant_masks` (TRL), or
`labels` with -100 where there is no loss (Hugging Face); all of them must agree. The runs of the mask are turns
(`masked.py`). There is no text, so where a call begins, and whether there is one, is not known: nothing of it can be
purified, but it can be scored and trained on. Log-probs come from `logprobs` or `rollout_log_probs`; null is unknown.

A file that `purify export --to pretokenized` wrote holds the texts too, and comes back as it was.

Field names: trl/trainer/sft_trainer.py (pre-tokenized datasets), verl/utils/dataset/multiturn_sft_dataset.py,
src/prime_rl/trainer/sft/data.py of PrimeIntellect-ai/prime-rl, slime/utils/types.py (`rollout_log_probs`).

    purify import tokens/ -o rollouts/ --format pretokenized
"""

from __future__ import annotations

from collections.abc import Sequence

from purify.errors import RejectedRecordError
from purify.importing.base import Record, RecordContext
from purify.importing.checks import as_list, as_object, number, string, token_ids, wrong
from purify.importing.masked import attach_runs, masked_steps
from purify.importing.record_fields import record_fields
from purify_schemas import Step, Trajectory

MASKS = ("loss_mask", "completion_mask", "assistant_masks")
LOGPROBS = ("logprobs", "rollout_log_probs")
IGNORED = -100

_PARTS = ("reasoning", "action", "observation")


class Pretokenized:
    """See the module's docstring."""

    name = "pretokenized"
    default_rules = "tool"

    def recognise(self, record: Record) -> str | None:
        ids = record.get("input_ids")
        if not isinstance(ids, list) or not all(type(token) is int for token in ids):
            return None
        if isinstance(record.get("segments"), list) and isinstance(record.get("trajectory"), dict):
            return "token ids with segments, as purify writes them"
        aligned = (name for name in (*MASKS, "labels") if _is_aligned(record.get(name), len(ids)))
        mask = next(aligned, None)
        return None if mask is None else f"input_ids with {mask}"

    def read(self, record: Record, context: RecordContext) -> list[Trajectory]:
        ids = token_ids(record.get("input_ids"), "input_ids")
        if not ids:
            raise RejectedRecordError("input_ids is empty or missing")
        if record.get("segments") is not None and record.get("trajectory") is not None:
            return [_restored(record, ids)]
        prompt, runs = masked_steps(ids, _mask(record, ids), _logprobs(record, LOGPROBS))
        if not runs:
            raise RejectedRecordError("the mask marks no token as the model's")
        steps = [step.model_copy(update={"boundary": "unknown"}) for step in attach_runs([Step()] * len(runs), runs)]
        used = {"input_ids", "attention_mask", "labels", *MASKS, *LOGPROBS}
        fields = record_fields(record, used=used, format_name=self.name)
        return [
            context.trajectory(
                record=record, messages=[], steps=steps, prompt_token_ids=prompt, tool_states={}, **fields
            )
        ]


def _is_aligned(value: object, length: int) -> bool:
    return isinstance(value, list) and len(value) == length


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
    for index, item in enumerate(as_list(record["segments"], "segments")):
        path = f"segments[{index}]"
        segment = as_object(item, path)
        part, step, length = string(segment, "part", path), segment.get("step"), segment.get("length")
        if type(length) is not int or length <= 0:
            raise wrong(f"{path}.length", length, "a number of tokens")
        mine, told = ids[at : at + length], logprobs[at : at + length]
        at += length
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
    return Trajectory.model_validate({**row, "steps": steps})
