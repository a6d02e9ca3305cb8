"""What an engine must return, from one plain forward pass over the whole sequence and textbook definitions."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import torch

from purify.engines import Generation, Sampling

ROUNDING = 5e-5
"""How far float32 may be off: a plain pass of this model in float32, too, is by 2e-5 at temperature 1, 3e-5 at 0.7."""


@cache
def plain_model(folder: Path) -> Any:
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    torch.set_num_threads(1)  # tests run beside each other, and the model is tiny
    logging.disable_progress_bar()
    # In double precision, so that a difference is the engine's own.
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64).eval()


def distributions(folder: Path, prompt: list[int], generated: list[int], sampling: Sampling) -> torch.Tensor:
    """log p of every token, [generated, vocabulary], after temperature, top-k and top-p."""
    with torch.inference_mode():
        logits = plain_model(folder)(torch.tensor([prompt + generated])).logits[0, len(prompt) - 1 : -1]
    logprobs = (logits / (sampling.temperature or 1)).log_softmax(-1)
    if sampling.temperature == 0 or (not sampling.top_k and sampling.top_p == 1):
        return logprobs
    for row in logprobs:
        order = row.argsort(descending=True).tolist()
        kept = order[: sampling.top_k or None]
        mass = row[kept].exp() / row[kept].exp().sum()
        before = 0.0
        for place, share in enumerate(mass.tolist()):
            if before >= sampling.top_p:
                kept = kept[:place]
                break
            before += share
        row[[token for token in order if token not in set(kept)]] = -torch.inf
    return logprobs.log_softmax(-1)


def logprobs_of(folder: Path, prompt: list[int], generated: list[int], sampling: Sampling) -> list[float]:
    """log p of the generated tokens under the distribution that they were drawn from."""
    rows = distributions(folder, prompt, generated, sampling)
    return [float(row[token]) for row, token in zip(rows, generated, strict=True)]


def greedy(folder: Path, prompt: list[int], length: int) -> list[int]:
    """The likeliest continuation, one full pass a token."""
    ids = list(prompt)
    with torch.inference_mode():
        for _ in range(length):
            ids.append(int(plain_model(folder)(torch.tensor([ids])).logits[0, -1].argmax()))
    return ids[len(prompt) :]


def farthest(folder: Path, prompt: list[int], generation: Generation, sampling: Sampling) -> float:
    """The largest difference between an engine's log-probs and those of the plain pass."""
    expected = logprobs_of(folder, prompt, generation.token_ids, sampling)
    return max(abs(a - b) for a, b in zip(expected, generation.logprobs, strict=True))
