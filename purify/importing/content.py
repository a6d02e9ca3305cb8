"""Message content given as a list of typed parts.

    [{"type": "text", "text": "See:"}, {"type": "image_url", "image_url": {"url": "data:..."}}]

The text of all text parts is joined, the other parts are kept as they are. Where that would lose something (their
order, a further member of a text part), the list is kept too, with null in place of each part that is kept elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from purify.errors import RejectedRecordError
from purify.importing.checks import as_object, string, wrong

_THINKING = frozenset({"thinking", "reasoning"})
_ANTHROPIC = frozenset({"tool_use", "tool_result"})


class Content(NamedTuple):
    """`text` is null where there is no text part."""

    text: str | None
    thinking: str = ""
    parts: list[Any] = []
    order: list[Any] | None = None
    """The list as it was, with null for each of `parts`; None where the text followed by `parts` says it all."""


def read_content(message: Mapping[str, Any], path: str, *, text_key: str = "text") -> Content:
    """The `content` of a message. `text_key` is the member of a part that holds its text."""
    value = message.get("content")
    if value is None or isinstance(value, str):
        return Content(value)
    if not isinstance(value, list):
        raise wrong(f"{path}.content", value, "a string, null or a list of parts")
    texts: list[str] = []
    thinking: list[str] = []
    parts: list[Any] = []
    order: list[Any] = []
    for index, item in enumerate(value):
        here = f"{path}.content[{index}]"
        part = as_object(item, here)
        kind = string(part, "type", here)
        order.append(part)
        if kind == "text":
            texts.append(string(part, text_key, here))
        elif kind in _ANTHROPIC and "tool_type" not in part:  # inspect_ai names its hosted tools' calls so, too
            raise RejectedRecordError(f"{here} is an Anthropic {kind} block, not an OpenAI content part")
        elif kind in _THINKING and isinstance(thought := part.get(kind, part.get(text_key)), str):
            thinking.append(thought)
        else:
            parts.append(part)
            order[-1] = None
    first_is_plain = bool(order) and (order[0] is None or order[0].keys() == {"type", text_key})
    plain = first_is_plain and not thinking and all(part is None for part in order[1:])
    return Content("".join(texts) if texts else None, "".join(thinking), parts, None if plain else order)
