"""Token ids of a multi-turn rollout: prove that the turns form one sequence, then cut it into segments.

An engine reports each turn's whole prompt. Training on one sequence a rollout is right only if

    prompt(t + 1) = prompt(t) + generation(t) + what came back after turn t

Chat templates that drop earlier thinking break this; then no id of the row can be used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from purify.importing.checks import as_list, number, token_ids
from purify.importing.masked import MaskedRun, attach_runs
from purify_schemas import Step

NEMO_GYM = ("prompt_token_ids", "generation_token_ids", "generation_log_probs")
KEYS = frozenset(NEMO_GYM)


@dataclass(frozen=True, slots=True)
class Generation:
    """What the engine saw and sampled in one turn. `logprobs` is None where they do not match the ids."""

    prompt: list[int]
    sampled: list[int]
    logprobs: list[float] | None
    misfit: str | None = None
    """Why log-probs that are there cannot be used."""


def read_generation(item: Mapping[str, Any], path: str, names: tuple[str, str, str] = NEMO_GYM) -> Generation | None:
    """The ids on an item; None where there are none (NeMo-Gym writes empty lists then).

    `names` are the members that hold the prompt, what was sampled, and its log-probs.
    """
    prompt = token_ids(item.get(names[0]), f"{path}.{names[0]}")
    sampled = token_ids(item.get(names[1]), f"{path}.{names[1]}")
    if not prompt and not sampled:
        return None
    written = as_list(item.get(names[2]) or [], f"{path}.{names[2]}")
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


def with_ids(
    steps: list[Step], generations: Sequence[Generation | None]
) -> tuple[list[Step], list[int] | None, dict[str, str]]:
    """Steps and prompt ids where the turns form one sequence, and notes on what was dropped and why."""
    known = [generation for generation in generations if generation is not None]
    if not known:
        return steps, None, {}
    if (problem := sequence_problem(generations)) is not None:
        return steps, None, {"token_ids_dropped": problem}
    if len(known) != len(steps):
        return steps, None, {"token_ids_dropped": f"{len(known)} generations for {len(steps)} turns"}
    misfit = next((generation.misfit for generation in known if generation.misfit), None)
    return attach_runs(steps, _runs(known)), known[0].prompt, {"logprobs_dropped": misfit} if misfit else {}


def _runs(generations: Sequence[Generation]) -> list[MaskedRun]:
    """What was sampled, and what the next prompt adds to it. Nobody recorded what came back after the last one."""
    backs: list[list[int] | None] = [
        after.prompt[len(before.prompt) + len(before.sampled) :] for before, after in pairwise(generations)
    ]
    return [
        MaskedRun(mine.sampled, mine.logprobs, back) for mine, back in zip(generations, [*backs, None], strict=True)
    ]
