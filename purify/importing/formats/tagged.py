"""Importer `tagged`: code as tags, fences or blocks in text, described by a preset (`presets.py`).

Built in are `mathcoder`, `mint` and `tora`; each preset names the files of the source that its field names come from.

    purify import mathcoder/ -o rollouts/ --format tagged
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import orjson

from purify.errors import RejectedRecordError
from purify.failures import load_rules
from purify.importing.base import Record, RecordContext
from purify.importing.checks import json_text, wrong
from purify.importing.formats.tagged_fields import (
    Position,
    dig,
    first_of,
    label,
    reward,
    sample_index,
    task_name,
    without,
)
from purify.importing.formats.tagged_turns import Block, build_turns, conversations, refusal, tool_of
from purify.importing.presets import Preset, built_in, load
from purify.importing.turns import Turn, build_steps
from purify_schemas import Message, Source, Trajectory
from purify_schemas.names import FinishReason


class TaggedText:
    """Reads any source that a preset describes."""

    name = "tagged"
    default_rules = "python"

    def recognise(self, record: Record) -> str | None:
        found = _recognised(record)
        return None if found is None else f"preset {found[0].name}: has {' and '.join(found[1])}"

    def read(self, record: Record, context: RecordContext) -> list[Trajectory]:
        if context.config.preset is not None:
            preset = load(context.config.preset)
        elif (found := _recognised(record)) is not None:
            preset = found[0]
        else:
            raise RejectedRecordError(f"none of the presets {', '.join(built_in())} fits; name one with --preset")
        if context.config.rules is None:
            context = replace(context, rules=load_rules(preset.rules))
        return _read(record, context, preset)


def _recognised(record: Record) -> tuple[Preset, list[str]] | None:
    for preset in map(load, built_in()):
        for keys in preset.recognise:
            if all(dig(record, key) is not None for key in keys):
                return preset, keys
    return None


def _read(record: Record, context: RecordContext, preset: Preset) -> list[Trajectory]:
    key, value = first_of(record, preset.turns)
    if key is None:
        raise RejectedRecordError(f"{' or '.join(preset.turns)} is missing")
    asked, question = first_of(record, preset.prompt)
    if question is not None and not isinstance(question, str):
        raise wrong(str(asked), question, "a string")
    samples = conversations(value, key, None if question is None else Message(role="user", content=question), preset)
    several = isinstance(value, list) and isinstance(value[0], str)
    told = [preset.answer, preset.reference, preset.reward, preset.sample, preset.model]
    if several or isinstance(value, str):
        told.append(preset.prompt)
    used = [key, *(path for paths in told if (path := first_of(record, paths)[0]) is not None)]
    shared: dict[str, Any] = {
        "source": Source(framework=preset.framework, format=f"tagged:{preset.name}", model=label(record, preset.model)),
        "task_id": task_name(record, preset),
        "tool_states": {tool.name: tool.state for tool in preset.tools},
        "extra": json_text(without(record, [path.split(".") for path in used]), "the record"),
    }
    rows = []
    for position, blocks in enumerate(samples):
        at = (position, len(samples)) if several else None
        rows.append(
            context.trajectory(
                record=record,
                sample=position,
                sample_index=position if several else sample_index(record, preset),
                reward=reward(record, preset, at),
                reference=label(record, preset.reference),
                **shared,
                **_conversation(blocks, record, context, preset, at),
            )
        )
    return rows


def _conversation(
    blocks: Sequence[Block], record: Record, context: RecordContext, preset: Preset, at: Position | None
) -> dict[str, Any]:
    """Messages, steps, answer and finish reason of one sample."""
    blocks, cut = _uncut(list(blocks), preset)
    answer = label(record, preset.answer, at)
    ended = False
    if preset.answer_block and not cut and [block.kind for block in blocks[-2:]] == ["text", "text"]:
        answer, ended = blocks[-1].text, True
        blocks = blocks[:-1]
    messages, turns = build_turns(blocks, preset)
    if turns and turns[-1].calls and not turns[-1].replies:
        _judge_unanswered(turns[-1], record, preset)
    if answer is None and turns and turns[-1].calls:
        call = turns[-1].calls[-1]
        tool = tool_of(call, preset.tools)
        answer = orjson.loads(call.arguments or "{}").get(tool.argument) if tool and tool.answers else None
    return {
        "messages": messages,
        "steps": build_steps(turns, context),
        "answer": answer,
        "finish_reason": _finish(turns, cut, ended, record, preset),
    }


def _uncut(blocks: list[Block], preset: Preset) -> tuple[list[Block], bool]:
    """The blocks without the harness's own note that it cut the row, and whether it did."""
    if preset.max_blocks is not None and sum(b.kind in {"text", "code"} for b in blocks) >= preset.max_blocks:
        return blocks, True
    last = (blocks[-1].text or "").rstrip() if blocks and blocks[-1].kind == "model" else ""
    if not preset.cut_text or not last.endswith(preset.cut_text):
        return blocks, False
    text = last.removesuffix(preset.cut_text).rstrip()
    return [*blocks[:-1], *([blocks[-1]._replace(text=text)] if text else [])], True


def _judge_unanswered(turn: Turn, record: Record, preset: Preset) -> None:
    """Harnesses often leave the last result out; the record's own verdict stands in for it."""
    call = turn.calls[-1]
    tool = tool_of(call, preset.tools)
    verdict = dig(record, tool.accepted) if tool is not None and tool.accepted else None
    if tool is not None and isinstance(verdict, bool):
        ended = {"status": "ok"} if verdict else {"status": "rejected", "error_type": refusal(tool)}
        turn.calls[-1] = call.model_copy(update={**ended, "status_source": tool.accepted})


def _finish(turns: Sequence[Turn], cut: bool, ended: bool, record: Record, preset: Preset) -> FinishReason:
    if preset.finish is not None:
        said = dig(record, preset.finish.key)
        return preset.finish.values.get(said, "unknown") if isinstance(said, str) else "unknown"
    if cut:
        return "max_turns"
    last = turns[-1] if turns else None
    final = last is not None and not last.calls and not last.replies and preset.final
    if ended or (final and last is not None and final in (last.reasoning or "")):
        return "stop"
    return "unknown"
