"""One update: packs forward and backward, one step of the optimizer, and what there is to say of it.

    loss = sum over packs of aggregate(w_t loss_t + c KL_t)

`aggregate` divides by the whole update's normaliser, so that the sum over packs and processes is the loss of the batch.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from purify.errors import PurifyError
from purify.training.assemble import Inputs, Update, inputs_of, new_update
from purify.training.batches import Unit, packs_of
from purify.training.config import TrainConfig
from purify.training.flops import Shape, peak_flops, training_flops
from purify.training.losses.algorithms import pack_loss
from purify.training.losses.diagnostics import Diagnostics
from purify.training.losses.tokens import Tokens
from purify.training.parallel import World
from purify.training.prepare import Prepared
from purify.training.reference import Reference
from purify.training.state import TrainerState


@dataclass
class _Sums:
    """What the packs of an update add up to, here or over all processes."""

    loss: float = 0.0
    entropy: float = 0.0
    tokens: int = 0
    diagnostics: list[Diagnostics] = field(default_factory=list)
    problem: str | None = None
    """The first pack whose loss is not a number. The others are gone through all the same: under FSDP every pass is a
    meeting of all processes."""


@dataclass(frozen=True)
class Loop:
    """What stays the same from update to update."""

    data: Prepared
    config: TrainConfig
    reference: Reference | None
    world: World
    shape: Shape

    def update(self, state: TrainerState, units: list[Unit], epoch: int) -> dict[str, float | None]:
        """Train on these trajectories; returns the metrics.

        Raises `PurifyError` if the loss is not a number, or if memory does not suffice. The weights are then those of
        before the update.
        """
        started = time.perf_counter()
        update = new_update(units, self.data, self.config)
        packs = packs_of(units, self.data.examples.lengths, self.config.pack_tokens, self.world.size)[self.world.rank]
        sums = _Sums()
        # A process without memory leaves at once, and torchrun ends the others: it could not keep them company.
        with self._memory(packs):
            for members in packs:
                self._accumulate(state, [index for unit in members for index in unit], update, sums)
        if self.world.agree(sums.problem is not None):
            state.optimizer.zero_grad()
            raise PurifyError(sums.problem or "another process stopped; its message says why")
        with self._memory(packs):
            norm, rate = self._step(state, units)
        return self._metrics(update, sums, norm, rate, epoch, time.perf_counter() - started)

    def _step(self, state: TrainerState, units: list[Unit]) -> tuple[float, float]:
        """Move the weights by what was accumulated; the gradient's length and the learning rate."""
        state.scaler.unscale_(state.optimizer)
        norm = torch.nn.utils.clip_grad_norm_(_trainable(state), self.config.max_grad_norm)
        norm = norm.full_tensor() if hasattr(norm, "full_tensor") else norm
        if not (torch.isfinite(norm) or state.scaler.is_enabled()):
            state.optimizer.zero_grad()
            raise PurifyError(f"the gradient is not finite, in {self._named(units)}; {_MEND_NAN}")
        rate = state.schedule.get_last_lr()[0]
        state.scaler.step(state.optimizer)
        state.scaler.update()
        state.schedule.step()
        state.optimizer.zero_grad()
        state.step += 1
        return float(norm), rate

    def _accumulate(self, state: TrainerState, members: list[int], update: Update, sums: _Sums) -> None:
        """Add a pack's gradient. One without members, or without a trained token, only keeps the others company."""
        idle = not any(update.trained[index].mask.any() for index in members)
        if idle and self.world.size == 1:
            return
        if idle:
            members = [min(update.trained, key=lambda index: len(update.trained[index].example.ids))]
        inputs = inputs_of(members, update, self.data, self.config, self.reference, self.world.device)
        if idle:
            at = torch.ones(1, dtype=torch.int64, device=self.world.device)
            state.scaler.scale(state.policy(inputs.pack, at).logprobs.sum() * 0).backward()
            return
        scores = state.policy(inputs.pack, inputs.at, inputs.temperature, entropy=True)
        tokens = _tokens(inputs, scores.logprobs)
        loss, diagnostics = pack_loss(tokens, inputs.mu, self.config, update.norm)
        if sums.problem is None and not torch.isfinite(loss):
            sums.problem = f"the loss is {loss.item()}, in {self._named([tuple(members)])}; {_MEND_NAN}"
        # FSDP averages gradients over the processes; the loss is a sum over them.
        state.scaler.scale(loss * self.world.size).backward()
        sums.loss += loss.item()
        sums.entropy += float(scores.entropy.sum())
        sums.tokens += len(inputs.at)
        sums.diagnostics.append(diagnostics)

    def _metrics(
        self, update: Update, sums: _Sums, norm: float, rate: float, epoch: int, seconds: float
    ) -> dict[str, float | None]:
        everyone: list[Any] = self.world.gather(sums)
        tokens = sum(each.tokens for each in everyone) or 1
        members = [index for unit in update.units for index in unit]
        lengths = self.data.examples.lengths[members]
        rewards = self.data.rewards[members]
        known = rewards[~np.isnan(rewards)]
        found = Diagnostics.merge([one for each in everyone for one in each.diagnostics])
        return {
            "epoch": epoch,
            "loss": sum(each.loss for each in everyone),
            "reward_mean": float(known.mean()) if len(known) else None,
            **found.metrics(),
            "entropy": sum(each.entropy for each in everyone) / tokens,
            "grad_norm": norm,
            "learning_rate": rate,
            "trajectories": len(members),
            "trained_tokens": update.norm.tokens,
            "grafted_share": update.grafted / max(1, update.norm.tokens),
            "zero_variance_groups": self.data.counts.get("zero_variance_groups", 0),
            "tokens_per_s": float(lengths.sum()) / seconds,
            "mfu": self._mfu(lengths.tolist(), int(update.norm.tokens), seconds),
            "seconds": seconds,
        }

    def _mfu(self, lengths: list[int], trained: int, seconds: float) -> float | None:
        """Useful FLOPs over those that the devices could have done; None where their peak is not known."""
        if self.world.device.type != "cuda":
            return None
        peak = peak_flops(torch.cuda.get_device_name(self.world.device))
        done = training_flops(self.shape, lengths, trained)
        return None if peak is None else done / (seconds * peak * self.world.size)

    def _named(self, units: list[Unit]) -> str:
        """Which trajectories, by their rows in the dataset."""
        rows = sorted({int(self.data.examples.rows[index]) for unit in units for index in unit})
        told = ", ".join(map(str, rows[:8])) + (f" and {len(rows) - 8} more" if len(rows) > 8 else "")
        return f"the pack of rows {told}"

    @contextmanager
    def _memory(self, packs: list[list[Unit]]) -> Iterator[None]:
        """Where memory does not suffice, say which option needs less of it."""
        try:
            yield
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if not isinstance(error, torch.OutOfMemoryError | MemoryError) and "can't allocate memory" not in str(
                error
            ):
                raise
            raise PurifyError(self._too_large(packs)) from None

    def _too_large(self, packs: list[list[Unit]]) -> str:
        longest = max((int(self.data.examples.lengths[i]) for pack in packs for unit in pack for i in unit), default=0)
        return (
            f"out of memory: packs have up to {max(self.config.pack_tokens, longest):,} tokens (the longest trajectory "
            f"{longest:,}); use a smaller --pack-tokens, --activation-checkpointing or more devices; "
            "the last checkpoint is kept, add --resume (a --lora needs less, too, and is a run of its own)"
        )


_MEND_NAN = (
    "nothing of it was learned and the last checkpoint is kept; look at these rows with `purify inspect --row`, "
    "lower --learning-rate, or use --dtype float32"
)


def _tokens(inputs: Inputs, logprobs: torch.Tensor) -> Tokens:
    return Tokens(
        logprobs=logprobs,
        old=logprobs.detach() if inputs.old is None else inputs.old,
        advantages=inputs.advantages,
        sequence=inputs.sequence,
        trajectories=inputs.trajectories,
        reference=inputs.reference,
    )


def _trainable(state: TrainerState) -> list[torch.nn.Parameter]:
    return [parameter for parameter in state.policy.parameters() if parameter.requires_grad]
