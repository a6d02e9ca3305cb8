from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from purify.generating import GenerateConfig
from purify.generating.policy import recorded


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"gamma": 0.3}, "gamma is read only with saar"),
        ({"fraction": 0.7}, "fraction is read only with saar"),
        ({"call_format": "python", "tool": ("python", "a:b")}, "call_format python calls the python tool"),
        ({"overlong_buffer": 30_000}, "overlong_buffer is longer than max_response_tokens"),
        ({"url": "http://localhost:1"}, "url is read only with engine server"),
        ({"temperature": 0.005}, "engines cannot sample closer to 0"),
        (
            {"sandbox": "bubblewrap", "sandbox_url": "http://localhost:1"},
            "sandbox_url is read only with sandbox fusion",
        ),
        ({"temperatur": 1.0}, "Extra inputs are not permitted"),
        ({"group_size": 0}, "greater than or equal to 1"),
    ],
)
def test_options_that_do_not_fit(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        GenerateConfig(model="m", **given)


def test_no_tools_is_a_word() -> None:
    assert GenerateConfig(model="m", tool="none").tool == ()
    assert GenerateConfig(model="m", tool="a:b").tool == ("a:b",)


def test_the_rule_and_the_limits_are_those_given() -> None:
    config = GenerateConfig(model="m", saar=True, gamma=0.3, max_retries=5, wall_s=2.5, seed=7)
    assert (config.rule.gamma, config.rule.max_retries, config.rule.seed, config.rule.apply_to) == (0.3, 5, 7, "all")
    assert (config.limits.wall_s, config.limits.memory_mb) == (2.5, 1024)


def test_what_is_recorded_names_no_machine() -> None:
    """The same data is the same data on another machine, so a run can be resumed there."""
    config = GenerateConfig(
        model="owner/model", engine="server", url="http://gpu7:8000", device="cuda:1", sandbox_url="http://box:1"
    )
    here = recorded(config)
    assert (here.url, here.sandbox_url, here.device, here.model) == (None, None, "auto", "owner/model")
