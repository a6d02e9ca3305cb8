"""GSPO (arXiv 2507.18071, equations 5 and 7): the ratio is that of the whole trajectory, to the power 1 / length.

s = exp(mean_t (log pi - log pi_old))
L_t = -min(s A, clip(s, 1 - low, 1 + high) A)      for every token t of the trajectory
"""

from __future__ import annotations

import torch

from purify.training.losses.tokens import Tokens


def gspo(tokens: Tokens, *, clip_low: float, clip_high: float) -> torch.Tensor:
    """Token losses [N]; with `sequence_mean`, the paper's objective."""
    ratio = torch.exp(tokens.means(tokens.logprobs - tokens.old))[tokens.sequence]
    clipped = ratio.clamp(1 - clip_low, 1 + clip_high)
    return torch.maximum(-ratio * tokens.advantages, -clipped * tokens.advantages)
