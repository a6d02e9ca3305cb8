"""From the text of a rollout to turns: calls and results that are written into what the model wrote.

Agent loops that keep one growing text put a tool's result behind the call, in tags or a fence of its own:

    Let me count. <code>print(2)</code>\\n\\n<interpreter>\\n2\\n</interpreter>\\n\\nSo it is 2.

Such a block is a result only if the text before it ends in a call: a model may write the same tags itself. Calls are
read from hermes `<tool_call>`, `<function=`, Mistral's `[TOOL_CALLS]`, tags (`<code>`, `<python>`, `<search>`, `<sql>`)
and fenced Python. Tags and fences are calls only where a result follows, or where the text breaks off behind them.

Notations: ReTool's and Search-R1's (examples/retool/generate_with_retool.py and
examples/search-r1/generate_with_search.py of THUDM/slime), SkyRL-Gym's search and SQL environments
(skyrl-gym/skyrl_gym/envs/{search,sql}/env.py of NovaSky-AI/SkyRL), verl's tool agent loop
(verl/experimental/agent_loop/tool_agent_loop.py of volcengine/verl), ToRA's fences.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from purify.chat.call_json import json_calls
from purify.chat.call_text import read_call_turn, read_generated
from purify.chat.formats import read_fenced
from purify.chat.turn import GeneratedTurn
from purify.failures.rules import Outcome
from purify.importing.checks import json_text
from purify.importing.templates import Part
from purify.importing.turns import Reply, Result, Turn
from purify_schemas import Call, Message

# What a tag's text is: the tool it goes to, and the name of the argument.
_TAGS = {"code": ("python", "code"), "python": ("python", "code"), "search": ("search", "query"), "sql": ("sql", "sql")}
_TAG_ENDS = tuple(f"</{tag}>" for tag in _TAGS)
_FENCED_CODE = re.compile(r"\s*```(?:python|py)?[ \t]*\n(.*?)\n?```\s*", re.DOTALL)
_FUNCTION = re.compile(r"<function=[^>\n]{1,200}>")
_CALL_LIST = "[TOOL_CALLS]"
_PYTHON_TAG = "<|python_tag|>"

# A result may be cut off by the length of the response. ReTool and Search-R1 tell a model without tags that its turn
# held no action, in a sentence or two. All is bounded: a model gone wrong writes the same thousands of times.
_BLOCK = re.compile(
    r"(?P<open>\n{0,4}<(?P<tag>tool_response|interpreter|information|observation|output)>\n?)"
    r"(?P<text>.*?)(?P<close>\n?</(?P=tag)>\n*|\Z)"
    r"|(?P<open_fence>\n{0,4}```output[ \t]*\n)(?P<fenced>.*?)(?P<close_fence>\n?```(?:\n+|\Z)|\Z)"
    r"|(?P<refusal>\nMy previous action is invalid\..{0,1000}?Let me try again\.\n)",
    re.DOTALL,
)
# Before a result there is the end of a call, or the environment says that there is none.
_CALL_END = re.compile(r"</(?:tool_call|function|code|python|search|sql)>|```|(?=\nMy previous action is invalid\.)")
_MENTIONS = 100
"""So often a model may write a result's tags itself in one turn; what follows is not looked at any more."""
_TOOL_ROLES = ("tool", "function", "ipython")


class _Block(NamedTuple):
    """What the environment wrote, and the marks around it. `refused`: it says that there was no call."""

    text: str
    open: str
    close: str
    refused: bool = False


def read_texts(prompt: Sequence[Part], output: Sequence[Part]) -> tuple[list[Message], list[Turn]]:
    """The prompt's messages, and the turns with what came back. There is at least one turn.

    A prompt that ends in the beginning of an answer (`<think>`) keeps it as its last message.
    """
    given = list(prompt)
    if given and given[-1].role == "assistant" and not given[-1].text.strip():
        given.pop()
    messages = [Message(role=part.role, content=part.text) for part in given]
    turns: list[Turn] = []
    for part, following in pairwise([*output, Part("end", "")]):
        if part.role == "assistant":
            _read_turns(part.text, turns, answered=_is_answer(following))
        elif turns:
            turns[-1].replies += _replies(part)
        else:
            messages.append(Message(role=part.role, content=part.text))
    return messages, turns or [Turn(reasoning="")]


