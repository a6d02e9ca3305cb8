"""A call as people read it."""

from __future__ import annotations

import orjson

from purify.saar.rule import CallView
from purify.saar.text import code_of
from purify_schemas import Call


def code_text(call: Call) -> str:
    """What a call does: its code, its only text argument, or its arguments one a line."""
    text = code_of(CallView(call.name, call.arguments, call.status), ("code",))
    if not text.startswith("{"):
        return text
    try:
        return orjson.dumps(orjson.loads(text), option=orjson.OPT_INDENT_2).decode()
    except orjson.JSONDecodeError:
        return text
