"""Sandboxes: where model-written code runs."""

from purify.sandbox.base import Execution, Limits, Sandbox, Session

__all__ = ["Execution", "Limits", "Sandbox", "Session"]
