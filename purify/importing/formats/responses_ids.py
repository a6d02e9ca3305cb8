"""Token ids of a multi-turn rollout: prove that the turns form one sequence, then cut it into segments.

An engine reports each turn's whole prompt. Training on one sequence a rollout is right only if

    prompt(t + 1) = prompt(t) + generation(t) + what came back after turn t

Chat templates that drop earlier thinking break this; then no id of the row can be used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from purify.importing.checks import as_list, number, wrong
from purify_schemas import Segment, Step

KEYS = frozenset({"prompt_token_ids", "generation_token_ids", "generation_log_probs"})


@dataclass(frozen=True, slots=True)
class Generation:
    """What the engine saw and sampled in one turn. `logprobs` is None where they do not match the ids."""

    prompt: list[int]
    sampled: list[int]
    logprobs: list[float] | None
    misfit: str | None = None
    """Why log-probs that are there cannot be used."""


def read_generation(item: Mapping[str, Any], path: str) -> Generation | None:
    """The ids on an item; None where there are none (NeMo-Gym writes empty lists then)."""
    prompt = _ids(item.get("prompt_token_ids"), f"{path}.prompt_token_ids")
    sampled = _ids(item.get("generation_token_ids"), f"{path}.generation_token_ids")
    if not prompt and not sampled:
        return None
    written = as_list(item.get("generation_log_probs") or [], f"{path}.generation_log_probs")
    logprobs = [value for entry in written if (value := number(entry)) is not None]
    if len(logprobs) == len(written) == len(sampled):
        return Generation(prompt, sampled, logprobs)
    misfit = f"{path}: {len(logprobs)} finite log-probs for {len(sampled)} ids" if written else None
    return Generation(prompt, sampled, None, misfit)


def sequence_problem(generations: Sequence[Generation | None]) -> str | None:
    """Why the turns do not form one sequence; None if they do, or if there are no ids at all."""
    if not any(generations):
        return None
    before: list[int] = []
    for turn, generation in enumerate(generations):
        if generation is None or not generation.prompt or not generation.sampled:
            return f"turn {turn} has no token ids"
        if generation.prompt[: len(before)] != before:
            return f"the prompt of turn {turn} does not extend the prompt and generation of turn {turn - 1}"
        before = generation.prompt + generation.sampled
    return None


def attach(steps: Sequence[Step], generations: Sequence[Generation]) -> list[Step]:
    """Put proven ids into the steps. Where a call begins in them is not known without a tokenizer."""
    attached = []
    following: list[Generation | None] = [*generations[1:], None]
    for step, mine, after in zip(steps, generations, following, strict=True):
        back = after.prompt[len(mine.prompt) + len(mine.sampled) :] if after is not None else None
        attached.append(
            step.model_copy(
                update={
                    "reasoning": Segment(text=step.reasoning.text, token_ids=mine.sampled, logprobs=mine.logprobs),
                    "observation": step.observation.model_copy(update={"token_ids": back}),
                    "boundary": "unknown" if step.calls else "exact",
                }
            )
        )
    return attached


def _ids(value: object, path: str) -> list[int]:
    ids = as_list(value or [], path)
    for position, token in enumerate(ids):
        if type(token) is not int or not 0 <= token < 2**31:
            raise wrong(f"{path}[{position}]", token, "a token id")
    return ids