def _read_turns(text: str, turns: list[Turn], *, answered: bool) -> None:
    """The turns of one stretch of model text, cut at the results inside it. `answered`: results follow the stretch."""
    start = at = mentions = 0
    pending: Turn | None = None
    while match := _BLOCK.search(text, at):
        block = _block(match)
        before = text[start : match.start()]
        if not (pending and not before):  # else another result right behind the last one
            turn = _turn(before, answered=not block.refused)
            if block.refused and not turn.calls:
                turn.calls = [Call()]
            if not turn.calls:  # the model's own words, and so is all up to the end of its next call
                called = _CALL_END.search(text, match.start() + 1)
                mentions += 1
                if called is None or mentions > _MENTIONS:
                    break
                at = max(called.end(), match.start() + 1)
                continue
            turns.append(turn)
            pending = turn
        assert pending is not None
        pending.replies.append(_result(block, marks=True))
        start = at = match.end()
    rest = text[start:]
    if rest or not turns:
        turns.append(_turn(rest, answered=answered))


def _turn(text: str, *, answered: bool) -> Turn:
    """One turn: hermes calls wherever they stand, other notations where something answers them."""
    turn = read_generated(text)
    if turn.calls:
        return Turn.of(turn)
    if _FUNCTION.search(text, turn.thinking_chars):
        return Turn.of(read_call_turn(text)[0])
    if _CALL_LIST in text:
        at = text.index(_CALL_LIST)
        calls, _ = json_calls(text[at + len(_CALL_LIST) :].strip())
        return Turn(text[:at], min(turn.thinking_chars, at), text[at:], calls)
    tagged = _tag_call(text, turn.thinking_chars)
    if tagged is not None and (answered or text.rstrip().endswith(_TAG_ENDS)):
        return Turn.of(tagged)
    if answered:
        fenced = read_fenced(text)
        return Turn.of(fenced) if fenced.calls else _bare_json(text, turn)
    return Turn.of(turn)


def _tag_call(text: str, thinking: int) -> GeneratedTurn | None:
    """The call in the last pair of tags, which is the one nearest to its result."""
    end, tag = max((text.rfind(f"</{tag}>"), tag) for tag in _TAGS)
    start = text.rfind(f"<{tag}>", 0, max(end, 0))
    if start < 0:
        return None
    tool, argument = _TAGS[tag]
    said = text[start + len(tag) + 2 : end]
    if argument == "code":
        inner = _FENCED_CODE.fullmatch(said)
        said = inner[1] if inner else said.strip("\n")
    call = Call(name=tool, arguments=json_text({argument: said}, "a call"))
    return GeneratedTurn(text[:start], min(thinking, start), text[start:], [call])


def _bare_json(text: str, turn: GeneratedTurn) -> Turn:
    """Llama's calls are JSON and nothing else. What is no JSON stays text: the notation is not known."""
    thinking = turn.thinking_chars
    read, _ = read_call_turn(text[:thinking] + text[thinking:].replace(_PYTHON_TAG, "", 1))
    if any(call.status == "malformed" for call in read.calls):
        return Turn.of(turn)
    return Turn(text[:thinking] or None, thinking, text[thinking:], read.calls)


def _replies(part: Part) -> Iterator[Reply]:
    """What came back as a message of its own: a tool's, results in a user's message, or a user's words."""
    start = 0
    found = False
    for match in _BLOCK.finditer(part.text):
        block = _block(match)
        if block.refused:
            continue
        if part.text[start : match.start()].strip():
            yield Reply(Message(role=part.role, content=part.text[start : match.start()]))
        plain = block.open == "<tool_response>\n" and block.close.rstrip("\n") == "\n</tool_response>"
        yield _result(block, marks=not plain)
        start, found = match.end(), True
    rest = part.text[start:]
    if not found and part.role in _TOOL_ROLES:
        yield Reply(Message(role="tool", content=rest), [Result(rest)])
    elif rest.strip() or not found:
        yield Reply(Message(role=part.role, content=rest))


def _is_answer(part: Part) -> bool:
    return part.role in _TOOL_ROLES or (
        part.role not in ("assistant", "end") and any(not match["refusal"] for match in _BLOCK.finditer(part.text))
    )


def _block(match: re.Match[str]) -> _Block:
    if match["refusal"] is not None:
        return _Block(match["refusal"].strip("\n"), "\n", "\n", refused=True)
    if match["open"] is not None:
        return _Block(match["text"], match["open"], match["close"])
    return _Block(match["fenced"], match["open_fence"], match["close_fence"])


def _result(block: _Block, *, marks: bool) -> Reply:
    """A tool's message. The marks around it are kept where they are not those of the chat template."""
    extra = json_text({"marks": [block.open, block.close]}, "a result") if marks else None
    message = Message(role="tool", content=block.text, extra=extra)
    flag = Outcome("malformed", "no_action", "text:invalid_action") if block.refused else None
    return Reply(message, [Result(block.text, flag=flag)])
