"""Every option of `purify train`."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

AlgorithmName = Literal["grpo", "dr_grpo", "dapo", "gspo", "cispo", "topr", "oapl", "awr", "rft", "sft", "dpo"]
Allowance = Literal["unscored", "policy", "tokenizer", "template", "vocabulary", "unresolved"]
DtypeName = Literal["float32", "bfloat16", "float16"]


class LossConfig(BaseModel):
    """Which loss, on which tokens."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    algorithm: AlgorithmName = Field(default="grpo", description="The loss.")
    advantage: Literal["mean_std", "mean", "leave_one_out", "optimal"] | None = Field(
        default=None, description="How rewards of a group become advantages (default: the algorithm's own)."
    )
    aggregation: Literal["token_mean", "sequence_mean", "constant"] | None = Field(
        default=None, description="How token losses become one (default: the algorithm's own)."
    )
    constant_length: int = Field(default=20480, ge=1, description="Tokens that aggregation constant divides by.")
    clip_low: float | None = Field(
        default=None, gt=0, description="The ratio is clipped below 1 - this (default: the algorithm's own)."
    )
    clip_high: float | None = Field(
        default=None, gt=0, description="The ratio is clipped above 1 + this (default: the algorithm's own)."
    )
    dual_clip: float | None = Field(
        default=None, gt=1, description="With grpo, a negative advantage is multiplied by a ratio of at most this."
    )
    beta: float | None = Field(
        default=None, gt=0, description="Temperature of awr, oapl and dpo (default: the algorithm's own)."
    )
    kl_coef: float = Field(default=0.0, ge=0, description="Weight of the KL to the reference in the loss.")
    kl: Literal["k1", "k2", "k3"] = Field(default="k3", description="Which estimator of that KL.")
    reference: str | None = Field(
        default=None,
        description="Folder or name of the reference model (default: the policy that training begins with).",
    )
    correction: Literal["none", "truncate", "mask"] = Field(
        default="none", description="Weigh tokens by scored over sampled probability, up to a cap, or leave them out."
    )
    correction_level: Literal["token", "sequence"] = Field(
        default="token", description="Whether each token has its ratio, or each trajectory."
    )
    correction_cap: float = Field(default=2.0, gt=0, description="The largest ratio.")
    correction_low: float = Field(default=0.5, ge=0, description="With correction mask, the smallest ratio.")
    mask_failed: Literal["none", "winners", "all"] = Field(
        default="none",
        description="Leave failed turns out of the loss and in the context: nowhere, of winners alone, everywhere.",
    )
    spare_grafts: bool = Field(default=False, description="No negative advantage on what an edit put there.")
    penalty_after_failure: bool = Field(
        default=False, description="A negative advantage falls on the first failed turn and what follows (VPPO)."
    )
    min_reward: float = Field(default=0.0, description="rft trains on trajectories whose reward is above it.")


class OptimizerConfig(BaseModel):
    """How the weights move."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    learning_rate: float = Field(default=1e-6, gt=0, description="Of AdamW; with LoRA, 1e-5 to 1e-4 is usual.")
    schedule: Literal["constant", "linear", "cosine"] = Field(default="constant", description="After the warm-up.")
    warmup: int = Field(default=20, ge=0, description="Updates over which the learning rate rises.")
    weight_decay: float = Field(default=0.0, ge=0, description="Of AdamW.")
    beta1: float = Field(default=0.9, ge=0, lt=1, description="Of AdamW.")
    beta2: float = Field(default=0.999, ge=0, lt=1, description="Of AdamW.")
    max_grad_norm: float = Field(default=1.0, gt=0, description="Longer gradients are shortened to this.")
    batch_size: int = Field(default=512, ge=1, description="Trajectories (with dpo: pairs) an update.")
    epochs: int = Field(default=1, ge=1, description="How often the dataset is gone through.")
    updates: int | None = Field(
        default=None, ge=1, description="Stop after so many updates, with as many epochs as that takes."
    )


class MachineConfig(BaseModel):
    """What fits the machine. The data is the same whatever these say; numbers differ by rounding."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pack_tokens: int = Field(
        default=8192, ge=16, description="Tokens of a forward pass; a longer trajectory is alone in its own."
    )
    dtype: DtypeName | None = Field(
        default=None, description="Of the passes (default: bfloat16 on CUDA, float32 elsewhere)."
    )
    param_dtype: Literal["float32", "bfloat16"] = Field(
        default="float32",
        description="Of the trained weights and of the optimizer; bfloat16 drops updates below 1/256 of a weight.",
    )
    device: str = Field(default="auto", description="auto, cpu, cuda, cuda:1.")
    activation_checkpointing: bool = Field(default=False, description="Compute activations twice to hold fewer.")
    compile: bool = Field(default=False, description="Compile the layers with torch.compile.")
    logits_mb: int = Field(default=128, ge=1, description="MiB of logits held at a time.")


