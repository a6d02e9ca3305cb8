"""However trajectories are spread over packs, the shares of the packs add up to the loss of one big batch."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from purify.training.config import AlgorithmName, LossConfig

AGGREGATIONS = ("token_mean", "sequence_mean", "constant")


@st.composite
def batches(draw: st.DrawFn) -> tuple[list[int], list[int], int]:
    """Trained tokens of each trajectory, how many pairs of trajectories each pack has, and a seed."""
    packs = draw(st.lists(st.integers(1, 2), min_size=1, max_size=4))
    lengths = draw(st.lists(st.integers(0, 4), min_size=2 * sum(packs), max_size=2 * sum(packs)))
    lengths[-1] += 1  # an update without any trained token has no loss
    return lengths, packs, draw(st.integers(0, 2**32 - 1))


def share(values: dict[str, Any], lengths: list[int], at: slice, config: LossConfig, norm: Any) -> Any:
    """(loss, diagnostics) of a pack of the trajectories `at`."""
    import torch

    from purify.training.losses.algorithms import pack_loss
    from purify.training.losses.tokens import Tokens

    first, last = sum(lengths[: at.start]), sum(lengths[: at.stop])
    own = torch.tensor(lengths[at])
    chosen = {name: value[first:last] for name, value in values.items()}
    mu = chosen.pop("mu")
    tokens = Tokens(**chosen, sequence=torch.arange(len(own)).repeat_interleave(own), trajectories=len(own))
    return pack_loss(tokens, mu, config, norm)


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("algorithm", get_args(AlgorithmName))
@settings(deadline=None, max_examples=15)
@given(batch=batches())
def test_packs_add_up(algorithm: str, aggregation: str, batch: tuple[list[int], list[int], int]) -> None:
    import torch

    from purify.training.losses.aggregate import Norm
    from purify.training.losses.diagnostics import Diagnostics

    lengths, packs, seed = batch
    total = sum(lengths)
    random = np.random.default_rng(seed)
    # float64, so that only a wrong formula can differ.
    names = ("logprobs", "old", "reference", "mu")
    values = {name: torch.from_numpy(-random.exponential(1.0, total)) for name in names}
    values["mu"][random.random(total) < 0.3] = float("nan")
    values["advantages"] = torch.from_numpy(np.repeat(random.normal(0, 1, len(lengths)), lengths))
    config = LossConfig.model_validate(
        {"algorithm": algorithm, "aggregation": aggregation, "correction": "truncate", "kl_coef": 0.1}
    )
    norm = Norm(total, sum(length > 0 for length in lengths), 7)

    def spread(sizes: list[int]) -> tuple[float, list[float], Diagnostics]:
        logprobs = values["logprobs"].clone().requires_grad_()
        loss, found, start = torch.zeros((), dtype=torch.float64), [], 0
        for size in sizes:
            at = slice(start, start + 2 * size)
            start += 2 * size
            if sum(lengths[at]):  # the trainer passes over a pack without a trained token
                part, told = share(values | {"logprobs": logprobs}, lengths, at, config, norm)
                loss = loss + part
                found.append(told)
        loss.backward()
        assert logprobs.grad is not None
        return loss.item(), logprobs.grad.tolist(), Diagnostics.merge(found)

    loss, gradient, told = spread(packs)
    whole, whole_gradient, whole_told = spread([sum(packs)])
    assert np.isfinite(whole)
    assert loss == pytest.approx(whole, rel=1e-9, abs=1e-9)
    assert gradient == pytest.approx(whole_gradient, rel=1e-9, abs=1e-9)
    if algorithm != "dpo":  # a pair without tokens is seen only by a pack that has others
        assert list(told) == pytest.approx(list(whole_told), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("algorithm", [name for name in get_args(AlgorithmName) if name != "dpo"])
def test_a_trajectory_without_a_trained_token_changes_nothing(algorithm: str) -> None:
    import torch

    from purify.training.losses.aggregate import Norm

    values = {
        "logprobs": torch.tensor([0.6, 0.1, 0.8]).log(),
        "old": torch.tensor([0.4, 0.2, 0.5]).log(),
        "advantages": torch.tensor([2.0, 2.0, -1.0]),
        "mu": torch.tensor([float("nan")] * 3),
    }
    config = LossConfig.model_validate({"algorithm": algorithm})
    results = [
        share(values, lengths, slice(0, len(lengths)), config, Norm(3, 2, 7)) for lengths in ([2, 1], [0, 2, 0, 1, 0])
    ]
    assert results[0][0].item() == results[1][0].item()
    assert results[0][1] == results[1][1]
