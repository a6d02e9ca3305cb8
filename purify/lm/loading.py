"""Load a checkpoint as a `Policy`, and prove that it scores as the model itself does before it is trusted."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from purify.engines.loading import check_model, reason
from purify.engines.models import load_causal
from purify.errors import PurifyError
from purify.lm.attention import register
from purify.lm.packing import pack
from purify.lm.policy import Policy

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.2, torch.float16: 0.05}
"""Of the mean distance of log-probs, in nats: above the rounding of a pass in this precision, below a real mistake."""


def load_policy(
    model: str,
    *,
    revision: str | None = None,
    dtype: str = "auto",
    compute_dtype: str | None = None,
    device: str = "auto",
) -> Policy:
    """Load a model with the attention for packs.

    `dtype` is that of the weights (auto: the checkpoint's); `compute_dtype` that of the passes (default: the same).
    Raises `PurifyError` if it cannot be loaded, or if it scores packed sequences differently from the model itself.
    """
    check_model(model)
    loaded = load_causal(model, revision, dtype, device, _unfit)
    policy = Policy(loaded, compute_dtype=_DTYPES[compute_dtype] if compute_dtype else loaded.dtype)
    try:
        apart = _difference(policy)
    except Exception as error:  # a model that takes no positions, or another attention
        raise PurifyError(_unfit(model, reason(error))) from None
    if not apart < _TOLERANCE[policy.compute_dtype]:
        raise PurifyError(_unfit(model, f"packed, its log-probs are {apart:.3g} nats off"))
    return policy


def _unfit(name: str, why: str) -> str:
    return f"{name}: packed sequences cannot be scored with this model ({why}); dense attention models are supported"


def _difference(policy: Policy) -> float:
    """How far log-probs of a pack of two sequences are from those of the plain model, one by one; a mean."""
    rows = [np.arange(11, 23) % policy.vocabulary, np.arange(5, 14) % policy.vocabulary]
    with torch.no_grad():
        with policy.casting():
            plain = torch.cat([_plain(policy.base, row) for row in rows])
        policy.base.set_attn_implementation(register())
        packed = pack(rows, policy.device)
        at = torch.tensor([index for index in range(sum(map(len, rows))) if index not in (0, len(rows[0]))])
        found = policy(packed, at.to(policy.device)).logprobs
    return float((plain - found).abs().mean())


def _plain(model: Any, row: np.ndarray) -> torch.Tensor:
    ids = torch.from_numpy(row).to(model.device)[None]
    logits = model(input_ids=ids).logits[0, :-1].float()
    return logits.log_softmax(-1).gather(1, ids[0, 1:, None])[:, 0]