TRAINING_MACHINE = (
    *("device", "pack_tokens", "activation_checkpointing", "compile", "logits_mb"),
    *("save_every", "keep"),
)
"""Options that say where training runs and what it keeps. The numbers depend on them by rounding at most."""


class TrainConfig(MachineConfig, OptimizerConfig, LossConfig):
    """Every option of `purify train`."""

    model: str = Field(min_length=1, description="Hugging Face name or folder of the policy to train.")
    revision: str | None = Field(default=None, description="Branch, tag or commit of a model on the hub.")
    seed: int = Field(default=0, ge=0, description="Of the order of the trajectories, and of new LoRA weights.")
    allow: tuple[Allowance, ...] = Field(
        default=(), description="Train although the data is unscored, or scored by another policy, and so on."
    )
    keep_zero_variance: bool = Field(
        default=False, description="Keep groups whose rewards are all equal; their advantage is 0."
    )
    save_every: int = Field(default=50, ge=1, description="Updates between checkpoints; the last is always saved.")
    keep: int = Field(default=2, ge=1, description="Checkpoints that are kept, the newest ones.")

    lora: int | None = Field(default=None, ge=1, description="Train a LoRA of this rank instead of all weights.")
    lora_alpha: float | None = Field(default=None, gt=0, description="Of the LoRA (default: twice the rank).")
    lora_dropout: float = Field(default=0.0, ge=0, lt=1, description="Of the LoRA.")
    lora_targets: tuple[str, ...] = Field(
        default=("all-linear",), description="Modules that get a LoRA, as peft names them."
    )

    @field_validator("allow", "lora_targets", mode="before")
    @classmethod
    def _several(cls, value: object) -> object:
        """One name stands for a list of one, as on the command line."""
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _has_a_reader(self) -> Self:
        fields = TrainConfig.model_fields
        given = {name for name in self.model_fields_set if getattr(self, name) != fields[name].default}
        for name in sorted(given & _READ_WITH.keys()):
            if self.algorithm not in _READ_WITH[name]:
                raise ValueError(f"{name} is read only with {', '.join(_READ_WITH[name])}; not with {self.algorithm}")
        for condition, names in (
            (self.lora is not None, ("lora_alpha", "lora_dropout", "lora_targets")),
            (self.correction != "none", ("correction_level", "correction_cap")),
            (self.correction == "mask", ("correction_low",)),
            (self.kl_coef > 0, ("kl",)),
            (self.kl_coef > 0 or self.algorithm == "dpo", ("reference",)),
            (self.lora is None, ("param_dtype",)),
            ("constant" in (self.aggregation, _AGGREGATED.get(self.algorithm)), ("constant_length",)),
        ):
            if not condition and (idle := sorted(given & set(names))):
                raise ValueError(f"{idle[0]} is not read with these options: {_NEEDED[idle[0]]}")
        if self.correction == "mask" and self.correction_low >= self.correction_cap:
            raise ValueError("correction_low is not below correction_cap")
        if self.updates is not None and "epochs" in given:
            raise ValueError("updates and epochs both say when to stop; give one")
        return self


_CLIPPED = ("grpo", "dr_grpo", "dapo")
_PROPORTIONAL = (*_CLIPPED, "gspo", "cispo", "topr")
"""Their loss is proportional to each token's advantage: 0 takes a token out, and a smaller one moves it less."""
_READ_WITH: dict[str, tuple[str, ...]] = {
    "clip_low": (*_CLIPPED, "gspo"),
    "clip_high": (*_CLIPPED, "gspo", "cispo"),
    "dual_clip": _CLIPPED,
    "beta": ("awr", "oapl", "dpo"),
    "min_reward": ("rft",),
    "advantage": (*_PROPORTIONAL, "awr"),
    "aggregation": (*_PROPORTIONAL, "awr", "rft", "sft"),
    "spare_grafts": _PROPORTIONAL,
    "penalty_after_failure": _PROPORTIONAL,
    "mask_failed": (*_PROPORTIONAL, "oapl", "awr", "rft", "sft"),
    "correction": (*_PROPORTIONAL, "oapl"),
    "keep_zero_variance": (*_PROPORTIONAL, "awr"),
}
"""Options that only some algorithms can honour."""
_AGGREGATED = {"dr_grpo": "constant"}
_NEEDED = {
    **dict.fromkeys(("lora_alpha", "lora_dropout", "lora_targets"), "add lora"),
    **dict.fromkeys(("correction_level", "correction_cap"), "add correction truncate or mask"),
    "correction_low": "add correction mask",
    "kl": "add kl_coef",
    "reference": "add kl_coef",
    "constant_length": "add aggregation constant",
    "param_dtype": "leave lora out, whose weights are float32",
}
