"""AWR, advantage-weighted regression (arXiv 1910.00177, equation 8 and section 5.2).

L_t = -min(exp(A / beta), 20) log pi
"""

from __future__ import annotations

import torch

from purify.training.losses.tokens import Tokens

LARGEST_WEIGHT = 20.0


def awr(tokens: Tokens, *, beta: float) -> torch.Tensor:
    """Token losses [N]."""
    return -torch.exp(tokens.advantages / beta).clamp(max=LARGEST_WEIGHT) * tokens.logprobs
