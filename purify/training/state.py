"""Everything that training goes on from: weights, optimizer, schedule, scaler and random numbers, exactly.

Under FSDP2 all processes gather what they hold and the first one writes it, so a run can go on with another number of
processes than it began with.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)

from purify.lm.policy import Policy
from purify.training.checkpoints import STATE, save_checkpoint, write_model
from purify.training.config import TrainConfig
from purify.training.lora import alpha_of, folded
from purify.training.parallel import World

_WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True)
_SPREAD = StateDictOptions(full_state_dict=True, broadcast_from_rank0=True)
_MODEL = "model."


@dataclass
class TrainerState:
    """What changes while training."""

    policy: Policy
    optimizer: torch.optim.Optimizer
    schedule: Any
    scaler: Any
    step: int = 0

    def save(self, run: Path, tokenizer: Any, dtype: torch.dtype, config: TrainConfig, world: World) -> None:
        """Write the checkpoint of this step. `dtype` is what the model came in.

        Raises `PurifyError` if the disk does not take it.
        """
        state = {
            name.removeprefix(_MODEL): value
            for name, value in get_model_state_dict(self.policy, options=_WHOLE).items()
        }
        optimizer = get_optimizer_state_dict(self.policy, self.optimizer, options=_WHOLE)
        random = world.gather(_random_state(world))
        problem: list[object] = []
        if world.first:
            trainer = {
                "optimizer": optimizer,
                "schedule": self.schedule.state_dict(),
                "scaler": self.scaler.state_dict(),
                "random": random,
                "adapter": {name: value for name, value in state.items() if ".lora_" in name},
            }

            def write(folder: Path) -> None:
                plain = state
                if config.lora is not None:
                    bare = {name.removeprefix("base_model.model."): value for name, value in state.items()}
                    plain = folded(bare, alpha_of(config) / config.lora)
                    self.policy.model.peft_config["default"].save_pretrained(str(folder / "adapter"))
                write_model(self.policy.base, tokenizer, folder, state=_untwinned(plain, self.policy), dtype=dtype)
                torch.save(trainer, folder / STATE)

            try:
                save_checkpoint(run, self.step, write, keep=config.keep)
            except Exception as error:
                problem.append(error)
        if world.agree(bool(problem)):
            raise problem[0] if problem else RuntimeError("the first process could not save")  # type: ignore[misc]

    def load(self, checkpoint: Path, step: int, world: World) -> None:
        """Go on from a checkpoint. The weights have been loaded; with LoRA the adapter is put on here."""
        stored = torch.load(checkpoint / STATE, map_location="cpu", weights_only=True)
        if stored["adapter"]:
            names = {f"{_MODEL}{name}": value for name, value in stored["adapter"].items()}
            options = StateDictOptions(full_state_dict=True, strict=False, broadcast_from_rank0=world.size > 1)
            set_model_state_dict(self.policy, names, options=options)
        options = _SPREAD if world.size > 1 else _WHOLE
        set_optimizer_state_dict(self.policy, self.optimizer, stored["optimizer"], options=options)
        self.schedule.load_state_dict(stored["schedule"])
        self.scaler.load_state_dict(stored["scaler"])
        if len(stored["random"]) == world.size:
            _set_random_state(stored["random"][world.rank], world)
        self.step = step


def _untwinned(state: dict[str, torch.Tensor], policy: Policy) -> dict[str, torch.Tensor]:
    """Without the second name of a tied weight: gathered from several processes, it would be saved twice."""
    tied = getattr(policy.base, "_tied_weights_keys", None) if policy.settings.tie_word_embeddings else None
    return {name: value for name, value in state.items() if name not in (tied or {})}


def _random_state(world: World) -> dict[str, torch.Tensor]:
    found = {"cpu": torch.get_rng_state()}
    if world.device.type == "cuda":
        found["cuda"] = torch.cuda.get_rng_state(world.device)
    return found


def _set_random_state(state: dict[str, torch.Tensor], world: World) -> None:
    torch.set_rng_state(state["cpu"])
    if "cuda" in state and world.device.type == "cuda":
        torch.cuda.set_rng_state(state["cuda"], world.device)
