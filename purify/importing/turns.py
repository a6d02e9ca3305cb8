"""From chat turns to steps: which tool result answers which call, and how each call ended.

An importer reads its format into `Turn`s and `Reply`s; everything after that is the same for all chat formats. A result
belongs to the call with its id; without a usable id it belongs to the first unanswered call of its name, else to the
first unanswered call. Some agents reuse an id in later turns (tau-bench's do), so ids count within one turn only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import orjson

from purify.chat.turn import GeneratedTurn
from purify.failures.rules import Outcome
from purify.importing.base import RecordContext
from purify.json_text import arguments_object, dump_json
from purify_schemas import Call, Message, Observation, Segment, Step
from purify_schemas.names import ToolStateName


@dataclass(slots=True)
class Result:
    """What one call gave back. `flag` is the source's own verdict, which wins over the failure rules."""

    text: str | None
    call_id: str | None = None
    name: str | None = None
    flag: Outcome | None = None


@dataclass(slots=True)
class Reply:
    """One message after a turn. It holds no result (a user spoke), one, or those of several parallel calls."""

    message: Message
    results: list[Result] = field(default_factory=list)


@dataclass(slots=True)
class Turn(GeneratedTurn):
    """One assistant turn of a dump, with what came back. Its calls are judged here, unless they are malformed."""

    extra: str | None = None
    replies: list[Reply] = field(default_factory=list)

    @classmethod
    def of(cls, turn: GeneratedTurn) -> Turn:
        return cls(turn.reasoning, turn.thinking_chars, turn.action, turn.calls)


def build_steps(turns: Sequence[Turn], context: RecordContext) -> list[Step]:
    """One step a turn, in order."""
    steps: list[Step] = []
    earlier: set[str] = set()
    for turn in turns:
        results = [result for reply in turn.replies for result in reply.results]
        owners = _owners(turn.calls, results, earlier)
        answers: list[list[Result]] = [[] for _ in turn.calls]
        for result, owner in zip(results, owners, strict=True):
            if owner is not None:
                answers[owner].append(result)
        calls = [_judge(call, given, context) for call, given in zip(turn.calls, answers, strict=True)]
        steps.append(
            Step(
                reasoning=Segment(text=turn.reasoning),
                thinking_chars=turn.thinking_chars,
                action=Segment(text=turn.action),
                calls=calls,
                observation=Observation(messages=_messages(turn, calls, owners)),
                extra=turn.extra,
            )
        )
        earlier.update(call.id for call in calls if call.id is not None)
    return steps


def plain_steps(turns: Sequence[Turn]) -> list[Step]:
    """The steps of a conversation that we exported: what it says, and no more. `Carried.onto` puts the calls back."""
    return [
        Step(
            reasoning=Segment(text=turn.reasoning),
            thinking_chars=turn.thinking_chars,
            action=Segment(text=turn.action),
            observation=Observation(messages=[reply.message for reply in turn.replies]),
            extra=turn.extra,
        )
        for turn in turns
    ]


def tool_states(steps: Sequence[Step], state: ToolStateName = "unknown") -> Mapping[str, ToolStateName]:
    """The same state for every tool that the steps call."""
    return {call.name: state for step in steps for call in step.calls if call.name is not None}


def _owners(calls: Sequence[Call], results: Sequence[Result], earlier: set[str]) -> list[int | None]:
    """For each result the index of the call it answers. `earlier` are the ids of the turns before this one."""
    owners: list[int | None] = [None] * len(results)
    waiting = list(range(len(calls)))
    for position, result in enumerate(results):
        same = [] if result.call_id is None else [i for i, call in enumerate(calls) if call.id == result.call_id]
        if same:
            owner = next((i for i in same if i in waiting), same[-1])
            owners[position] = owner
            if owner in waiting:
                waiting.remove(owner)
    for position, result in enumerate(results):
        # A late answer to an earlier turn's call says nothing about the calls of this one.
        if waiting and owners[position] is None and result.call_id not in earlier:
            named = (i for i in waiting if result.name is not None and calls[i].name == result.name)
            owners[position] = owner = next(named, waiting[0])
            waiting.remove(owner)
    return owners


def _judge(call: Call, results: Sequence[Result], context: RecordContext) -> Call:
    flag = next((result.flag for result in results if result.flag is not None), None)
    if flag is None and call.status != "unknown":
        return call
    if flag is None:
        texts = [result.text for result in results if result.text is not None]
        flag = context.outcome("\n".join(texts) if texts else None, tool=call.name)
        undecided = flag.status == "unknown" or flag.status_source == "no_rule"
        if undecided and arguments_object(call.arguments, constants=True) is None:
            flag = Outcome("malformed", "invalid_json", "arguments")
    return call.model_copy(
        update={"status": flag.status, "error_type": flag.error_type, "status_source": flag.status_source}
    )


def _messages(turn: Turn, calls: Sequence[Call], owners: Sequence[int | None]) -> list[Message]:
    """The observation. A message answering one known call carries that call's id; its own id, if another, is kept."""
    ids = {call.id for call in calls if call.id is not None}
    if not ids:
        return [reply.message for reply in turn.replies]
    messages: list[Message] = []
    remaining = iter(owners)
    for reply in turn.replies:
        mine = [next(remaining) for _ in reply.results]
        owner = mine[0] if len(mine) == 1 else None
        call_id = calls[owner].id if owner is not None else None
        message, said = reply.message, reply.message.call_id
        if said is not None and said != call_id:
            extra = {**orjson.loads(message.extra or "{}"), "tool_call_id": said}
            message = message.model_copy(update={"extra": dump_json(extra)})
        messages.append(message if said == call_id else message.model_copy(update={"call_id": call_id}))
    return messages
