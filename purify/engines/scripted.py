"""An engine that says what it is told to, for tests: no model, no randomness, and it remembers what it was shown.

engine = ScriptedEngine(["<tool_call>...</tool_call>", "The answer is 84."], tokenizer)
engine = ScriptedEngine(lambda token_ids, sampling: [5, 6, 7])
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from purify.engines.base import EngineError, Generation, Sampling, check_room, check_scorable
from purify.engines.flights import Flights
from purify.engines.stops import stop_finder

Reply = str | Sequence[int] | Generation | Exception
"""Text stands for a whole turn, and gets the first stop id; ids are taken as they are; an exception is raised."""
Script = Callable[[list[int], Sampling], Reply | Awaitable[Reply]] | Iterable[Reply]


def scripted_logprob(token: int) -> float:
    """The log-prob of every token here: a value that floats hold exactly, and that tells tokens apart."""
    return -(token % 1024 + 1) / 1024


class ScriptedEngine:
    """Answers from a list in the order of the calls, or from a function, which may be asynchronous (and sleep)."""

    name = "scripted"
    logprobs_mode = "processed_logprobs"

    def __init__(self, script: Script, tokenizer: Any = None, *, max_length: int = 4096, delay_s: float = 0.0) -> None:
        """`tokenizer` is needed for replies in text, and for stop strings; `delay_s` is how long a generation takes."""
        self.max_length = max_length
        self.prompts: list[list[int]] = []
        """What `generate` was given, in the order of the calls."""
        self.samplings: list[Sampling] = []
        self.closed = False
        self._reply_to = script if callable(script) else _in_turn(script)
        self._tokenizer = tokenizer
        self._delay_s = delay_s
        self._flights = Flights()

    async def generate(self, token_ids: Sequence[int], sampling: Sampling) -> Generation:
        check_room(token_ids, sampling, self.max_length)
        if self.closed:
            raise EngineError("the engine is closed")
        self.prompts.append(list(token_ids))
        self.samplings.append(sampling)
        return await self._flights.run(self._generate(list(token_ids), sampling))

    async def score(self, token_ids: Sequence[int], temperature: float = 1.0) -> list[float | None]:
        check_scorable(token_ids, temperature, self.max_length)
        return [None, *(scripted_logprob(token) for token in token_ids[1:])]

    async def close(self) -> None:
        self.closed = True
        await self._flights.cancel()

    async def _generate(self, token_ids: list[int], sampling: Sampling) -> Generation:
        reply = self._reply_to(token_ids, sampling)
        if self._delay_s:
            await asyncio.sleep(self._delay_s)
        if inspect.isawaitable(reply):
            reply = await reply
        if isinstance(reply, Exception):
            raise reply
        if isinstance(reply, Generation):
            return reply
        if isinstance(reply, str):
            reply = [*self._tokenizer(reply, add_special_tokens=False)["input_ids"], *sampling.stop_token_ids[:1]]
        return self._cut(list(reply), sampling)

    def _cut(self, ids: list[int], sampling: Sampling) -> Generation:
        """Sampling ends where it would with a model."""
        contains_stop = stop_finder(self._tokenizer, sampling.stop)
        for end in range(1, min(len(ids), sampling.max_tokens) + 1):
            if ids[end - 1] in sampling.stop_token_ids or (contains_stop and contains_stop(ids[:end])):
                return _generation(ids[:end], "stop")
        if len(ids) >= sampling.max_tokens:
            return _generation(ids[: sampling.max_tokens], "length")
        return _generation(ids, "stop")


def _generation(ids: list[int], finish_reason: Any) -> Generation:
    return Generation(ids, [scripted_logprob(token) for token in ids], finish_reason)


def _in_turn(replies: Iterable[Reply]) -> Callable[[list[int], Sampling], Reply]:
    waiting = iter(replies)
    return lambda token_ids, sampling: next(waiting, EngineError("the script has no reply left"))
