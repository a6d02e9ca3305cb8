"""Turns of agents that type into a terminal or parse their model's text: what ATIF does not say of their calls.

    root@1:/app# ls -la          one screen, the answer to two calls of Terminus 2, has the result of each
    total 0                      after the echo of what it typed
    root@1:/app# cat x
    cat: x: No such file or directory

Field names and texts: src/harbor/agents/terminus_2/terminus_2.py of harbor-framework/harbor; the screens are those of
its published runs.
"""

from __future__ import annotations

import re

from purify.chat.call_text import read_call_turn
from purify.importing.formats.text_action import no_action
from purify.importing.turns import Result, Turn
from purify.json_text import arguments_object
from purify_schemas import Call

_TEXT_CALL = "<function="
_UNPARSED = "Previous response had parsing errors:"
_ECHOED = 40
"""How many characters of a command are looked for: a screen breaks longer lines."""


def find_call(turn: Turn, *, calls_in_text: bool) -> None:
    """The call of a turn that lists none: in its text, or one that the agent could not parse, as its answer says."""
    said = (turn.reasoning or "")[turn.thinking_chars :]
    if calls_in_text and _TEXT_CALL in said:
        found, _ = read_call_turn(said)
        turn.reasoning = (turn.reasoning or "")[: turn.thinking_chars] + (found.reasoning or "")
        turn.thinking_chars += found.thinking_chars
        turn.action, turn.calls = found.action, found.calls
    elif any((reply.message.content or "").startswith(_UNPARSED) for reply in turn.replies):
        turn.calls = [no_action()]


def split_screen(turn: Turn) -> None:
    """The result of each of several commands, where one screen answers them all and shows every one as it was typed."""
    typed = [(call, line) for call in turn.calls if (line := _typed(call))]
    results = turn.replies[0].results if len(turn.replies) == 1 else []
    if len(typed) < 2 or len(results) != 1 or results[0].call_id is not None or results[0].flag is not None:
        return
    screen, ends = turn.replies[0].message.content or "", [0]
    starts = []
    for _, line in typed:
        echo = re.compile(rf"[#$%] {re.escape(line)}").search(screen, ends[-1])
        if echo is None:
            return
        starts.append(screen.rfind("\n", ends[-1], echo.start()) + 1 or echo.start())  # without the prompt before it
        ends.append(echo.end())
    pieces = zip(ends[1:], [*starts[1:], len(screen)], strict=True)
    turn.replies[0].results = [
        Result(screen[start:end], call.id) for (call, _), (start, end) in zip(typed, pieces, strict=True)
    ]


def _typed(call: Call) -> str:
    """What is looked for on the screen; empty where nothing was typed."""
    keys = (arguments_object(call.arguments) or {}).get("keystrokes")
    return keys.strip().partition("\n")[0][:_ECHOED] if isinstance(keys, str) else ""
