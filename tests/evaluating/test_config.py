"""Options of an evaluation, and the rollouts they ask for."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from purify.evaluating import EvaluateConfig
from purify.generating import GenerateConfig


def options(**given: Any) -> EvaluateConfig:
    return EvaluateConfig(**given)


@pytest.mark.parametrize(
    ("given", "tries", "group_size"),
    [
        ({}, (1,), 1),
        ({"k": 4}, (1, 4), 4),
        ({"k": ["8", "2"]}, (1, 2, 8), 8),
        ({"group_size": 16}, (1,), 16),
        ({"k": (4,), "group_size": 6}, (1, 4), 6),
    ],
)
def test_as_many_samples_as_the_largest_k(given: dict[str, Any], tries: tuple[int, ...], group_size: int) -> None:
    config = options(**given)
    assert (config.tries, config.group_size) == (tries, group_size)
    assert config.rollouts("m", saar=False).group_size == group_size


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"k": 8, "group_size": 4}, "pass@8 needs a group_size of at least that, got 4"),
        ({"k": 0}, "greater than or equal to 1"),
        ({"k": "many"}, "valid integer"),
        ({"model": "m"}, "Extra inputs are not permitted"),
        ({"round": 1}, "Extra inputs are not permitted"),
        ({"gamma": 0.3}, "gamma is read only with saar"),
        ({"temperature": 0.001}, "temperature is 0 (greedy) or at least 0.01"),
    ],
)
def test_what_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        options(**given)
    assert said in str(caught.value)


def test_the_rollouts_have_all_options_and_saar_only_where_it_is_meant() -> None:
    config = options(k=2, saar=True, gamma=0.3, temperature=0.7, seed=5, wall_s=3.0)
    off, on = config.rollouts("m", saar=False), config.rollouts("m", saar=True)
    same: dict[str, Any] = {"model": "m", "group_size": 2, "temperature": 0.7, "seed": 5, "wall_s": 3.0}
    assert off == GenerateConfig(**same)
    assert on == GenerateConfig(**same, saar=True, gamma=0.3)
    assert set(GenerateConfig.model_fields) - set(EvaluateConfig.model_fields) == {"model", "round"}
