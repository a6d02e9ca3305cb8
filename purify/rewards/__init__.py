"""Rewards of finished trajectories: verifiers, and overlong shaping as in DAPO."""

from __future__ import annotations

from purify.rewards.base import Verdict, Verifier
from purify.rewards.overlong import Overlong, overlong_penalty
from purify.rewards.reverify import Difference, Reverified, reverify
from purify.rewards.rewarder import Rewarder, needs_sandbox

__all__ = [
    "Difference",
    "Overlong",
    "Reverified",
    "Rewarder",
    "Verdict",
    "Verifier",
    "needs_sandbox",
    "overlong_penalty",
    "reverify",
]
