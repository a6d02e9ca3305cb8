"""Rollouts with several steps, failures and corrections, whose ids are a real tokenizer's, and what their scores must
be: one plain forward pass of the model over the whole sequence, in double precision."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from purify.chat.rendering import Renderer
from purify.engines.config import EngineConfig
from purify.engines.loading import load_tokenizer, revision_of
from purify_schemas import Observation, Segment, Trajectory
from tests.engines.reference import plain_model
from tests.support import call, step, trajectory

Numbers = npt.NDArray[np.float64]

SHALLOW = [
    step(call("print(total)", "error"), think="I add them up.", result="NameError: total"),
    step(call("total = 3\nprint(total)"), think="The name is missing.", result="3"),
    step(think="The answer is 3."),
]
"""The corrected call is like the failed one: the first reasoning stays."""
DEEP = [
    step(call("import math", "error"), think="Try.", result="error"),
    step(call("x = 0 / 0", "error"), think="Again.", result="error"),
    step(call("print(sum([1, 2, 3, 4, 5, 6, 7]))"), think="Let me compute the sum of the list.", result="28"),
    step(think="28"),
]
"""Another call altogether: the correction brings its own reasoning."""
PLAIN = [step(call("print(1)"), think="One.", result="1"), step(think="1")]


def rendered(folder: Path, *rows: Trajectory) -> list[Trajectory]:
    """The rows with the ids of the model's tokenizer."""
    render = Renderer(load_tokenizer(EngineConfig(model=str(folder))), "tiny")
    return [render(row)[0] for row in rows]


def rollouts(folder: Path, temperature: float | None = 1.0) -> list[Trajectory]:
    """Three rows with ids, sampled by the model in `folder`, as far as anyone can tell."""
    rows = rendered(
        folder,
        trajectory(*SHALLOW, id="shallow"),
        trajectory(*DEEP, id="deep"),
        trajectory(*PLAIN, id="plain"),
    )
    told = {"temperature": temperature, "revision": revision_of(str(folder)), "model": "tiny"}
    return [row.model_copy(update={"source": row.source.model_copy(update=told)}) for row in rows]


def sampled(folder: Path, row: Trajectory, temperature: float = 1.0) -> Trajectory:
    """The row with the log-probs of its sampling."""
    values = iter(reference(folder, row, temperature).logprobs.tolist())

    def told(segment: Segment) -> Segment:
        return segment.model_copy(update={"logprobs": [next(values) for _ in segment.token_ids or ()]})

    steps = [one.model_copy(update={"reasoning": told(one.reasoning), "action": told(one.action)}) for one in row.steps]
    return Trajectory.model_validate(row.model_copy(update={"steps": steps}).model_dump())


class Reference(NamedTuple):
    """One value a model token."""

    logprobs: Numbers
    entropy: Numbers
    self_certainty: Numbers


def reference(folder: Path, row: Trajectory, temperature: float = 1.0) -> Reference:
    """What the scores of a row's own tokens must be."""
    import torch

    ids: list[int] = list(row.prompt_token_ids or ())
    own = [False] * len(ids)
    for one in row.steps:
        parts = ((one.reasoning.token_ids, True), (one.action.token_ids, True), (one.observation.token_ids, False))
        for tokens, written in parts:
            ids += tokens or ()
            own += [written] * len(tokens or ())
    with torch.inference_mode():
        logits = plain_model(folder)(torch.tensor([ids])).logits[0, :-1] / temperature
    logp = logits.log_softmax(-1)
    chosen = logp.gather(1, torch.tensor(ids)[1:, None])[:, 0]
    entropy = -(logp.exp() * logp).sum(-1)
    certainty = -float(np.log(logp.shape[1])) - logp.mean(-1)
    mine = np.array(own[1:])
    return Reference(*(value.numpy()[mine] for value in (chosen, entropy, certainty)))


def places(row: Trajectory, index: int, *sides: str) -> list[int]:
    """Where, among the row's own tokens, those of some sides of a step are."""
    found: list[int] = []
    at = 0
    for number, one in enumerate(row.steps):
        for side in ("reasoning", "action"):
            length = len(getattr(one, side).token_ids or ())
            if number == index and side in sides:
                found += range(at, at + length)
            at += length
    return found


def without_ids(row: Trajectory) -> Trajectory:
    """As a dump would have it."""
    steps = [
        one.model_copy(
            update={
                "reasoning": Segment(text=one.reasoning.text),
                "action": Segment(text=one.action.text),
                "observation": Observation(messages=one.observation.messages),
            }
        )
        for one in row.steps
    ]
    return row.model_copy(update={"steps": steps, "prompt_token_ids": None})


def update(row: Trajectory, **source: Any) -> Trajectory:
    """The row with another source."""
    return row.model_copy(update={"source": row.source.model_copy(update=source)})
