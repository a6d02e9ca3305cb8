"""Which tool calls failed, judged from what came back."""

from purify.failures.rules import Outcome, Rules

__all__ = ["Outcome", "Rules"]
