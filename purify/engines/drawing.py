"""Draw one token a row from logits, and say how likely it was under the distribution it was drawn from.

The distribution is softmax(logits / temperature), cut to the `top_k` likeliest tokens and then to the smallest set that
has `top_p` of what is left, renormalised: the order of Hugging Face and vLLM.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from purify.engines.base import Sampling


def draw(
    logits: torch.Tensor, samplings: Sequence[Sampling], uniforms: Sequence[float]
) -> tuple[list[int], list[float]]:
    """`logits` [row, vocabulary]; a uniform number in [0, 1) a row. Returns a token and its log-prob a row.

    A token is the inverse of the cumulated distribution at the row's number, so it depends on nothing but its row.
    At temperature 0 it is the likeliest, and its log-prob is the model's at temperature 1, as in vLLM.
    """
    import torch

    device = logits.device
    temperatures = torch.tensor([sampling.temperature or 1.0 for sampling in samplings], device=device)
    logprobs = (logits.float() / temperatures[:, None]).log_softmax(-1)
    cut = [row for row, sampling in enumerate(samplings) if _cuts(sampling)]
    if cut:
        logprobs[cut] = _cut(logprobs[cut], [samplings[row] for row in cut])
    cumulated = logprobs.double().exp_().cumsum_(-1)
    # Over its own last value, so that a number below 1 is always below the last: no token without mass is ever drawn.
    cumulated /= cumulated[:, -1:].clone()
    drawn = torch.searchsorted(
        cumulated, torch.tensor(uniforms, dtype=torch.float64, device=device)[:, None], right=True
    )
    greedy = [sampling.temperature == 0 for sampling in samplings]
    if any(greedy):
        drawn = torch.where(torch.tensor(greedy, device=device)[:, None], logprobs.argmax(-1, keepdim=True), drawn)
    return drawn[:, 0].tolist(), logprobs.gather(1, drawn)[:, 0].tolist()


def _cuts(sampling: Sampling) -> bool:
    return sampling.temperature > 0 and (sampling.top_k > 0 or sampling.top_p < 1)


def _cut(logprobs: torch.Tensor, samplings: Sequence[Sampling]) -> torch.Tensor:
    """Tokens outside `top_k` and `top_p` at minus infinity, the rest renormalised."""
    import torch

    vocabulary = logprobs.shape[1]
    device = logprobs.device
    kept = torch.tensor([min(sampling.top_k, vocabulary) or vocabulary for sampling in samplings], device=device)
    share = torch.tensor([sampling.top_p for sampling in samplings], device=device)[:, None]
    # Only as many as any row keeps are sorted.
    values, tokens = logprobs.topk(int(kept.max()), dim=-1)
    values = values.masked_fill(torch.arange(values.shape[1], device=device) >= kept[:, None], -torch.inf)
    mass = values.softmax(-1)
    before = mass.cumsum(-1) - mass
    # The likeliest token has nothing before it and always stays. At top_p 1 rounding must not cut a tail.
    values = values.masked_fill((before >= share) & (share < 1), -torch.inf)
    return torch.full_like(logprobs, -torch.inf).scatter_(1, tokens, values).log_softmax(-1)
