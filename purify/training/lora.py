"""LoRA by peft: put adapters on, and fold them into plain weights for whoever loads the checkpoint."""

from __future__ import annotations

import warnings
from typing import Any

import torch

from purify.errors import PurifyError
from purify.lm.policy import Policy
from purify.training.config import TrainConfig


def add_lora(policy: Policy, config: TrainConfig) -> None:
    """Freeze the model and put new adapters on it; at first they change nothing.

    Raises `PurifyError` if peft is missing, or if the model has no such modules.
    """
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError:
        raise PurifyError("--lora needs peft; install it with: pip install 'purify-trajectories[train]'") from None
    targets: Any = list(config.lora_targets)
    options = LoraConfig(
        r=config.lora,
        lora_alpha=alpha_of(config),
        lora_dropout=config.lora_dropout,
        target_modules=targets[0] if targets == ["all-linear"] else targets,
        task_type="CAUSAL_LM",
    )
    torch.manual_seed(config.seed)
    try:
        with warnings.catch_warnings():
            # peft asks transformers by a name that is going to be another one; nothing a user could do.
            warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
            policy.model = get_peft_model(policy.model, options)
    except ValueError as error:
        raise PurifyError(f"--lora-targets {','.join(targets)}: {str(error).splitlines()[0]}") from None


def alpha_of(config: TrainConfig) -> float:
    """The numerator of the LoRA's scale, alpha / rank."""
    return config.lora_alpha or 2.0 * (config.lora or 0)


def folded(state: dict[str, torch.Tensor], scale: float) -> dict[str, torch.Tensor]:
    """The state of a model with adapters -> that of a plain one: W + scale B A, under the names it had before.

    peft's own merging changes the weights in place, and taking it back is not exact.
    """
    plain: dict[str, torch.Tensor] = {}
    for name, value in state.items():
        if ".lora_" in name:
            continue
        if name.endswith(".base_layer.weight"):
            stem = name.removesuffix(".base_layer.weight")
            down, up = (state.get(f"{stem}.lora_{side}.default.weight") for side in "AB")
            if down is not None and up is not None:
                value = (value.float() + scale * (up.float() @ down.float())).to(value.dtype)
        plain[name.replace(".base_layer.", ".")] = value
    return plain
