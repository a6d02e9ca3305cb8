"""What gives log-probs: a model in this process, on packs, or an engine, one request a sequence.

Both take whole sequences and say nothing of rows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from purify.engines import Engine
from purify.engines.loading import context_of, load_engine
from purify.errors import PurifyError
from purify.scoring.config import ScoreConfig

Singles = npt.NDArray[np.float32]


class Request(NamedTuple):
    """A sequence and the positions in it to score, none of which is 0."""

    ids: npt.NDArray[np.int32]
    at: npt.NDArray[np.int64]
    temperature: float


class Answer(NamedTuple):
    """One value a position."""

    logprobs: Singles
    entropy: Singles | None = None
    self_certainty: Singles | None = None


Done = Callable[[Request], None]


class Scorer(Protocol):
    """Scores sequences. `max_length` and `vocabulary` are those of the model."""

    max_length: int
    vocabulary: int

    def __call__(self, requests: Sequence[Request], done: Done) -> list[Answer]:
        """The answers in the order of the requests; `done` hears of each."""
        ...

    def close(self) -> None: ...


def load_scorer(config: ScoreConfig, vocabulary: int) -> Scorer:
    """The scorer that `config` describes. `vocabulary`: of the tokenizer, where an engine does not tell its own.

    Raises `PurifyError` if the model or the engine cannot be used.
    """
    return PolicyScorer(config) if config.engine == "transformers" else EngineScorer(config, vocabulary)


class PolicyScorer:
    """A model in this process."""

    def __init__(self, config: ScoreConfig) -> None:
        from purify.lm.loading import load_policy

        self._config = config
        self._policy = load_policy(config.model, revision=config.revision, dtype=config.dtype, device=config.device)
        self.max_length = context_of(config, self._policy.settings)
        self.vocabulary = self._policy.vocabulary

    def __call__(self, requests: Sequence[Request], done: Done) -> list[Answer]:
        from purify.lm.packing import fill

        answers: dict[int, Answer] = {}
        for members in fill([len(request.ids) for request in requests], self._config.pack_tokens):
            packed = [requests[index] for index in members]
            answers.update(zip(members, self._pass(packed), strict=True))
            for request in packed:
                done(request)
        return [answers[index] for index in range(len(requests))]

    def _pass(self, requests: Sequence[Request]) -> list[Answer]:
        import torch

        from purify.lm.packing import pack

        starts = np.cumsum([0, *(len(request.ids) for request in requests)])
        at = np.concatenate([request.at + start for request, start in zip(requests, starts[:-1], strict=True)])
        counts = [len(request.at) for request in requests]
        temperatures = np.repeat([request.temperature for request in requests], counts).astype(np.float32)
        device = self._policy.device
        try:
            with torch.inference_mode():
                scores = self._policy(
                    pack([request.ids for request in requests], device),
                    torch.from_numpy(at).to(device),
                    torch.from_numpy(temperatures).to(device),
                    entropy=self._config.entropy,
                    self_certainty=self._config.self_certainty,
                )
        except torch.OutOfMemoryError:
            raise PurifyError(
                f"out of memory in a pass over {starts[-1]:,} tokens; finished shards are kept, go on with --resume "
                f"and a lower --pack-tokens (now {self._config.pack_tokens:,})"
            ) from None
        ends = np.cumsum(counts)[:-1]
        fields: list[Any] = [
            [None] * len(counts) if value is None else np.split(value.cpu().numpy(), ends) for value in scores
        ]
        return [Answer(*values) for values in zip(*fields, strict=True)]

    def close(self) -> None:
        del self._policy


class EngineScorer:
    """An engine in this process or behind an address, with many requests under way."""

    def __init__(self, config: ScoreConfig, vocabulary: int) -> None:
        self._runner = asyncio.Runner()
        self._limit = 2 * config.max_batch
        try:
            self._engine: Engine = self._runner.run(load_engine(config))
        except BaseException:
            self._runner.close()
            raise
        self.max_length = self._engine.max_length
        self.vocabulary = vocabulary

    def __call__(self, requests: Sequence[Request], done: Done) -> list[Answer]:
        return self._runner.run(self._all(requests, done))

    async def _all(self, requests: Sequence[Request], done: Done) -> list[Answer]:
        room = asyncio.Semaphore(self._limit)

        async def one(request: Request) -> Answer:
            async with room:
                scores: list[Any] = await self._engine.score(request.ids.tolist(), request.temperature)
            done(request)
            return Answer(np.array([scores[at] for at in request.at], dtype=np.float32))

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(request)) for request in requests]
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return [task.result() for task in tasks]

    def close(self) -> None:
        self._runner.run(self._engine.close())
        self._runner.close()
