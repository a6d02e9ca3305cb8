"""A sandbox that runs nothing: answers are written down beforehand. For tests.

Scripted({"print(6 * 7)": Execution("ok", "42\\n", "", None, 0.0)})
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from purify.sandbox.base import Execution, Limits

Answer = Callable[[str], Execution]


@dataclass
class Scripted:
    """Answers by code: a mapping, or a function for what cannot be listed. Raises `KeyError` for other code."""

    answers: Mapping[str, Execution] | Answer
    delay_s: float = 0.0
    """Each call takes so long, while others go on."""
    calls: list[tuple[str, str]] = field(default_factory=list)
    """Code and standard input of every call so far, sessions' cells too."""
    name: str = "scripted"

    async def run(self, code: str, stdin: str = "", limits: Limits | None = None) -> Execution:
        self.calls.append((code, stdin))
        await asyncio.sleep(self.delay_s)
        return self.answers(code) if callable(self.answers) else self.answers[code]

    async def session(self, limits: Limits | None = None) -> ScriptedSession:
        return ScriptedSession(self)

    async def close(self) -> None:
        pass


@dataclass
class ScriptedSession:
    """Cells are answered like programs."""

    sandbox: Scripted

    async def run(self, code: str) -> Execution:
        return await self.sandbox.run(code)

    async def close(self) -> None:
        pass
