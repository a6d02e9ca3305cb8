"""DPO (arXiv 2305.18290, equation 7) on pairs: what an edit put there (w) against what it replaced (l).

h = log pi(w) / pi_ref(w) - log pi(l) / pi_ref(l)
L = -log sigmoid(beta h)
"""

from __future__ import annotations

import torch
from torch.nn.functional import logsigmoid

from purify.training.losses.tokens import Tokens


def dpo(tokens: Tokens, *, beta: float) -> torch.Tensor:
    """The pair's loss at each token of both sides [N]; with `sequence_mean`, the mean over pairs."""
    loss = -logsigmoid(beta * preferred_by(tokens))
    return loss.repeat_interleave(2)[tokens.sequence]


def preferred_by(tokens: Tokens) -> torch.Tensor:
    """h of each pair [trajectories / 2]; 2k and 2k + 1 are the two sides of pair k, the preferred one first."""
    if tokens.reference is None:
        raise ValueError("dpo needs the log-probs of a reference")
    chosen, rejected = tokens.sums(tokens.logprobs - tokens.reference).view(-1, 2).unbind(1)
    return chosen - rejected
