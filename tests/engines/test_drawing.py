"""The sampling distribution, by hand."""

from __future__ import annotations

from math import log

import pytest
import torch

from purify.engines import Sampling
from purify.engines.drawing import draw

LOGITS = torch.tensor([0.1, 0.4, 0.2, 0.3]).log()


def drawn(sampling: Sampling, uniform: float, logits: torch.Tensor = LOGITS) -> tuple[int, float]:
    tokens, logprobs = draw(logits[None], [sampling], [uniform])
    return tokens[0], logprobs[0]


def share(sampling: Sampling, uniform: float) -> tuple[int, float]:
    token, logprob = drawn(sampling, uniform)
    return token, round(2.718281828459045**logprob, 6)


def test_the_whole_distribution() -> None:
    plain = Sampling(max_tokens=1)
    # Cumulated: 0.1, 0.5, 0.7, 1.
    assert [share(plain, uniform) for uniform in (0.0, 0.0999, 0.1001, 0.4999, 0.5001, 0.9999)] == [
        (0, 0.1), (0, 0.1), (1, 0.4), (1, 0.4), (2, 0.2), (3, 0.3),
    ]  # fmt: skip


def test_temperature_comes_first() -> None:
    # p squared, renormalised: 1, 16, 4, 9 thirtieths.
    cold = Sampling(max_tokens=1, temperature=0.5)
    assert [share(cold, uniform) for uniform in (0.01, 0.5, 0.6, 0.99)] == [
        (0, round(1 / 30, 6)), (1, round(16 / 30, 6)), (2, round(4 / 30, 6)), (3, 0.3),
    ]  # fmt: skip


def test_top_k_keeps_the_likeliest() -> None:
    two = Sampling(max_tokens=1, top_k=2)
    assert share(two, 0.0) == (1, round(4 / 7, 6))
    assert share(two, 0.999) == (3, round(3 / 7, 6))
    assert share(Sampling(max_tokens=1, top_k=99), 0.0) == (0, 0.1)


def test_top_p_keeps_the_smallest_set_that_has_it() -> None:
    assert share(Sampling(max_tokens=1, top_p=0.35), 0.999) == (1, 1.0)
    # 0.4 is not enough, 0.4 + 0.3 is.
    assert share(Sampling(max_tokens=1, top_p=0.5), 0.999) == (3, round(3 / 7, 6))
    assert share(Sampling(max_tokens=1, top_p=1e-9), 0.5) == (1, 1.0)


def test_top_p_is_of_what_top_k_has_left() -> None:
    # Of the three likeliest, 4/9 and 3/9 reach 0.7 together; without top-k, 0.4 and 0.3 would not.
    assert share(Sampling(max_tokens=1, top_k=3, top_p=0.75), 0.999) == (3, round(3 / 7, 6))
    assert share(Sampling(max_tokens=1, top_p=0.75), 0.65) == (2, round(2 / 9, 6))


def test_greedy_takes_the_likeliest_and_its_logprob_at_temperature_one() -> None:
    token, logprob = drawn(Sampling(max_tokens=1, temperature=0.0, top_k=1, top_p=0.1), 0.99)
    assert token == 1
    assert logprob == pytest.approx(log(0.4))


def test_a_token_without_mass_is_never_drawn() -> None:
    logits = torch.full((1000,), -torch.inf)
    logits[[3, 500]] = 0.0
    just_below_one = 1 - 2**-53
    assert drawn(Sampling(max_tokens=1), 0.0, logits)[0] == 3
    assert drawn(Sampling(max_tokens=1), just_below_one, logits)[0] == 500


def test_rows_have_parameters_of_their_own() -> None:
    samplings = [Sampling(max_tokens=1), Sampling(max_tokens=1, top_k=1), Sampling(max_tokens=1, temperature=0.0)]
    tokens, logprobs = draw(LOGITS.repeat(3, 1), samplings, [0.0, 0.99, 0.0])
    assert tokens == [0, 1, 1]
    assert logprobs == pytest.approx([log(0.1), 0.0, log(0.4)])
