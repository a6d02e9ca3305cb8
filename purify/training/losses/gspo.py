"""GSPO (arXiv 2507.18071, equations 5 and 7): the ratio is that of the whole trajectory, to the power 1 / length.

s = exp(mean_t (log pi - log pi_old))
s_t = stop_gradient(s) pi / stop_gradient(pi)
L_t = -min(s_t A_t, clip(s_t, 1 - low, 1 + high) A_t)      for every token t of the trajectory

With one advantage for all tokens value and gradient are those of s itself; this is the paper's GSPO-token (equations 13
and 14), in which a token whose advantage is 0 is not moved by the others.
"""

from __future__ import annotations

import torch

from purify.training.losses.tokens import Tokens


def gspo(tokens: Tokens, *, clip_low: float, clip_high: float) -> torch.Tensor:
    """Token losses [N]; with `sequence_mean`, the paper's objective."""
    logprobs = tokens.logprobs
    whole = torch.exp(tokens.means(logprobs.detach() - tokens.old))[tokens.sequence]
    ratio = whole * torch.exp(logprobs - logprobs.detach())
    clipped = ratio.clamp(1 - clip_low, 1 + clip_high)
    return torch.maximum(-ratio * tokens.advantages, -clipped * tokens.advantages)
