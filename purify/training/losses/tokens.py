"""What a loss sees, and the few sums over trajectories that several losses need."""

from __future__ import annotations

from typing import NamedTuple

import torch


class Tokens(NamedTuple):
    """The trained tokens (N) of some whole trajectories, end to end. Only `logprobs` carries a gradient."""

    logprobs: torch.Tensor
    """[N] log pi_theta."""
    old: torch.Tensor
    """[N] log pi_old: the policy that scored the data."""
    advantages: torch.Tensor
    """[N]."""
    sequence: torch.Tensor
    """[N] int64: which trajectory a token belongs to, from 0 on, never decreasing."""
    trajectories: int
    """How many; one may have no trained token."""
    reference: torch.Tensor | None = None
    """[N] log-probs of the reference policy."""

    def sums(self, values: torch.Tensor) -> torch.Tensor:
        """[N] -> [trajectories]: summed over each trajectory's tokens."""
        return values.new_zeros(self.trajectories).index_add(0, self.sequence, values)

    def means(self, values: torch.Tensor) -> torch.Tensor:
        """[N] -> [trajectories]: averaged over each trajectory's tokens; 0 where it has none."""
        return self.sums(values) / self.lengths().clamp(min=1)

    def lengths(self) -> torch.Tensor:
        """[trajectories]: trained tokens of each trajectory."""
        return self.sums(torch.ones_like(self.logprobs))
