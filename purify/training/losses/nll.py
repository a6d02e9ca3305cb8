"""Supervised training: L_t = -log pi. On trajectories with a good reward alone it is rejection sampling (RFT)."""

from __future__ import annotations

import torch

from purify.training.losses.tokens import Tokens


def nll(tokens: Tokens) -> torch.Tensor:
    """Token losses [N]."""
    return -tokens.logprobs
