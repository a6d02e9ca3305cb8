"""Look for secrets and personal data in every text of a dataset.

Rollouts repeat themselves (prompts, tool definitions, whole turns of a group), so a text that was clean once is not
looked at again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

from purify.publishing.config import KINDS
from purify.publishing.personal import personal_detectors
from purify.publishing.report import Finding
from purify.publishing.secrets import may_hold_secrets, secret_detectors
from purify.publishing.texts import texts

_REMEMBERED = 1_000_000
"""Clean texts that are remembered: a hundred megabytes."""
_SHOWN = 2


class Scan:
    """Feed it the rows in order; `findings` grows."""

    def __init__(self) -> None:
        self._secret, self._personal = secret_detectors(), personal_detectors()
        assert (*self._secret, *self._personal) == KINDS
        self._clean: set[bytes] = set()
        self.findings: list[Finding] = []
        self.texts = 0

    def add(self, number: int, row: dict[str, Any]) -> None:
        seen: set[tuple[str, str, str]] = set()
        for field, text in texts(row):
            self.texts += 1
            for kind, value in self._look(text):
                if (field, kind, value) not in seen:
                    seen.add((field, kind, value))
                    self.findings.append(
                        Finding(
                            row=number, trajectory_id=row["trajectory_id"], field=field, kind=kind, masked=mask(value)
                        )
                    )

    def _look(self, text: str) -> list[tuple[str, str]]:
        key = hashlib.blake2b(text.encode(), digest_size=8).digest()
        if key in self._clean:
            return []
        found = list(self._detect(text))
        if not found:
            if len(self._clean) >= _REMEMBERED:
                self._clean.clear()
            self._clean.add(key)
        return found

    def _detect(self, text: str) -> Iterator[tuple[str, str]]:
        """(kind, what was found), in the order of `KINDS`."""
        for kind, detect in (*(self._secret.items() if may_hold_secrets(text) else ()), *self._personal.items()):
            yield from ((kind, value) for value in detect(text))


def mask(value: str) -> str:
    """Enough to recognise one's own secret by, and no use to anybody else."""
    return f"{value[:_SHOWN] if len(value) > 3 * _SHOWN else ''}… ({len(value)} characters)"


def libraries() -> dict[str, str]:
    """The libraries whose patterns decide, with their versions."""
    return {name: version(name) for name in ("detect-secrets", "presidio-analyzer", "phonenumbers", "tldextract")}
