"""Causal attention within each sequence of a pack: no dense mask, no padding.

On CUDA one variable-length kernel (`torch.nn.attention.varlen`); elsewhere each sequence by itself.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention

NAME = "purify_packed"


class Spans:
    """Where the sequences of a pack lie. A class of its own and no tuple: `torch.compile` looks into tuples, and would
    compile the layers again for every number of sequences."""

    __slots__ = ("lengths", "starts")

    def __init__(self, starts: torch.Tensor, lengths: tuple[int, ...]) -> None:
        self.starts = starts
        self.lengths = lengths


def register() -> str:
    """Make the attention known to transformers; returns the name for `attn_implementation`.

    A name without an entry among transformers' mask functions gets no mask at all, which is what is wanted.
    """
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, packed_attention)
    return NAME


@torch.compiler.disable  # type: ignore[untyped-decorator]
def packed_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    spans: Spans | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Query [1, H, T, D], key and value [1, K, T, D] -> ([1, T, H, D], None), as transformers asks."""
    if spans is None:
        raise ValueError("packed attention needs the spans of a pack")
    query, key, value = alike(query, key, value)
    if query.is_cuda and query.dtype in (torch.bfloat16, torch.float16):
        mixed = _varlen(query, key, value, spans, scaling, sliding_window)
    else:
        parts = zip(*(x.split(spans.lengths, dim=2) for x in (query, key, value)), strict=True)
        mixed = torch.cat([_one(q, k, v, scaling, sliding_window) for q, k, v in parts], dim=2).transpose(1, 2)
    return mixed, None


def alike(*tensors: torch.Tensor) -> list[torch.Tensor]:
    """In the precision of the pass. Under autocast norms and rotations leave query and key in that of the weights."""
    kind = tensors[0].device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else tensors[0].dtype
    return [tensor.to(dtype) for tensor in tensors]


def _one(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float | None, window: int | None
) -> torch.Tensor:
    length = query.shape[2]
    mask = None
    if window is not None and length > window:
        at = torch.arange(length, device=query.device)
        ago = at[:, None] - at[None, :]
        mask = (ago >= 0) & (ago < window)
    return scaled_dot_product_attention(
        query, key, value, attn_mask=mask, is_causal=mask is None, scale=scaling, enable_gqa=True
    )


def _varlen(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    spans: Spans,
    scaling: float | None,
    window: int | None,
) -> torch.Tensor:
    from torch.nn.attention.varlen import varlen_attn

    q, k, v = (x[0].transpose(0, 1).contiguous() for x in (query, key, value))
    back, longest = -1 if window is None else window - 1, max(spans.lengths)
    mixed = varlen_attn(
        q,
        k,
        v,
        spans.starts,
        spans.starts,
        longest,
        longest,
        scale=scaling,
        window_size=(back, 0),
        enable_gqa=q.shape[1] != k.shape[1],
    )
    return mixed[None]
