"""Importance correction: the data was sampled by mu, its losses assume pi_old (truncated importance sampling).

w = pi_old / mu of a token, or of a trajectory's tokens together
truncate: min(w, cap);   mask: w if low <= w <= cap, else 0

mu is unknown (NaN) where nothing was stored, and from the first graft on, where it no longer describes the context.
There w = 1, and a trajectory's w is over the tokens that are known.
"""

from __future__ import annotations

import torch

from purify.training.losses.tokens import Tokens


def correction(tokens: Tokens, mu: torch.Tensor, *, how: str, level: str, cap: float, low: float) -> torch.Tensor:
    """The weight of each token [N], without gradient."""
    log_ratio = torch.where(torch.isnan(mu), 0.0, tokens.old - mu)
    if level == "sequence":
        log_ratio = tokens.sums(log_ratio)[tokens.sequence]
    ratio = torch.exp(log_ratio)
    if how == "truncate":
        return ratio.clamp(max=cap)
    return torch.where((ratio >= low) & (ratio <= cap), ratio, 0.0)
