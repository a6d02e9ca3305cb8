"""A command that a model wrote into its text, between a fence or a tag and its end.

I look at the file.
```bash
cat setup.py
```
"""

from __future__ import annotations

import json
import re

from purify.importing.turns import Turn
from purify_schemas import Call

_OPENING = re.compile(r"(?:```[^\n`]*\n|<(?:command|bash|action)>)\s*\Z")


def split_at_action(turn: Turn, action: str) -> None:
    """Cut the turn's text where its last occurrence of `action` opens; a text that does not hold it stays whole."""
    text, body = turn.reasoning, action.strip()
    if text is None or not body:
        return
    at = text.rfind(body, turn.thinking_chars)
    if at < 0:
        return
    opening = _OPENING.search(text, turn.thinking_chars, at)
    start = opening.start() if opening else at
    turn.reasoning, turn.action = text[:start], text[start:]


def command_call(name: str, command: str) -> Call:
    return Call(name=name, arguments=json.dumps({"command": command}, ensure_ascii=False))


def no_action() -> Call:
    """What a harness makes of a turn in which it finds no command, or too many."""
    return Call(status="malformed", error_type="unparsable_call", status_source="source:action")
