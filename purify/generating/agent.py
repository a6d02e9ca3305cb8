"""The agent loop: one trajectory from its prompt to its end, for every engine, format and tool.

    context = prompt
    repeat: sample a turn -> run its calls -> append the results' ids

Ids are the engine's. The context is only ever appended to, except where SAAR rolls it back (`--saar`), so the stored
sequence prompt + reasoning + action + observation + ... is exactly what the engine saw last.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from purify.chat.formats import CallFormat, parse_turn
from purify.chat.segments import decode, split_ids
from purify.chat.template import ChatTemplate
from purify.digests import digest
from purify.engines import Engine, Generation, Sampling
from purify.generating.tools import Run, Tool, ToolResult
from purify.saar.online import HINT, Rollback
from purify_schemas import Call, Message, Observation, Step
from purify_schemas.names import FinishReason

_CUT = "\n[... {} characters ...]\n"


@dataclass(frozen=True, slots=True)
class Budget:
    """When a trajectory ends although the model would go on."""

    max_turns: int
    max_turn_tokens: int
    max_response_tokens: int
    max_result_chars: int


@dataclass(frozen=True)
class Agent:
    """What all rollouts share."""

    engine: Engine
    tokenizer: Any
    template: ChatTemplate
    format: CallFormat
    tools: Mapping[str, Tool]
    sampling: Sampling
    """Of every turn; its stop ids are the tokens that end one."""
    budget: Budget

    async def rollout(
        self, prompt: Sequence[int], rollback: Rollback, stream: str, slots: asyncio.Semaphore
    ) -> FinishReason:
        """Generate one trajectory into `rollback.steps`; returns how it ended. `prompt` leaves room for a token.

        The caller holds one of the `slots`, which are the engine's; while tools run, another trajectory has it.

        Raises `EngineError` if the engine is beyond use.
        """
        async with AsyncExitStack() as stack:
            runs = {name: await stack.enter_async_context(tool.episode()) for name, tool in self.tools.items()}
            for turn in count():
                context = [*prompt, *response_ids(rollback.steps)]
                sampling = self._sampling(self._room(len(prompt), len(context)), stream, turn)
                generation = await self.engine.generate(context, sampling)
                step = self._read(generation)
                if generation.finish_reason == "length":
                    rollback.add(step, cut_off=True)
                    return "length"
                if not step.calls:
                    rollback.add(step)
                    return "stop"
                async with _lent(slots):
                    results = await _run_all(step.calls, runs)
                rollback.add(self._observed(step, results, rollback))
                if ended := self._ended(len(prompt), rollback.steps):
                    # No generation follows these results: they are data, and the engine never saw their ids.
                    rollback.steps[-1] = _without_observed_ids(rollback.steps[-1])
                    return ended
        raise AssertionError("count() has no end")

    def _ended(self, prompt: int, steps: Sequence[Step]) -> FinishReason | None:
        if len(steps) >= self.budget.max_turns:
            return "max_turns"
        return "length" if self._room(prompt, prompt + len(response_ids(steps))) < 1 else None

    def _room(self, prompt: int, context: int) -> int:
        """How many tokens the next turn may have."""
        response = self.budget.max_response_tokens - (context - prompt)
        return min(response, self.budget.max_turn_tokens, self.engine.max_length - context)

    def _sampling(self, room: int, stream: str, turn: int) -> Sampling:
        # 31 bits of a digest: every turn of every sample draws from a stream of its own.
        return replace(self.sampling, max_tokens=room, seed=int(digest("turn", stream, turn), 16) % 2**31)

    def _read(self, generation: Generation) -> Step:
        """The turn as a step without results. The token that ends it has no text."""
        ids = generation.token_ids
        closed = bool(ids) and ids[-1] in self.sampling.stop_token_ids
        decoded = decode(self.tokenizer, ids[:-1] if closed else ids)
        turn = parse_turn(self.format, decoded.text, thinking=self.template.opens_thinking)
        reasoning, action, boundary = split_ids(turn, decoded, ids, generation.logprobs)
        return Step(
            reasoning=reasoning,
            thinking_chars=turn.thinking_chars,
            action=action,
            calls=turn.calls,
            boundary=boundary,
        )

    def _observed(self, step: Step, results: Sequence[ToolResult], rollback: Rollback) -> Step:
        """The step with the statuses and results of its calls."""
        calls = [_judged(call, result) for call, result in zip(step.calls, results, strict=True)]
        texts = [_shortened(result.text, self.budget.max_result_chars) for result in results]
        step = step.model_copy(update={"calls": calls})
        if rollback.is_last_attempt(step):
            texts[-1] = f"{texts[-1]}\n\n{HINT}".lstrip("\n")
        messages = [Message(role="tool", name=call.name, content=text) for call, text in zip(calls, texts, strict=True)]
        ended = _step_ids(step)[-1:] == [self.template.end_of_turn]
        ids = self.template.observation(calls, [self.format.result(text) for text in texts], ended=ended)
        return step.model_copy(update={"observation": Observation(token_ids=ids, messages=messages)})


@asynccontextmanager
async def _lent(slots: asyncio.Semaphore) -> AsyncIterator[None]:
    """Without the slot inside, with it again afterwards."""
    slots.release()
    try:
        yield
    finally:
        await slots.acquire()


def response_ids(steps: Sequence[Step]) -> list[int]:
    """Everything after the prompt, in order: reasoning, action and observation of every step."""
    return [token for step in steps for token in _step_ids(step)]


def _step_ids(step: Step) -> list[int]:
    parts = (step.reasoning.token_ids, step.action.token_ids, step.observation.token_ids)
    return [token for part in parts for token in part or ()]


def _without_observed_ids(step: Step) -> Step:
    """The last step's results are data, but no generation follows them: their ids were never seen by the engine."""
    return step.model_copy(update={"observation": step.observation.model_copy(update={"token_ids": []})})


async def _run_all(calls: Sequence[Call], runs: Mapping[str, Run]) -> list[ToolResult]:
    """Parallel calls run side by side, those of one stateful tool in their order."""
    return list(await asyncio.gather(*(_run_one(call, runs) for call in calls)))


async def _run_one(call: Call, runs: Mapping[str, Run]) -> ToolResult:
    if call.status == "malformed":
        text = f"Error: the tool call could not be parsed ({call.error_type}). Write it again."
        return ToolResult(text, "malformed", call.error_type, source=call.status_source or "call_text")
    run = runs.get(call.name or "")
    if run is None:
        return ToolResult(
            f"Error: there is no tool {call.name!r}; there are {', '.join(runs)}", "error", "unknown_tool"
        )
    try:
        arguments = json.loads(call.arguments or "{}")
    except (ValueError, RecursionError):
        arguments = None
    if not isinstance(arguments, dict):
        return ToolResult(
            "Error: the arguments are not a JSON object. Write the call again.", "malformed", "invalid_json"
        )
    return await run(arguments)


def _judged(call: Call, result: ToolResult) -> Call:
    return call.model_copy(
        update={
            "status": result.status,
            "error_type": result.error_type,
            "status_source": result.source,
            "duration_s": result.duration_s,
        }
    )


def _shortened(text: str, limit: int) -> str:
    """A result that can be encoded, and if it is long without its middle: its end (the error) says most."""
    text = text.encode("utf-8", "replace").decode()
    if len(text) <= limit:
        return text
    head = limit // 2
    return text[:head] + _CUT.format(len(text) - limit) + text[len(text) - (limit - head) :]
