"""TOPR (arXiv 2503.14286, equation 9): positives as in supervised training, negatives as far as the policy agrees.

A >= 0:  L_t = -A log pi
A <  0:  L_t = -stop_gradient(min(1, pi(trajectory) / pi_old(trajectory))) A log pi

The paper sums over a trajectory's tokens and averages over trajectories; `token_mean` is that times a constant.
"""

from __future__ import annotations

import torch

from purify.training.losses.tokens import Tokens


def topr(tokens: Tokens) -> torch.Tensor:
    """Token losses [N]."""
    agreed = torch.exp(tokens.sums(tokens.logprobs.detach() - tokens.old).clamp(max=0))[tokens.sequence]
    weight = torch.where(tokens.advantages < 0, agreed, 1.0)
    return -weight * tokens.advantages * tokens.logprobs
