"""From token losses to one number, divided by what the whole update holds: a pack gives its share, and shares add up.

token_mean:     sum over tokens / tokens of the update                      (DAPO)
sequence_mean:  sum over trajectories of their mean / trajectories          (GRPO)
constant:       sum over tokens / (trajectories x a constant length)        (Dr.GRPO)
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from purify.training.losses.tokens import Tokens


class Norm(NamedTuple):
    """Of a whole update, over all packs and processes."""

    tokens: int
    """Trained tokens."""
    sequences: int
    """Trajectories with a trained token. One without has nothing to say and is not counted."""
    length: int
    """The constant."""


def aggregate(losses: torch.Tensor, tokens: Tokens, norm: Norm, how: str) -> torch.Tensor:
    """The share of these tokens in the update's loss."""
    if how == "token_mean":
        return losses.sum() / norm.tokens
    if how == "sequence_mean":
        return tokens.means(losses).sum() / norm.sequences
    return losses.sum() / (norm.sequences * norm.length)
