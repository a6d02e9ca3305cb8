"""Every loss on three tokens, with the numbers worked out by hand: two of one trajectory and one of another.

token  trajectory  log pi     log pi_old  A     ratio
0      0           log 0.6    log 0.4     2     1.5
1      0           log 0.1    log 0.2     2     0.5
2      1           log 0.8    log 0.5    -1     1.6
"""

from __future__ import annotations

from math import exp, log
from typing import Any

import pytest

from purify.training.config import LossConfig

L06, L01, L08 = log(0.6), log(0.1), log(0.8)


def tokens(**changes: Any) -> Any:
    import torch

    from purify.training.losses.tokens import Tokens

    known = {
        "logprobs": torch.tensor([0.6, 0.1, 0.8]).log().requires_grad_(),
        "old": torch.tensor([0.4, 0.2, 0.5]).log(),
        "advantages": torch.tensor([2.0, 2.0, -1.0]),
        "sequence": torch.tensor([0, 0, 1]),
        "trajectories": 2,
        "reference": torch.tensor([0.3, 0.1, 0.4]).log(),
    }
    return Tokens(**(known | changes))


def check(losses: Any, given: Any, values: list[float], gradient: list[float]) -> None:
    """Token losses, and the derivative of their sum by each log-prob."""
    assert losses.tolist() == pytest.approx(values, abs=1e-5)
    losses.sum().backward()
    assert given.logprobs.grad.tolist() == pytest.approx(gradient, abs=1e-5)


def test_grpo() -> None:
    from purify.training.losses.grpo import grpo

    # 1.5 is clipped to 1.28; 0.5 x 2 is below the clipped 0.8 x 2; -1.6 is below the clipped -1.28.
    given = tokens()
    check(grpo(given, clip_low=0.2, clip_high=0.28), given, [-2.56, -1.0, 1.6], [0, -1.0, 1.6])
    # Dual clip: the loss of a negative advantage is at most 1.4 |A|, and then has no gradient.
    given = tokens()
    check(grpo(given, clip_low=0.2, clip_high=0.28, dual_clip=1.4), given, [-2.56, -1.0, 1.4], [0, -1.0, 0])


def test_gspo() -> None:
    import torch

    from purify.training.losses.gspo import gspo

    # Trajectory 0: exp((log 1.5 + log 0.5) / 2) = sqrt(0.75) = 0.866, inside the clip; 1: 1.6, free for A < 0.
    s = 0.75**0.5
    given = tokens()
    # s has the derivative s / 2 by either log-prob and stands in two losses: -2 s in all, as s_t has by its own.
    check(gspo(given, clip_low=0.2, clip_high=0.28), given, [-2 * s, -2 * s, 1.6], [-2 * s, -2 * s, 1.6])
    given = tokens()
    check(gspo(given, clip_low=0.2, clip_high=0.28)[:1], given, [-2 * s], [-2 * s, 0, 0])
    # A token whose advantage was taken away, a graft for instance, is not moved by the others.
    given = tokens(advantages=torch.tensor([0.0, 2.0, -1.0]))
    check(gspo(given, clip_low=0.2, clip_high=0.28), given, [0, -2 * s, 1.6], [0, -2 * s, 1.6])
    given = tokens(advantages=-tokens().advantages)
    # Negative now, and 0.866 is below 1 - 0.1: clipped to 0.9. Positive with 1.6: clipped to 1.28.
    check(gspo(given, clip_low=0.1, clip_high=0.28), given, [1.8, 1.8, -1.28], [0, 0, 0])


def test_cispo() -> None:
    from purify.training.losses.cispo import cispo

    # Weights min(1.5, 1.4), 0.5, min(1.6, 1.4), without gradient; each token still learns.
    given = tokens()
    check(cispo(given, clip_high=0.4), given, [-2.8 * L06, -1.0 * L01, 1.4 * L08], [-2.8, -1.0, 1.4])


