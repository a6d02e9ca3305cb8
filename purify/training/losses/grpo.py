"""GRPO (arXiv 2402.03300, equation 3) with DAPO's clip-higher (2503.14476, equation 8) and dual clip (1912.09729).

r_t = pi / pi_old
L_t = -min(r_t A, clip(r_t, 1 - low, 1 + high) A);   with dual clip c and A < 0:  min(L_t, -c A)

Averaged over each trajectory and then over trajectories this is GRPO; over all tokens it is DAPO; divided by a
constant, with advantages that are not divided by the standard deviation, it is Dr.GRPO (2503.20783).
"""

from __future__ import annotations

import torch

from purify.training.losses.tokens import Tokens


def grpo(tokens: Tokens, *, clip_low: float, clip_high: float, dual_clip: float | None = None) -> torch.Tensor:
    """Token losses [N]."""
    ratio = torch.exp(tokens.logprobs - tokens.old)
    clipped = ratio.clamp(1 - clip_low, 1 + clip_high)
    loss = torch.maximum(-ratio * tokens.advantages, -clipped * tokens.advantages)
    if dual_clip is None:
        return loss
    return torch.where(tokens.advantages < 0, torch.minimum(loss, -dual_clip * tokens.advantages), loss)
