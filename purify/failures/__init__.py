"""Which tool calls failed, judged from what came back."""

from __future__ import annotations

from functools import cache

from purify.failures.rules import Outcome, Rules

__all__ = ["Outcome", "Rules", "load_rules"]


@cache
def load_rules(name_or_path: str) -> Rules:
    """`Rules.load`, once a process."""
    return Rules.load(name_or_path)
