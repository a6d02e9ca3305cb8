"""Log-probs of a reference policy, once for all tokens: the data does not change, so neither do they.

Where the reference is the policy that training begins with, and that policy scored the data, they are the scores. In
every other case one pass before the first update finds them; with LoRA it is a pass with the adapters off.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from purify.lm.packing import fill, pack
from purify.lm.policy import Policy
from purify.training.examples import Examples
from purify.training.parallel import World

REFERENCE_FILE = "reference.npy"
_WINDOW = 4096
"""Examples that are packed together: filling packs takes the square of it."""


class Reference:
    """One log-prob a token of each example."""

    def __init__(self, examples: Examples, values: npt.NDArray[np.float32] | None) -> None:
        """`values`: all of them, examples end to end; None: the scores are theirs."""
        self._examples = examples
        self._values = values
        self._offsets = np.concatenate([[0], np.cumsum(examples.tokens)])

    def __getitem__(self, index: int) -> npt.NDArray[np.float32]:
        if self._values is None:
            return self._examples[index].old
        return self._values[self._offsets[index] : self._offsets[index + 1]]


def find_reference(
    policy: Policy, examples: Examples, folder: Path, world: World, *, pack_tokens: int, tempered: bool
) -> Reference:
    """Score all examples with `policy`, the processes sharing the work through a file in `folder`.

    `tempered`: at each example's temperature, else at 1.
    """
    path = folder / REFERENCE_FILE
    if world.first:
        np.lib.format.open_memmap(path, "w+", np.float32, (int(examples.tokens.sum()),)).flush()
    world.barrier()
    values = np.lib.format.open_memmap(path, "r+")
    offsets = np.concatenate([[0], np.cumsum(examples.tokens)])
    packs = [
        [first + place for place in members]
        for first in range(0, len(examples), _WINDOW)
        for members in fill(examples.lengths[first : first + _WINDOW].tolist(), pack_tokens)
    ]
    rounds = -(-len(packs) // world.size)
    with policy.as_reference():
        for number in range(rounds):
            place = number * world.size + world.rank
            members = packs[place] if place < len(packs) else packs[0][:1]  # all must take part
            found = _score(policy, examples, members, tempered=tempered)
            if place < len(packs):
                at = 0
                for index in members:
                    count = int(examples.tokens[index])
                    values[offsets[index] : offsets[index] + count] = found[at : at + count]
                    at += count
    values.flush()
    world.barrier()
    return Reference(examples, np.load(path, mmap_mode="r"))


def _score(policy: Policy, examples: Examples, members: list[int], *, tempered: bool) -> npt.NDArray[np.float32]:
    chosen = [examples[index] for index in members]
    joined = pack([example.ids for example in chosen], policy.device)
    at = np.concatenate([example.at + start for example, start in zip(chosen, _starts(joined.lengths), strict=True)])
    temperatures = examples.temperatures[members] if tempered else np.ones(len(members))
    temperature = np.repeat(temperatures, [len(example.at) for example in chosen])
    scores = policy(
        joined,
        torch.from_numpy(at.astype(np.int64)).to(policy.device),
        torch.from_numpy(temperature.astype(np.float32)).to(policy.device),
    )
    values: npt.NDArray[np.float32] = scores.logprobs.cpu().numpy()
    return values


def _starts(lengths: tuple[int, ...]) -> list[int]:
    return [0, *np.cumsum(lengths[:-1]).tolist()]
