"""Model FLOPs of a training step, for the model FLOPs utilisation (MFU): useful work over what the device can do.

Of a sequence of n tokens, of which m are trained on, a multiplication and an addition being two FLOPs:

    forward = 2 n P  +  2 m V H  +  2 n^2 L A D        (A heads of width D in each of L layers, causal: half of n^2)
    training = 3 x forward;  with LoRA 2 x, as frozen weights need no gradient of their own

P are the weights of the layers' matrices, without embeddings; the head (V x H) sees the trained tokens alone. Padding,
recomputed activations and recomputed logits count nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from purify.lm.policy import Policy

PEAK = {"H100": 989e12, "H200": 989e12, "GH200": 989e12, "B200": 2250e12, "A100": 312e12, "L40S": 362e12}
"""Dense bfloat16 FLOP/s by a part of the device's name, from the vendor's data sheets (SXM forms)."""


class Shape(NamedTuple):
    """What the formula needs to know of a model."""

    matrices: int
    head: int
    attention: int
    """L x A x D."""
    passes: float
    """Training FLOPs over those of a forward pass."""


def shape_of(policy: Policy) -> Shape:
    """Read a model's shape. Call it before weights are sharded."""
    settings = policy.settings
    heads = settings.num_attention_heads
    width = getattr(settings, "head_dim", None) or settings.hidden_size // heads
    layers = policy.base.get_decoder().layers
    matrices = [p for name, p in layers.named_parameters() if p.ndim == 2 and "lora_" not in name]
    output = policy.base.get_output_embeddings().weight
    return Shape(
        matrices=sum(matrix.numel() for matrix in matrices),
        head=output.numel(),
        attention=settings.num_hidden_layers * heads * width,
        passes=3 if all(matrix.requires_grad for matrix in matrices) else 2,
    )


def training_flops(shape: Shape, lengths: Iterable[int], trained: int) -> float:
    """Of sequences with `lengths` tokens, of which `trained` in all are trained on."""
    forward = 2.0 * trained * shape.head
    for length in lengths:
        forward += 2.0 * length * shape.matrices + 2.0 * length * length * shape.attention
    return shape.passes * forward


def peak_flops(device_name: str) -> float | None:
    """What the device can do a second in bfloat16; None if it is not known here."""
    return next((peak for part, peak in PEAK.items() if part in device_name), None)
