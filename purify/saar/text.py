"""The text of a step that is compared: its code (paper), or the whole rendered call (public code)."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from purify.saar.config import SaarRule
from purify.saar.rule import CallView, Turn


def compared_text(turn: Turn, config: SaarRule) -> str | None:
    """What Sim() sees of a step: its calls' texts, one a line group. None if a call could not be parsed."""
    if not turn.parsed:
        return None
    if config.compare == "call":
        if turn.raw is not None and "<tool_call>" in turn.raw:
            return turn.raw
        return "\n".join(map(hermes_call, turn.calls))
    return "\n".join(code_of(call, config.code_arguments) for call in turn.calls)


def code_of(call: CallView, code_arguments: Sequence[str]) -> str:
    """The tool's declared code argument, else its only string argument, else its arguments as sorted-key JSON."""
    arguments = call.arguments or ""
    try:
        parsed = orjson.loads(arguments)
    except orjson.JSONDecodeError:
        return arguments
    if not isinstance(parsed, dict):
        return arguments
    for name in code_arguments:
        if isinstance(parsed.get(name), str):
            return str(parsed[name])
    strings = [value for value in parsed.values() if isinstance(value, str)]
    if len(strings) == 1:
        return strings[0]
    try:
        return orjson.dumps(parsed, option=orjson.OPT_SORT_KEYS).decode()
    except TypeError:  # nested deeper than orjson writes
        return arguments


def hermes_call(call: CallView) -> str:
    """A call as the hermes template writes it, which is what the public code compares.

    The name and the JSON around two unrelated short snippets make them look 0.6 to 0.7 alike.
    """
    return f'<tool_call>\n{{"name": "{call.name}", "arguments": {call.arguments or "{}"}}}\n</tool_call>'
