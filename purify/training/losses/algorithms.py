"""The algorithms by name, and the loss of a pack. A new one is a function, and an entry here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from purify.training.config import LossConfig
from purify.training.losses.aggregate import Norm, aggregate
from purify.training.losses.awr import awr
from purify.training.losses.cispo import cispo
from purify.training.losses.correction import correction
from purify.training.losses.diagnostics import Diagnostics, diagnose, diagnose_pairs
from purify.training.losses.dpo import dpo
from purify.training.losses.grpo import grpo
from purify.training.losses.gspo import gspo
from purify.training.losses.kl import kl
from purify.training.losses.nll import nll
from purify.training.losses.oapl import oapl
from purify.training.losses.tokens import Tokens
from purify.training.losses.topr import topr


@dataclass(frozen=True)
class Algorithm:
    """A loss with its usual settings. Options of the same name overrule `options`."""

    loss: Callable[..., torch.Tensor]
    aggregation: str = "token_mean"
    advantage: str = "mean_std"
    needs_old: bool = True
    """Whether it compares with the policy that scored the data."""
    of_sequence: bool = False
    """Whether it clips the ratio of whole trajectories."""
    options: dict[str, float | None] = field(default_factory=dict)


_CLIP: dict[str, float | None] = {"clip_low": 0.2, "clip_high": 0.28}
_PPO = {**_CLIP, "dual_clip": None}
ALGORITHMS: dict[str, Algorithm] = {
    "grpo": Algorithm(grpo, "sequence_mean", options=_PPO),
    "dr_grpo": Algorithm(grpo, "constant", "mean", options=_PPO),
    "dapo": Algorithm(grpo, options=_PPO),
    "gspo": Algorithm(gspo, "sequence_mean", of_sequence=True, options={"clip_low": 3e-4, "clip_high": 4e-4}),
    "cispo": Algorithm(cispo, options={"clip_high": 4.0}),
    "topr": Algorithm(topr, advantage="mean"),
    "oapl": Algorithm(oapl, "sequence_mean", "optimal", options={"beta": 1.0}),
    "awr": Algorithm(awr, needs_old=False, options={"beta": 1.0}),
    "rft": Algorithm(nll, needs_old=False),
    "sft": Algorithm(nll, needs_old=False),
    "dpo": Algorithm(dpo, "sequence_mean", needs_old=False, options={"beta": 0.1}),
}


def options_of(config: LossConfig) -> dict[str, float | None]:
    """The loss's own options: the algorithm's, overruled by those that are given."""
    defaults = ALGORITHMS[config.algorithm].options
    return {name: default if (given := getattr(config, name)) is None else given for name, default in defaults.items()}


def pack_loss(tokens: Tokens, mu: torch.Tensor, config: LossConfig, norm: Norm) -> tuple[torch.Tensor, Diagnostics]:
    """A pack's share of the update's loss. `mu` [N] are sampled log-probs, NaN where unknown."""
    algorithm, options = ALGORITHMS[config.algorithm], options_of(config)
    losses = algorithm.loss(tokens, **options)
    weights = None
    if config.correction != "none":
        weights = correction(
            tokens,
            mu,
            how=config.correction,
            level=config.correction_level,
            cap=config.correction_cap,
            low=config.correction_low,
        )
        losses = losses * weights
    if config.kl_coef:
        if tokens.reference is None:
            raise ValueError("a KL needs the log-probs of a reference")
        losses = losses + config.kl_coef * kl(tokens.logprobs, tokens.reference, config.kl)
    if config.algorithm == "dpo":
        found = diagnose_pairs(tokens, float(options["beta"] or 0))
    elif algorithm.needs_old:
        found = diagnose(
            tokens,
            weights,
            clip_low=options.get("clip_low"),
            clip_high=options.get("clip_high"),
            of_sequence=algorithm.of_sequence,
        )
    else:
        found = Diagnostics()
    return aggregate(losses, tokens, norm, config.aggregation or algorithm.aggregation), found
