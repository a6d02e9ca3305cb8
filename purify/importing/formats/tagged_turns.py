"""Text with tags or fences, to turns: what the model wrote, which part of it the environment ran, what came back.

A preset decides. Three kinds of source meet here: ready blocks (text, code, execution), chat turns with tags in
them, and whole completions in which the environment's output is fenced between the model's own words.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from purify.errors import RejectedRecordError
from purify.failures.rules import Outcome
from purify.importing.checks import as_object, json_text, leftover, optional_string, wrong
from purify.importing.enclosed import enclosed
from purify.importing.presets import Fence, Kind, Preset, Tool
from purify.importing.turns import Reply, Result, Turn
from purify.json_text import dump_json
from purify_schemas import Call, Message


class Block(NamedTuple):
    """One turn of the source, or a part of one."""

    kind: Kind
    text: str | None
    extra: Mapping[str, Any] | None = None


def conversations(value: object, path: str, question: Message | None, preset: Preset) -> list[list[Block]]:
    """The blocks of each sample of a record. Raises `RejectedRecordError` naming what does not fit the preset."""
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list):
        raise wrong(path, value, "a list or a text")
    if not value:
        raise RejectedRecordError(f"{path} is empty")
    if all(isinstance(text, str) for text in value):
        asked = [Block("user", question.content)] if question else []
        return [[*asked, *_unfenced(Block("model", text), preset.result)] for text in value]
    blocks = (_block(turn, f"{path}[{i}]", preset) for i, turn in enumerate(value))
    return [[part for block in blocks for part in _unfenced(block, preset.result)]]


def build_turns(blocks: Iterable[Block], preset: Preset) -> tuple[list[Message], list[Turn]]:
    """The prompt, and the turns with their replies. A call without a reply is left for the caller to judge."""
    prompt: list[Message] = []
    turns: list[Turn] = []
    rest: list[list[Mapping[str, Any]]] = []
    for block in blocks:
        match block.kind:
            case "system" | "user" | "result":
                role = "tool" if block.kind == "result" else block.kind
                reply = Reply(Message(role=role, content=block.text, extra=json_text(block.extra, "a turn")))
                if not turns:
                    prompt.append(reply.message)
                    continue
                if role == "tool":
                    reply.results.append(Result(block.text, flag=_flag(block.text, turns[-1], preset)))
                turns[-1].replies.append(reply)
                continue
            case "model":
                turns.append(_parse(block.text or "", preset))
            case "text" | "code":
                if not turns or turns[-1].calls or turns[-1].replies:
                    turns.append(Turn(reasoning=None))
                if block.kind == "code":
                    turns[-1].calls.append(_call(preset.tools[0], block.text or ""))
                else:
                    turns[-1].reasoning = _joined(turns[-1].reasoning, block.text)
        rest += [[] for _ in turns[len(rest) :]]
        if block.extra:
            rest[-1].append(block.extra)
    for turn, parts in zip(turns, rest, strict=True):
        turn.extra = json_text({"parts": parts} if parts else None, "a turn")
    return prompt, turns


def _joined(before: str | None, text: str | None) -> str | None:
    """Texts in a row are one stretch of reasoning; some sources break a long text off and go on in the next one."""
    return "\n".join((before, text)) if before is not None and text is not None else before if text is None else text


def tool_of(call: Call, tools: Sequence[Tool]) -> Tool | None:
    return next((tool for tool in tools if tool.name == call.name), None)


def refusal(tool: Tool) -> str | None:
    """The error type of a refused call."""
    return "wrong_answer" if tool.answers else None


def _block(value: object, path: str, preset: Preset) -> Block:
    turn = as_object(value, path)
    key = next((key for key in preset.role if key in turn), preset.role[0])
    role = turn.get(key)
    if not isinstance(role, str):
        raise wrong(f"{path}.{key}", role, "a string")
    if role not in preset.kinds:
        raise RejectedRecordError(f"{path}.{key} is {role!r}; preset {preset.name} knows {', '.join(preset.kinds)}")
    text = optional_string(turn, preset.content, path)
    kind = preset.kinds[role]
    if kind == "user" and preset.result_prefix and (text or "").startswith(preset.result_prefix):
        kind = "result"
    if kind in {"code", "model"} and text is None:
        raise wrong(f"{path}.{preset.content}", text, "a string")
    return Block(kind, text, leftover(turn, {key, preset.content}) or None)


def _unfenced(block: Block, fence: Fence | None) -> Iterator[Block]:
    """Cut a model turn at the results fenced into it, so that they are the environment's and not the model's."""
    if block.kind != "model" or block.text is None or fence is None:
        yield block
        return
    text, start = block.text, 0
    for opened, closed, said in enclosed(text, fence.open, fence.close):
        begins = opened - text.startswith("\n", opened - 1) if opened > start else opened
        ends = closed + (text.startswith("\n", closed) and not text.startswith(fence.open, closed))
        if before := text[start:begins]:
            yield Block("model", before)
        regular = text[begins:ends] == f"\n{fence.open}{said}{fence.close}\n"
        yield Block("result", said, None if regular else {"fenced": text[begins:ends]})
        start = ends
    if rest := text[start:]:
        yield Block("model", rest)


def _parse(text: str, preset: Preset) -> Turn:
    """Split a model turn where the environment saw a call begin; all that follows belongs to the action."""
    text = text.removeprefix(preset.prefix).removesuffix(preset.suffix)
    failed = [Call(status="malformed", error_type="unparsable_call", status_source=f"preset:{preset.name}")]
    for tool in preset.tools:
        if tool.open is None or tool.close is None or tool.open not in text:
            continue
        found = list(enclosed(text, tool.open, tool.close))
        run = found if tool.take == "all" else found[-1:]
        code = "\n".join(said.strip() if tool.strip else said for _, _, said in run)
        if code:
            start = run[0][0]
            return Turn(reasoning=text[:start], action=text[start:], calls=[_call(tool, code)])
        if preset.unparsed:
            start = text.index(tool.open)
            return Turn(reasoning=text[:start], action=text[start:], calls=failed)
        break
    return Turn(reasoning=text, calls=failed if preset.unparsed else [])


def _call(tool: Tool, text: str) -> Call:
    return Call(name=tool.name, arguments=dump_json({tool.argument: text}))


def _flag(text: str | None, turn: Turn, preset: Preset) -> Outcome | None:
    """What the preset itself knows of a result; None leaves it to the failure rules."""
    if not text or not turn.calls:
        return None
    if preset.unparsed and preset.unparsed in text:
        return Outcome("malformed", "unparsable_call", f"preset:{preset.name}")
    tool = tool_of(turn.calls[-1], preset.tools)
    if tool is not None and tool.refused and tool.refused in text:
        return Outcome("rejected", refusal(tool), f"preset:{preset.name}")
    return None
