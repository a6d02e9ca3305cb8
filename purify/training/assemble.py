"""Put trajectories into a pack, and pick out what the loss sees of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from purify.lm.packing import Pack, pack
from purify.training.batches import Unit
from purify.training.config import TrainConfig
from purify.training.examples import Example
from purify.training.losses.aggregate import Norm
from purify.training.losses.algorithms import ALGORITHMS
from purify.training.marks import GRAFTED, loss_mask, token_advantages
from purify.training.prepare import Prepared
from purify.training.reference import Reference


class Trained(NamedTuple):
    """A trajectory and which of its tokens are trained on, with which advantage."""

    example: Example
    mask: npt.NDArray[np.bool_]
    """Of each token of the model's."""
    advantages: npt.NDArray[np.float32]
    """The same."""


class Inputs(NamedTuple):
    """A pack and, of each trained token in it (N), what the loss needs. On the policy's device."""

    pack: Pack
    at: torch.Tensor
    temperature: torch.Tensor
    old: torch.Tensor | None
    """None where the algorithm does not compare with the policy that was scored."""
    mu: torch.Tensor
    advantages: torch.Tensor
    sequence: torch.Tensor
    trajectories: int
    reference: torch.Tensor | None


@dataclass(frozen=True)
class Update:
    """The trajectories of one update. Every process has all of it, and trains on its own packs."""

    units: Sequence[Unit]
    trained: dict[int, Trained]
    norm: Norm
    """What token losses are divided by, over all packs of all processes."""
    grafted: int
    """Trained tokens that an edit put there."""


def new_update(units: Sequence[Unit], data: Prepared, config: TrainConfig) -> Update:
    """Masks and advantages of an update's trajectories, and its normaliser."""
    trained: dict[int, Trained] = {}
    tokens = sequences = grafted = 0
    for index in (index for unit in units for index in unit):
        example = data.examples[index]
        mask = loss_mask(example.marks, winner=bool(data.winners[index]), mask_failed=config.mask_failed)
        advantages = token_advantages(
            example.marks,
            float(data.advantages[index]),
            spare_grafts=config.spare_grafts,
            penalty_after_failure=config.penalty_after_failure,
        )
        trained[index] = Trained(example, mask, advantages)
        tokens += int(mask.sum())
        sequences += bool(mask.any())
        grafted += int(((example.marks[mask] & GRAFTED) != 0).sum())
    return Update(units, trained, Norm(tokens, sequences, config.constant_length), grafted)


def inputs_of(
    members: Sequence[int],
    update: Update,
    data: Prepared,
    config: TrainConfig,
    reference: Reference | None,
    device: torch.device,
) -> Inputs:
    """The pack of some of an update's examples, in this order."""
    chosen = [update.trained[index] for index in members]
    joined = pack([trained.example.ids for trained in chosen], device)
    starts = np.concatenate([[0], np.cumsum(joined.lengths[:-1])])
    counts = [int(trained.mask.sum()) for trained in chosen]
    algorithm = ALGORITHMS[config.algorithm]

    def joint(values: list[npt.NDArray[np.generic]], kind: type[np.generic]) -> torch.Tensor:
        return torch.from_numpy(np.concatenate(values).astype(kind)).to(device)

    def masked(name: str) -> torch.Tensor:
        return joint([getattr(trained.example, name)[trained.mask] for trained in chosen], np.float32)

    temperatures = data.examples.temperatures[list(members)] if algorithm.needs_old else np.ones(len(chosen))
    return Inputs(
        pack=joined,
        at=joint([t.example.at[t.mask] + start for t, start in zip(chosen, starts, strict=True)], np.int64),
        temperature=joint([np.repeat(temperatures, counts)], np.float32),
        old=masked("old") if algorithm.needs_old else None,
        mu=masked("mu"),
        advantages=joint([trained.advantages[trained.mask] for trained in chosen], np.float32),
        sequence=joint([np.repeat(np.arange(len(chosen)), counts)], np.int64),
        trajectories=len(chosen),
        reference=None
        if reference is None
        else joint([reference[index][t.mask] for index, t in zip(members, chosen, strict=True)], np.float32),
    )
