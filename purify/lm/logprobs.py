"""Log-probs of chosen tokens from hidden states, without the logits ever being whole.

    log p(y) = z_y / T - logsumexp(z / T),   z = W h + b

A pass over a long sequence and a vocabulary of 150,000 would hold gigabytes of logits, twice with their gradient. Here
they are made for a few hundred tokens at a time, in the forward pass and again in the backward pass:

    d log p(y) / dz = (onehot(y) - softmax(z / T)) / T

which is exact, not an approximation. `liger-kernel` fuses head and loss in the same way, but needs the loss to be a sum
of cross-entropies with one weight for all tokens; a policy loss has a gradient of its own at every token.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch

CHUNK_BYTES = 128 * 2**20
"""Float32 logits held at a time; some temporaries of the same size come on top."""


class TokenScores(NamedTuple):
    """One value a chosen token, float32 [N]. Only `logprobs` carry a gradient."""

    logprobs: torch.Tensor
    entropy: torch.Tensor | None
    """H(p) of the distribution that the token was drawn from, in nats."""
    self_certainty: torch.Tensor | None
    """KL(uniform || p) = -log V - mean log p, in nats (arXiv 2502.18581, equation 5)."""


class Head(NamedTuple):
    """The last layer of a language model."""

    weight: torch.Tensor
    """[V, H]."""
    bias: torch.Tensor | None = None
    softcap: float | None = None
    """z -> c tanh(z / c), as Gemma 2 does."""


def token_scores(
    hidden: torch.Tensor,
    head: Head,
    targets: torch.Tensor,
    temperature: float | torch.Tensor = 1.0,
    *,
    entropy: bool = False,
    self_certainty: bool = False,
    chunk_bytes: int = CHUNK_BYTES,
) -> TokenScores:
    """Scores of `targets` [N] given the hidden states before them [N, H]; `temperature` is one, or one a token [N]."""
    at = torch.as_tensor(temperature, dtype=torch.float32, device=hidden.device).expand(len(hidden))
    size = max(1, chunk_bytes // (4 * len(head.weight)))
    options = (head.softcap, size, entropy, self_certainty)
    return TokenScores(*_TokenScores.apply(hidden, head.weight, head.bias, targets, at, options))


class _TokenScores(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        targets: torch.Tensor,
        temperature: torch.Tensor,
        options: tuple[float | None, int, bool, bool],
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        softcap, size, with_entropy, with_certainty = options
        count, cast = len(hidden), weight.to(hidden.dtype)
        logprobs, normaliser = (torch.empty(count, dtype=torch.float32, device=hidden.device) for _ in range(2))
        entropy = torch.empty_like(logprobs) if with_entropy else None
        certainty = torch.empty_like(logprobs) if with_certainty else None
        for start in range(0, count, size):
            rows = slice(start, start + size)
            z = _logits(hidden[rows], cast, bias, softcap)[0].div_(temperature[rows, None])
            normaliser[rows] = z.logsumexp(-1)
            logprobs[rows] = z.gather(1, targets[rows, None])[:, 0] - normaliser[rows]
            if certainty is not None:
                certainty[rows] = normaliser[rows] - z.mean(-1) - math.log(z.shape[1])
            if entropy is not None:
                p = (z - normaliser[rows, None]).exp_()
                entropy[rows] = normaliser[rows] - p.mul_(z).sum(-1)
        ctx.save_for_backward(hidden, weight, bias, targets, temperature, normaliser)
        ctx.softcap, ctx.size = softcap, size
        ctx.mark_non_differentiable(*(extra for extra in (entropy, certainty) if extra is not None))
        return logprobs, entropy, certainty

    @staticmethod
    def backward(ctx: Any, upstream: torch.Tensor, *_: Any) -> tuple[torch.Tensor | None, ...]:
        hidden, weight, bias, targets, temperature, normaliser = ctx.saved_tensors
        wants_hidden, wants_weight, wants_bias = ctx.needs_input_grad[:3]
        cast = weight.to(hidden.dtype)
        to_hidden = torch.empty_like(hidden) if wants_hidden else None
        # Summed over many chunks: in half precision the later ones would be lost.
        to_weight = torch.zeros(weight.shape, dtype=torch.float32, device=weight.device) if wants_weight else None
        to_bias = torch.zeros_like(bias, dtype=torch.float32) if wants_bias else None
        for start in range(0, len(hidden), ctx.size):
            rows = slice(start, start + ctx.size)
            z, slope = _logits(hidden[rows], cast, bias, ctx.softcap)
            scale = (upstream[rows] / temperature[rows])[:, None]
            # In place from here on: z becomes the gradient with respect to the logits.
            z.div_(temperature[rows, None]).sub_(normaliser[rows, None]).exp_().mul_(-scale)
            z.scatter_add_(1, targets[rows, None], scale)
            if slope is not None:
                z.mul_(slope)
            z = z.to(hidden.dtype)
            if to_hidden is not None:
                to_hidden[rows] = z @ cast
            if to_weight is not None:
                to_weight += (z.T @ hidden[rows]).float()
            if to_bias is not None:
                to_bias += z.float().sum(0)
        return (
            to_hidden,
            None if to_weight is None else to_weight.to(weight.dtype),
            None if to_bias is None else to_bias.to(bias.dtype),
            None,
            None,
            None,
        )


def _logits(
    hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, softcap: float | None
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Float32 logits [n, V], of which the caller may do what it likes, and their slope under the soft cap."""
    z = (hidden @ weight.T).float()
    if bias is not None:
        z += bias.float()
    if softcap is None:
        return z, None
    bent = z.div_(softcap).tanh_()
    return bent * softcap, 1 - bent.square()