def test_topr() -> None:
    from purify.training.losses.topr import topr

    # Positive: weight 1. Negative: min(1, 1.6) = 1, and with pi and pi_old swapped 0.625.
    given = tokens()
    check(topr(given), given, [-2 * L06, -2 * L01, L08], [-2, -2, 1])
    import torch

    given = tokens(old=torch.tensor([0.6, 0.1, 1.0]).log(), advantages=torch.tensor([-2.0, -2.0, -1.0]))
    check(topr(given), given, [2 * L06, 2 * L01, 0.8 * L08], [2, 2, 0.8])


def test_oapl() -> None:
    from purify.training.losses.oapl import oapl

    # beta (log 1.5 + log 0.5) - 2 and beta log 1.6 + 1, squared.
    gap0, gap1 = 0.5 * log(0.75) - 2, 0.5 * log(1.6) + 1
    given = tokens()
    # Trajectory 0's loss stands at both of its tokens: its derivative counts twice in the sum.
    check(oapl(given, beta=0.5), given, [gap0**2, gap0**2, gap1**2], [2 * gap0, 2 * gap0, gap1])


def test_awr() -> None:
    from purify.training.losses.awr import awr

    e2, e1 = exp(2), exp(-1)
    given = tokens()
    check(awr(given, beta=1.0), given, [-e2 * L06, -e2 * L01, -e1 * L08], [-e2, -e2, -e1])
    given = tokens()  # exp(2 / 0.5) = 54.6 is above the largest weight, 20
    check(awr(given, beta=0.5), given, [-20 * L06, -20 * L01, -exp(-2) * L08], [-20, -20, -exp(-2)])


def test_nll() -> None:
    from purify.training.losses.nll import nll

    given = tokens()
    check(nll(given), given, [-L06, -L01, -L08], [-1, -1, -1])


def test_dpo() -> None:
    from purify.training.losses.dpo import dpo, preferred_by

    # h = (log 0.6/0.3 + log 0.1/0.1) - log 0.8/0.4 = log 2 - log 2 = 0: the pair is undecided, loss log 2.
    given = tokens()
    assert preferred_by(given).tolist() == pytest.approx([0.0], abs=1e-6)
    # d/dh -log sigmoid(beta h) = -beta / 2 at 0; three tokens carry the loss, so 3 x.
    check(dpo(given, beta=0.4), given, [log(2)] * 3, [-0.6, -0.6, 0.6])


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("k1", [log(2), 0.0, log(2)]),
        ("k2", [log(2) ** 2 / 2, 0.0, log(2) ** 2 / 2]),
        ("k3", [0.5 - 1 + log(2), 0.0, 0.5 - 1 + log(2)]),
    ],
)
def test_kl(kind: str, values: list[float]) -> None:
    from purify.training.losses.kl import kl

    given = tokens()
    assert kl(given.logprobs, given.reference, kind).tolist() == pytest.approx(values, abs=1e-6)


def test_aggregation() -> None:
    import torch

    from purify.training.losses.aggregate import Norm, aggregate

    losses, norm = torch.tensor([1.0, 3.0, 10.0]), Norm(tokens=3, sequences=2, length=4)
    given = tokens()
    assert aggregate(losses, given, norm, "token_mean").item() == pytest.approx(14 / 3)
    assert aggregate(losses, given, norm, "sequence_mean").item() == pytest.approx((2 + 10) / 2)
    assert aggregate(losses, given, norm, "constant").item() == pytest.approx(14 / 8)
    # A third trajectory without a trained token says nothing and breaks nothing.
    assert aggregate(losses, tokens(trajectories=3), norm, "sequence_mean").item() == pytest.approx(6)


