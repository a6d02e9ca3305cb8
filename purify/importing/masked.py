"""From one token sequence with a loss mask to a prompt and steps.

Trainers keep a rollout as one list of ids and, aligned with it, a mask: 1 where the model sampled a token, 0 where the
environment or the template wrote it. A run of ones is what the model wrote in a turn; the zeros up to the next run are
what came back; the zeros before the first run are the prompt.

    ids  5 6 | 7 8 | 9 | 10        ->  prompt 5 6, then (7 8, back 9), then (10, back nothing)
    mask 0 0 | 1 1 | 0 | 1

Two turns with nothing between them are one run: a mask cannot tell them apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

from purify.errors import RejectedRecordError
from purify_schemas import Segment, Step


class MaskedRun(NamedTuple):
    """The ids of one turn, and of what came back."""

    sampled: list[int]
    logprobs: list[float] | None
    """None where they are not known for every id of the run: 0.0 is a log-prob like any other."""
    environment: list[int] | None
    """None where nobody recorded what came back (after the last prompt of an engine); empty if nothing did."""


def masked_steps(
    ids: Sequence[int], mask: Sequence[float], logprobs: Sequence[float | None] | None = None
) -> tuple[list[int], list[MaskedRun]]:
    """The prompt's ids and the runs of the mask, in order; concatenated they are `ids` again.

    `mask` and `logprobs` are as long as `ids`. Raises `RejectedRecordError` if they are not, or if a mask value is
    neither 0 nor 1.
    """
    for name, aligned in (("mask values", mask), ("log-probs", logprobs)):
        if aligned is not None and len(aligned) != len(ids):
            raise RejectedRecordError(f"{len(aligned)} {name} for {len(ids)} token ids")
    for position, value in enumerate(mask):
        if value not in (0, 1):
            raise RejectedRecordError(f"mask value {position} is {value!r}, expected 0 or 1")
    prompt: list[int] = []
    runs: list[MaskedRun] = []
    at = 0
    for model, group in groupby(map(bool, mask)):
        end = at + len(list(group))
        if model:
            runs.append(MaskedRun(list(ids[at:end]), _known(logprobs, at, end), []))
        elif runs:
            runs[-1] = runs[-1]._replace(environment=list(ids[at:end]))
        else:
            prompt = list(ids[at:end])
        at = end
    return prompt, runs


def attach_runs(steps: Sequence[Step], runs: Sequence[MaskedRun]) -> list[Step]:
    """Put the ids of one run into each step, of which there are as many.

    Where a call begins in the ids is not known without a tokenizer: they stay in the reasoning, `boundary` is unknown.
    """
    return [
        step.model_copy(
            update={
                "reasoning": Segment(text=step.reasoning.text, token_ids=run.sampled, logprobs=run.logprobs),
                "observation": step.observation.model_copy(update={"token_ids": run.environment}),
                "boundary": "unknown" if step.calls or step.action.text else "exact",
            }
        )
        for step, run in zip(steps, runs, strict=True)
    ]


def _known(logprobs: Sequence[float | None] | None, start: int, end: int) -> list[float] | None:
    if logprobs is None:
        return None
    known = [value for value in logprobs[start:end] if value is not None]
    return known if len(known) == end - start else None
