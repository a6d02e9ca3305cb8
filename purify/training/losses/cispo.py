"""CISPO (arXiv 2506.13585, equations 4 and 5): the ratio is a weight, bounded above, without a gradient of its own.

L_t = -stop_gradient(min(r_t, 1 + high)) A log pi

A token whose ratio is bounded still learns, which clipping would prevent.
"""

from __future__ import annotations

import torch

from purify.training.losses.tokens import Tokens


def cispo(tokens: Tokens, *, clip_high: float) -> torch.Tensor:
    """Token losses [N]."""
    weight = torch.exp(tokens.logprobs.detach() - tokens.old).clamp(max=1 + clip_high)
    return -weight * tokens.advantages * tokens.logprobs
