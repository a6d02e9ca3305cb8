"""Continuous batching over a Hugging Face model: a request joins between two steps, and leaves when it is done.

Synchronous and for one thread; `purify.engines.transformers` puts it behind a queue.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from purify.engines.base import Generation, Sampling
from purify.engines.drawing import draw
from purify.engines.slots import Ids, Slots, common

if TYPE_CHECKING:
    import torch

Scores = list[float | None]

_CHUNK = 256
"""Columns of one forward pass over given tokens, at most."""
_MASKED = 2**24
"""Elements of the mask of such a pass, at most: 64 MiB in float32."""
_SCORED = 2**25
"""Logits held at a time while scoring: 128 MiB in float32."""
_WORTH_WAITING = 32
"""Tokens shared with a prompt that is computed right now, from which on it is better to wait and copy them."""


@dataclass(eq=False)
class GenerateRequest:
    """A sequence in the making, and the numbers it is drawn with."""

    ids: list[int]
    sampling: Sampling
    contains_stop: Callable[[list[int]], bool] | None = None
    """Whether the generated ids contain a stop string; asked after each."""
    logprobs: list[float] = field(default_factory=list)
    cancelled: bool = False

    def __post_init__(self) -> None:
        self._prompt = len(self.ids)
        # Of its own, so that what it draws does not depend on what else is in the batch.
        self._random = np.random.Generator(np.random.Philox(self.sampling.seed))
        self._stop_ids = frozenset(self.sampling.stop_token_ids)

    def uniform(self) -> float:
        return float(self._random.random())

    def append(self, token: int, logprob: float) -> Generation | None:
        """Take a token; the generation, if it was the last."""
        self.ids.append(token)
        self.logprobs.append(logprob)
        generated = self.ids[self._prompt :] if self.contains_stop or token in self._stop_ids else []
        if token in self._stop_ids or (self.contains_stop and self.contains_stop(generated)):
            return Generation(generated, self.logprobs, "stop")
        if len(self.logprobs) == self.sampling.max_tokens:
            return Generation(self.ids[self._prompt :], self.logprobs, "length")
        return None


@dataclass(eq=False)
class ScoreRequest:
    """Tokens whose log-probs are wanted."""

    ids: list[int]
    temperature: float
    cancelled: bool = False


Request = GenerateRequest | ScoreRequest
Result = Generation | Scores


class Decoder:
    """Row i of `slots` is the i-th request that decodes. A sequence's last token is never in the cache yet."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._decoding: list[GenerateRequest] = []
        self._waiting: deque[GenerateRequest] = deque()
        self._to_score: deque[ScoreRequest] = deque()

    def add(self, request: Request) -> None:
        if isinstance(request, GenerateRequest):
            self._waiting.append(request)
        else:
            self._to_score.append(request)

    @property
    def idle(self) -> bool:
        return not (self._decoding or self._waiting or self._to_score)

    def step(self) -> Iterator[tuple[Request, Result]]:
        """Let requests in, give each that decodes one token; what is finished."""
        self._drop_cancelled()
        if self._to_score:
            yield from self._score()
        elif self._waiting:
            self._admit()
        if self._decoding:
            yield from self._decode()

    def _drop_cancelled(self) -> None:
        self._waiting = deque(request for request in self._waiting if not request.cancelled)
        self._to_score = deque(request for request in self._to_score if not request.cancelled)
        for row in reversed(range(len(self._decoding))):
            if self._decoding[row].cancelled:
                self._retire(row)

    def _decode(self) -> Iterator[tuple[Request, Result]]:
        self._make_room()
        decoding = self._decoding
        logits = self._slots.forward(
            0, [request.ids[-1:] for request in decoding], [len(request.ids) - 1 for request in decoding]
        )[:, -1]
        tokens, logprobs = draw(
            logits, [request.sampling for request in decoding], [request.uniform() for request in decoding]
        )
        for row in reversed(range(len(decoding))):
            request = decoding[row]
            if generation := request.append(tokens[row], logprobs[row]):
                self._retire(row)
                yield request, generation

    def _make_room(self) -> None:
        """Grow the cache for the longest sequence; those it has no rows for any more wait until others have ended."""
        while (longest := max(len(request.ids) for request in self._decoding)) > self._slots.columns:
            if len(self._decoding) <= self._slots.rows_for(longest):
                self._slots.reserve(longest)
            else:
                last = self._decoding[-1]
                self._retire(len(self._decoding) - 1)
                self._waiting.appendleft(last)

    def _retire(self, row: int) -> None:
        """Take a request out; its row keeps what it has computed, behind those that decode."""
        last = len(self._decoding) - 1
        for moved in {row, last}:
            self._slots.hold(moved, self._decoding[moved].ids[:-1])
        self._slots.swap(row, last)
        self._decoding[row] = self._decoding[last]
        self._decoding.pop()

    def _admit(self) -> None:
        first = len(self._decoding)
        new: list[Ids] = []
        starts: list[int] = []
        for _ in range(len(self._waiting)):
            request = self._waiting.popleft()
            if len(self._decoding) >= self._slots.rows_for(len(request.ids)):
                self._waiting.appendleft(request)
                break
            given = np.asarray(request.ids[:-1], np.int64)
            if self._is_being_computed(given, new):
                self._waiting.append(request)
                continue
            self._slots.reserve(len(request.ids))
            starts.append(self._slots.place(given, len(self._decoding)))
            new.append(given)
            self._decoding.append(request)
        for rows, ids, at in _chunks([given.tolist() for given in new], starts, _CHUNK):
            self._slots.forward(first + rows, ids, at)
        for row, given in enumerate(new, first):
            self._slots.hold(row, given)

    def _is_being_computed(self, ids: Ids, new: Sequence[Ids]) -> bool:
        shared = max((common(ids, other) for other in new), default=0)
        return shared >= _WORTH_WAITING and shared >= self._slots.known(ids) + _WORTH_WAITING

    def _score(self) -> Iterator[tuple[Request, Result]]:
        """Score what fits behind the rows that decode. Nothing is let in before, so there is room at some time."""
        first = len(self._decoding)
        longest = max(self._to_score, key=lambda request: len(request.ids))
        if self._slots.rows_for(len(longest.ids)) <= first:
            return
        self._slots.reserve(len(longest.ids))
        most = max(1, _SCORED // (64 * self._slots.vocabulary))
        # The longest first: rows that have more to compute then lie side by side.
        batch = sorted(self._to_score, key=lambda request: -len(request.ids))[: min(most, self._slots.rows - first)]
        scores: list[Scores] = [[None] for _ in batch]
        given = [request.ids[:-1] for request in batch]
        size = min(_CHUNK, max(1, _SCORED // (len(batch) * self._slots.vocabulary)))
        for rows, ids, at in _chunks(given, [0] * len(batch), size):
            logits = self._slots.forward(first + rows, ids, at, logits_of_all=True)
            for row, (part, start) in enumerate(zip(ids, at, strict=True), rows):
                following = batch[row].ids[start + 1 : start + 1 + len(part)]
                scores[row] += _of_tokens(logits[row - rows, : len(part)], following, batch[row].temperature)
        for row, request in enumerate(batch):
            self._slots.hold(first + row, given[row])
            self._to_score.remove(request)
            yield request, scores[row]


def _of_tokens(logits: torch.Tensor, tokens: Sequence[int], temperature: float) -> list[float]:
    """The log-prob of one token a row of `logits`."""
    import torch

    logits = logits.float() / temperature
    chosen = logits.gather(1, torch.tensor(tokens, device=logits.device)[:, None])[:, 0]
    found: list[float] = (chosen - logits.logsumexp(-1)).tolist()
    return found


def _chunks(
    ids: Sequence[list[int]], starts: Sequence[int], size: int
) -> Iterator[tuple[int, list[list[int]], list[int]]]:
    """Cut what is left of `ids` after `starts` into passes over neighbouring rows: first row, ids, starts of each."""
    at = list(starts)
    while open_rows := [row for row, start in enumerate(at) if start < len(ids[row])]:
        first, last = open_rows[0], open_rows[-1] + 1
        rows = range(first, last)
        limit = max(1, min(size, _MASKED // (len(rows) * max(len(ids[row]) for row in rows))))
        parts = [ids[row][at[row] : at[row] + limit] for row in rows]
        yield first, parts, at[first:last]
        at[first:last] = [at[row] + len(part) for row, part in zip(rows, parts, strict=True)]
