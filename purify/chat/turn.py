"""What one generated turn says, before anything is executed."""

from __future__ import annotations

from dataclasses import dataclass, field

from purify_schemas import Call


@dataclass(slots=True)
class GeneratedTurn:
    """One assistant turn, split at its call. Calls that cannot be parsed are malformed, the others not judged yet."""

    reasoning: str | None
    thinking_chars: int = 0
    action: str | None = None
    calls: list[Call] = field(default_factory=list)
