"""Estimators of KL(pi || pi_ref) from samples of pi (J. Schulman, "Approximating KL divergence", 2020).

with d = log pi_ref - log pi:   k1 = -d,   k2 = d^2 / 2,   k3 = exp(d) - 1 - d
"""

from __future__ import annotations

import torch


def kl(logprobs: torch.Tensor, reference: torch.Tensor, kind: str) -> torch.Tensor:
    """[N] each. k1 is unbiased and may be negative; k2 is biased; k3 is unbiased and never negative."""
    d = reference - logprobs
    if kind == "k1":
        return -d
    if kind == "k2":
        return d.square() / 2
    return torch.expm1(d) - d
