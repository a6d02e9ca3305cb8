"""Turns of agents that type into a terminal or parse their model's text: what ATIF does not say of their calls.

    root@1:/app# ls -la          one screen, the answer to two calls of Terminus 2, has the result of each
    total 0                      after the echo of what it typed
    root@1:/app# cat x
    cat: x: No such file or directory

A screen is cut only where its echoes leave no doubt: it may still show earlier commands, or quote a terminal.

Field names and texts: src/harbor/agents/terminus_2/terminus_2.py of harbor-framework/harbor; the screens are those of
its published runs. Calls in text: openhands/llm/fn_call_converter.py of All-Hands-AI/OpenHands (`FN_REGEX_PATTERN`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from purify.chat.call_text import read_call_turn, thinking_length
from purify.importing.formats.text_action import no_action
from purify.importing.turns import Result, Turn
from purify.json_text import arguments_object
from purify_schemas import Call

_TEXT_CALL = re.compile(r"<function=[^>\n]{1,200}>\n")  # OpenHands asks for the line break; prose has none there
_UNPARSED = "Previous response had parsing errors:"
_ECHOED = 40
"""How many characters of a command are looked for: a screen breaks longer lines."""


def find_call(turn: Turn, *, calls_in_text: bool) -> None:
    """The call of a turn that lists none: in its text, or one that the agent could not parse, as its answer says.

    Only a call that was executed is answered, so text without an answer is no call.
    """
    text = turn.reasoning or ""
    thinking = turn.thinking_chars + thinking_length(text[turn.thinking_chars :])
    found = _TEXT_CALL.search(text, thinking) if calls_in_text and turn.replies else None
    if found is not None:
        called, _ = read_call_turn(text[found.start() :])
        turn.reasoning, turn.thinking_chars = text[: found.start()], thinking
        turn.action, turn.calls = called.action, called.calls
    elif any((reply.message.content or "").startswith(_UNPARSED) for reply in turn.replies):
        turn.calls = [no_action()]


def split_screen(turn: Turn) -> None:
    """Which calls one screen answers: the only one that typed something, or each from its echo to the next."""
    typed = [(call, line) for call in turn.calls if (line := _typed(call))]
    results = turn.replies[0].results if len(turn.replies) == 1 else []
    if len(results) != 1 or results[0].call_id is not None or any(call.id is None for call, _ in typed):
        return
    if len(typed) == 1:
        results[0].call_id = typed[0][0].id
        return
    screen = turn.replies[0].message.content or ""
    cuts = _cuts(screen, [line for _, line in typed]) if results[0].flag is None else []
    if cuts:
        ends = [*(start for start, _ in cuts[1:]), len(screen)]
        turn.replies[0].results = [
            Result(screen[echo_end:end], call.id)
            for (call, _), (_, echo_end), end in zip(typed, cuts, ends, strict=True)
        ]


def _cuts(screen: str, lines: Sequence[str]) -> list[tuple[int, int]]:
    """Where the line of each echo starts and where the echo ends; none where an echo is missing or may be another's."""
    cuts: list[tuple[int, int]] = []
    for line in lines:
        echoes = [echo.span() for echo in re.finditer(rf"[#$%] {re.escape(line)}", screen)]
        behind = cuts[-1][1] if cuts else 0
        start, end = next((span for span in echoes if span[0] >= behind), (0, 0))
        # A command that begins like another is found at that one's echo too.
        if not end or len(echoes) != sum(other.startswith(line) for other in lines):
            return []
        cuts.append((screen.rfind("\n", behind, start) + 1 or start, end))  # without the prompt before it
    return cuts


def _typed(call: Call) -> str:
    """What is looked for on the screen; empty where nothing was typed."""
    keys = (arguments_object(call.arguments) or {}).get("keystrokes")
    return keys.strip().partition("\n")[0][:_ECHOED] if isinstance(keys, str) else ""
