"""How a model writes a tool call. A format is one entry of `FORMATS`.

`hermes` is `<tool_call>{"name": ..., "arguments": {...}}</tool_call>` (Hermes, Qwen, and what vLLM calls hermes);
Qwen-Coder's `<function=...>` inside the same tags is read too. `python` is a fenced Python block, for models whose
template knows no tools: they are told how in the system message, and results come back in a fence.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Literal, NamedTuple

from purify.chat.call_text import read_generated, thinking_length
from purify.chat.turn import GeneratedTurn
from purify_schemas import Call

FormatName = Literal["hermes", "python"]

PYTHON_TOOL = "python"
_THINK = "<think>"

_OPEN_FENCE = re.compile(r"^[ \t]*```(?:python|py)[ \t]*\n", re.MULTILINE)
_CLOSE_FENCE = re.compile(r"^[ \t]*```[ \t]*$", re.MULTILINE)

_PYTHON_INSTRUCTION = """You can run Python. To do so, write one fenced block and end your turn:

```python
print(6 * 7)
```

What it prints comes back to you in the next message. {lasting} When you know the answer, give it without a block."""
_LASTING = {
    False: "Every block runs on its own, so repeat what you need.",
    True: "Names stay from one block to the next.",
}


class CallFormat(NamedTuple):
    """How calls are read, where a turn must stop, and how the model learns of its tools."""

    parse: Callable[[str], GeneratedTurn]
    stop: tuple[str, ...] = ()
    """Text at which a turn ends although the model would go on (it begins to invent the tool's output)."""
    instruction: Callable[[bool], str] | None = None
    """What explains the format to the model (are calls stateful?); None where the chat template shows the tools."""
    result: Callable[[str], str] = str
    """How a tool's text is shown to the model."""


def parse_turn(format: CallFormat, text: str, *, thinking: bool = False) -> GeneratedTurn:
    """Read a turn. `thinking`: the prompt ends inside an open `<think>`, so the text begins as thought."""
    if not thinking or text.lstrip().startswith(_THINK):
        return format.parse(text)
    turn = format.parse(_THINK + text)
    turn.reasoning = (turn.reasoning or "").removeprefix(_THINK)
    turn.thinking_chars = max(0, turn.thinking_chars - len(_THINK))
    return turn


def read_fenced(text: str) -> GeneratedTurn:
    """A turn with fenced Python. Several blocks are one call, in order; a block that is never closed is malformed."""
    thinking = thinking_length(text)
    first = _OPEN_FENCE.search(text, thinking)
    if first is None:
        return GeneratedTurn(reasoning=text, thinking_chars=thinking)
    blocks: list[str] = []
    opening: re.Match[str] | None = first
    while opening is not None:
        closing = _CLOSE_FENCE.search(text, opening.end())
        if closing is None:
            raw = text[opening.end() :]
            call = Call(name=PYTHON_TOOL, arguments=raw, status="malformed", error_type="unclosed_block")
            break
        blocks.append(text[opening.end() : closing.start()].removesuffix("\n"))
        opening = _OPEN_FENCE.search(text, closing.end())
    else:
        call = Call(name=PYTHON_TOOL, arguments=json.dumps({"code": "\n".join(blocks)}, ensure_ascii=False))
    return GeneratedTurn(text[: first.start()], thinking, text[first.start() :], [call])


FORMATS: dict[FormatName, CallFormat] = {
    "hermes": CallFormat(read_generated),
    "python": CallFormat(
        read_fenced,
        stop=("```output",),
        instruction=lambda stateful: _PYTHON_INSTRUCTION.format(lasting=_LASTING[stateful]),
        result=lambda text: f"```output\n{text}\n```",
    ),
}
