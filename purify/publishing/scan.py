"""Look for secrets and personal data in every text of a dataset.

Rollouts repeat themselves (prompts, tool definitions, whole turns of a group), so a text that was clean once is not
looked at again. A text inside a text (JSON in a tool's result, a `repr`, the colours of a terminal) has signs in front
of a word that are not its letters: `\\nhf_...` is a token on a line of its own. Such a text is looked at as it stands,
and once more with these signs as what they mean.
"""

from __future__ import annotations

import hashlib
import re
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
_PERSONAL = re.compile(r"[\d@]")
"""What all personal data with a form has somewhere."""
_ESCAPED = re.compile(
    r"(?:\x1b|\\+(?:u001[bB]|x1[bB]|033|e))\[[\d;]*[A-Za-z]"  # a colour
    r"|\\+(?:[nrt]|u0026|u003[ce]|([\"'/]))"  # a line break or tab, & < > as some write them in JSON, and " ' /
)


class Scan:
    """Feed it the rows in order; `findings` grows."""

    def __init__(self) -> None:
        self._secret, self._personal = secret_detectors(), personal_detectors()
        assert (*self._secret, *self._personal) == KINDS
        self._clean: set[bytes] = set()
        self.findings: list[Finding] = []
        self.texts = 0

    def add(self, number: int, row: dict[str, Any]) -> None:
        self._add(row, number, row["trajectory_id"])

    def add_options(self, options: dict[str, Any]) -> None:
        """The options of stages, which are published with the rows."""
        self._add({f"manifest.json config.{name}": value for name, value in options.items()}, None, None)

    def _add(self, fields: dict[str, Any], number: int | None, trajectory_id: str | None) -> None:
        seen: set[tuple[str, str, str]] = set()
        for field, text in texts(fields):
            self.texts += 1
            for kind, value in self._look(text):
                if (field, kind, value) not in seen:
                    seen.add((field, kind, value))
                    shown = trajectory_id and self.redacted(trajectory_id)
                    self.findings.append(
                        Finding(row=number, trajectory_id=shown, field=field, kind=kind, masked=mask(value))
                    )

    def redacted(self, text: str) -> str:
        """The text with all that would be found in it masked."""
        for _, value in self._look(text):
            text = text.replace(value, mask(value))
        return text

    def _look(self, text: str) -> list[tuple[str, str]]:
        key = hashlib.blake2b(text.encode(), digest_size=8).digest()
        if key in self._clean:
            return []
        found = list(self._detect(text))
        if "\\" in text or "\x1b" in text:
            meant = _ESCAPED.sub(lambda match: match[1] or "\n", text)
            if meant != text:
                inner = list(self._detect(meant))
                # What is the same but for a letter of the sign in front of it was no finding of its own.
                found = inner + [
                    (kind, value)
                    for kind, value in found
                    if (kind, value) not in inner and (kind, value[1:]) not in inner
                ]
        if not found:
            if len(self._clean) >= _REMEMBERED:
                self._clean.clear()
            self._clean.add(key)
        return found

    def _detect(self, text: str) -> Iterator[tuple[str, str]]:
        """(kind, what was found), in the order of `KINDS`."""
        for kind, detect in (
            *(self._secret.items() if may_hold_secrets(text) else ()),
            *(self._personal.items() if _PERSONAL.search(text) else ()),
        ):
            yield from ((kind, value) for value in detect(text))


def mask(value: str) -> str:
    """Enough to recognise one's own secret by, and no use to anybody else."""
    return f"{value[:_SHOWN] if len(value) > 3 * _SHOWN else ''}… ({len(value)} characters)"


def libraries() -> dict[str, str]:
    """The libraries whose patterns decide, with their versions."""
    return {name: version(name) for name in ("detect-secrets", "presidio-analyzer", "phonenumbers", "tldextract")}