@pytest.mark.parametrize(
    ("how", "level", "expected"),
    [
        # pi_old / mu: 0.4/0.2 = 2, unknown, 0.5/0.4 = 1.25; of trajectory 0 together: 2 x 1.
        ("truncate", "token", [1.5, 1.0, 1.25]),
        ("truncate", "sequence", [1.5, 1.5, 1.25]),
        ("mask", "token", [0.0, 1.0, 1.25]),
        ("mask", "sequence", [0.0, 0.0, 1.25]),
    ],
)
def test_importance_correction(how: str, level: str, expected: list[float]) -> None:
    import torch

    from purify.training.losses.correction import correction

    mu = torch.tensor([log(0.2), float("nan"), log(0.4)])
    found = correction(tokens(), mu, how=how, level=level, cap=1.5, low=0.5)
    assert found.tolist() == pytest.approx(expected, abs=1e-6)
    low = correction(tokens(), torch.tensor([0.0, 0.0, 0.0]), how="mask", level="token", cap=1.5, low=0.45)
    assert low.tolist() == pytest.approx([0.0, 0.0, 0.5], abs=1e-6)


def test_a_whole_loss_by_hand() -> None:
    """grpo with a correction and a KL, averaged over trajectories."""
    import torch

    from purify.training.losses.aggregate import Norm
    from purify.training.losses.algorithms import pack_loss

    config = LossConfig(kl_coef=0.1, kl="k1", correction="truncate", correction_cap=1.5)
    mu = torch.tensor([log(0.2), float("nan"), log(0.4)])
    loss, found = pack_loss(tokens(), mu, config, Norm(3, 2, 1))
    # Token losses -2.56, -1, 1.6, times 1.5, 1, 1.25, plus 0.1 times log 2, 0, log 2.
    first, second = (-3.84 + 0.1 * log(2) - 1.0) / 2, 2.0 + 0.1 * log(2)
    assert loss.item() == pytest.approx((first + second) / 2, abs=1e-6)
    told = found.metrics()
    assert told["clip_high"] == pytest.approx(1 / 3)  # token 0
    assert told["clip_low"] == 0  # A < 0 and a ratio below 0.8: none
    assert told["ratio_min"] == pytest.approx(0.5)
    assert told["ratio_mean"] == pytest.approx(3.6 / 3)
    assert told["ratio_max"] == pytest.approx(1.6)
    assert told["effective_sample_size"] == pytest.approx(3.6**2 / (3 * (2.25 + 0.25 + 2.56)))
    # k3 to the old policy: r - 1 - log r with r = pi_old / pi.
    k3 = [1 / r - 1 + log(r) for r in (1.5, 0.5, 1.6)]
    assert told["approx_kl"] == pytest.approx(sum(k3) / 3, abs=1e-6)
    assert told["correction_mean"] == pytest.approx(3.75 / 3)
    # To the reference: pi_ref / pi is 0.5, 1 and 0.5.
    assert told["reference_kl"] == pytest.approx(2 * (0.5 - 1 + log(2)) / 3, abs=1e-6)


def test_diagnostics_of_packs_add_up() -> None:
    import torch

    from purify.training.losses.diagnostics import Diagnostics, diagnose
    from purify.training.losses.tokens import Tokens

    whole = diagnose(tokens(), None, clip_low=0.2, clip_high=0.28, of_sequence=False)
    given = tokens()
    parts = []
    for at in ([0, 1], [2]):
        index = torch.tensor(at)
        part = Tokens(
            given.logprobs[index],
            given.old[index],
            given.advantages[index],
            torch.zeros_like(index),
            1,
            given.reference[index],
        )
        parts.append(diagnose(part, None, clip_low=0.2, clip_high=0.28, of_sequence=False))
    merged = Diagnostics.merge(parts)
    assert list(merged) == pytest.approx(list(whole))
    assert Diagnostics.merge([]).metrics()["ratio_mean"] is None


def test_options_overrule_the_algorithm() -> None:
    from purify.training.losses.algorithms import options_of

    assert options_of(LossConfig()) == {"clip_low": 0.2, "clip_high": 0.28, "dual_clip": None}
    assert options_of(LossConfig(algorithm="gspo", clip_high=0.01)) == {"clip_low": 3e-4, "clip_high": 0.01}
