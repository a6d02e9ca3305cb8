"""What an update's tokens tell: ratios, clipping, divergence from the old policy. Sums, so that packs add up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from purify.training.losses.dpo import preferred_by
from purify.training.losses.kl import kl
from purify.training.losses.tokens import Tokens


class Diagnostics(NamedTuple):
    """Of some tokens; `merge` adds them up, `metrics` divides."""

    tokens: int = 0
    clipped_low: int = 0
    clipped_high: int = 0
    kl: float = 0.0
    ratio: float = 0.0
    ratio_squared: float = 0.0
    ratio_min: float = float("inf")
    ratio_max: float = float("-inf")
    weight: float = 0.0
    reference_tokens: int = 0
    reference_kl: float = 0.0
    pairs: int = 0
    margin: float = 0.0
    preferred: int = 0

    @classmethod
    def merge(cls, parts: Sequence[Diagnostics]) -> Diagnostics:
        """Of all their tokens together."""
        if not parts:
            return cls()
        extremes = {"ratio_min": min, "ratio_max": max}
        return cls(
            *(
                extremes.get(name, sum)(values)
                for name, values in zip(cls._fields, zip(*parts, strict=True), strict=True)
            )
        )

    def metrics(self) -> dict[str, float | None]:
        """By name. The effective sample size is (sum r)^2 / (N sum r^2): 1 where all ratios are equal."""
        n = self.tokens
        found: dict[str, float | None] = {
            "clip_low": self.clipped_low / n if n else None,
            "clip_high": self.clipped_high / n if n else None,
            "approx_kl": self.kl / n if n else None,
            "ratio_min": self.ratio_min if n else None,
            "ratio_mean": self.ratio / n if n else None,
            "ratio_max": self.ratio_max if n else None,
            "effective_sample_size": self.ratio**2 / (n * self.ratio_squared) if self.ratio_squared else None,
            "correction_mean": self.weight / n if n else None,
        }
        if self.reference_tokens:
            found["reference_kl"] = self.reference_kl / self.reference_tokens
        if self.pairs:
            found |= {"margin": self.margin / self.pairs, "preferred_share": self.preferred / self.pairs}
        return found


def diagnose(
    tokens: Tokens, weights: torch.Tensor | None, *, clip_low: float | None, clip_high: float | None, of_sequence: bool
) -> Diagnostics:
    """A bound is None where the algorithm has none; `of_sequence`: it clips the ratio of whole trajectories."""
    log_ratio = tokens.logprobs.detach() - tokens.old
    ratio = log_ratio.exp()
    judged = torch.exp(tokens.means(log_ratio))[tokens.sequence] if of_sequence else ratio
    low = (judged < 1 - clip_low) & (tokens.advantages < 0) if clip_low is not None else None
    high = (judged > 1 + clip_high) & (tokens.advantages > 0) if clip_high is not None else None
    return Diagnostics(
        tokens=len(ratio),
        clipped_low=0 if low is None else int(low.sum()),
        clipped_high=0 if high is None else int(high.sum()),
        kl=float(kl(tokens.logprobs.detach(), tokens.old, "k3").sum()),
        ratio=float(ratio.sum()),
        ratio_squared=float(ratio.square().sum()),
        ratio_min=float(ratio.min()),
        ratio_max=float(ratio.max()),
        weight=float(len(ratio)) if weights is None else float(weights.sum()),
        reference_tokens=0 if tokens.reference is None else len(ratio),
        reference_kl=0.0
        if tokens.reference is None
        else float(kl(tokens.logprobs.detach(), tokens.reference, "k3").sum()),
    )


def diagnose_pairs(tokens: Tokens, beta: float) -> Diagnostics:
    """Of pairs: the implicit reward's margin, beta h, and how many prefer what they should."""
    margin = beta * preferred_by(tokens).detach()
    return Diagnostics(pairs=len(margin), margin=float(margin.sum()), preferred=int((margin > 0).sum()))
