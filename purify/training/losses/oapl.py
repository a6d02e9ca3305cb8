"""OAPL (arXiv 2602.19362): the log-ratio to the policy that sampled is fitted to the optimal advantage.

The optimum of E[r] - beta KL(pi || pi_old) satisfies

beta log(pi / pi_old) = r - V*,   V* = beta log E_old exp(r / beta)

L = (beta sum_t (log pi - log pi_old) - A*)^2,   A* = r - beta log mean_group exp(r / beta)

No ratio and no clipping, so data may be old.
"""

from __future__ import annotations

import torch

from purify.training.losses.tokens import Tokens


def oapl(tokens: Tokens, *, beta: float) -> torch.Tensor:
    """The trajectory's loss at each of its tokens [N]; with `sequence_mean`, the mean over trajectories."""
    gap = beta * tokens.sums(tokens.logprobs - tokens.old) - tokens.means(tokens.advantages)
    return gap.square()[tokens.sequence]
