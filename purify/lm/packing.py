"""Put several sequences end to end, so that no token of a batch is padding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch


class Pack(NamedTuple):
    """Whole sequences, end to end. T tokens, n sequences."""

    input_ids: torch.Tensor
    """[T] int64."""
    position_ids: torch.Tensor
    """[T] int64: starts at 0 in each sequence."""
    starts: torch.Tensor
    """[n + 1] int32: where each sequence begins, and T."""
    lengths: tuple[int, ...]
    """The same as numbers of Python: attention on a CPU loops over them, and no kernel waits for a copy."""


def pack(sequences: Sequence[np.ndarray], device: torch.device | str = "cpu") -> Pack:
    """Join sequences of ids (one-dimensional integer arrays)."""
    lengths = tuple(len(sequence) for sequence in sequences)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    ids = np.concatenate(sequences).astype(np.int64)
    positions = np.arange(starts[-1]) - np.repeat(starts[:-1], lengths)
    return Pack(
        input_ids=torch.from_numpy(ids).to(device),
        position_ids=torch.from_numpy(positions).to(device),
        starts=torch.from_numpy(starts.astype(np.int32)).to(device),
        lengths=lengths,
    )


def fill(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Which sequences share a pack: first fit, the longest first. A sequence above `capacity` is alone.

    Returns indices into `lengths`; packs and their members are in a fixed order, so equal input gives equal packs.
    """
    packs: list[list[int]] = []
    room: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda index: (-lengths[index], index)):
        place = next((at for at, left in enumerate(room) if left >= lengths[index]), None)
        if place is None:
            packs.append([])
            room.append(capacity)
            place = len(packs) - 1
        packs[place].append(index)
        room[place] -= lengths[index]
    return packs
