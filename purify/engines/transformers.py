"""The embedded engine: a Hugging Face model in this process, on a CPU or one GPU, with continuous batching.

    purify generate tasks.jsonl -o rollouts/ --engine transformers --model Qwen/Qwen3-0.6B

One thread decodes; the event loop stays free, since torch works without the interpreter's lock. The continuous
batching of transformers itself is not used: it draws all sequences from one random stream and knows no seed a request.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

from purify.engines.base import EngineError, Generation, Sampling, check_room, check_scorable
from purify.engines.config import EngineConfig
from purify.engines.decoding import Decoder, GenerateRequest, Request, Result, ScoreRequest, Scores
from purify.engines.loading import context_of, load_tokenizer, reason
from purify.engines.models import load_causal
from purify.engines.slots import Slots
from purify.engines.stops import stop_finder
from purify.errors import PurifyError

_GIB = 2**30
_SWITCH_S = 0.0005
_SMALL = 20_000_000
"""Parameters of a model whose matrices are too small to be worth a second thread."""


class _Order(NamedTuple):
    """A request and who waits for it."""

    request: Request
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]


class TransformersEngine:
    """Made by `load_transformers`."""

    name = "transformers"
    logprobs_mode = "processed_logprobs"

    def __init__(self, slots: Slots, tokenizer: Any, threads: int | None) -> None:
        self.max_length = slots.max_length
        self._slots = slots
        self._tokenizer = tokenizer
        self._threads = threads
        self._orders: SimpleQueue[_Order | None] = SimpleQueue()
        self._ended: str | None = None
        self._thread = threading.Thread(target=self._work, name="purify-decoding", daemon=True)
        self._thread.start()

    async def generate(self, token_ids: Sequence[int], sampling: Sampling) -> Generation:
        check_room(token_ids, sampling, self.max_length)
        self._check_ids(token_ids)
        stops = stop_finder(self._tokenizer, sampling.stop)
        generation: Generation = await self._ask(GenerateRequest(list(token_ids), sampling, stops))
        return generation

    async def score(self, token_ids: Sequence[int], temperature: float = 1.0) -> Scores:
        check_scorable(token_ids, temperature, self.max_length)
        self._check_ids(token_ids)
        scores: Scores = await self._ask(ScoreRequest(list(token_ids), temperature))
        return scores

    async def close(self) -> None:
        self._orders.put(None)
        await asyncio.to_thread(self._thread.join)

    def _check_ids(self, token_ids: Sequence[int]) -> None:
        if min(token_ids) < 0 or max(token_ids) >= self._slots.vocabulary:
            raise ValueError(f"a token id is outside the model's vocabulary of {self._slots.vocabulary:,}")

    async def _ask(self, request: Request) -> Any:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._orders.put(_Order(request, loop, future))
        # In this order: the thread notes its end first and empties the queue then, so nobody waits for ever.
        if self._ended is not None:
            raise EngineError(self._ended)
        try:
            return await future
        finally:
            request.cancelled = True  # its task was, or it is done and this means nothing

    def _work(self) -> None:
        import torch

        orders: dict[Request, _Order] = {}
        failure: EngineError | None = None
        try:
            if self._threads is not None:
                torch.set_num_threads(self._threads)
            # The event loop's thread would otherwise keep the interpreter's lock for 5 ms at a time: half a step.
            sys.setswitchinterval(_SWITCH_S)
            with torch.inference_mode():
                self._serve(orders)
        except Exception as error:  # whatever torch raises: those who wait must hear of it
            failure = EngineError(f"the transformers engine failed: {type(error).__name__}: {reason(error)}")
        self._ended = str(failure) if failure else "the engine is closed"
        with suppress(Empty):
            while True:
                if (order := self._orders.get_nowait()) is not None:
                    orders[order.request] = order
        for order in orders.values():
            _tell(order, failure)

    def _serve(self, orders: dict[Request, _Order]) -> None:
        """Until there is an order to stop."""
        decoder = Decoder(self._slots)
        while True:
            with suppress(Empty):
                while (order := self._orders.get(block=decoder.idle)) is not None:
                    orders[order.request] = order
                    decoder.add(order.request)
                return
            for request, result in decoder.step():
                _tell(orders.pop(request), result)
            for request in [request for request in orders if request.cancelled]:
                del orders[request]


def _tell(order: _Order, outcome: Result | EngineError | None) -> None:
    """Answer whoever waits, in their own thread; None cancels."""

    def answer() -> None:
        if order.future.done():
            return
        if outcome is None:
            order.future.cancel()
        elif isinstance(outcome, EngineError):
            order.future.set_exception(outcome)
        else:
            order.future.set_result(outcome)

    with suppress(RuntimeError):  # its loop is closed: nobody waits any more
        order.loop.call_soon_threadsafe(answer)


async def load_transformers(config: EngineConfig) -> TransformersEngine:
    """Load the model. Raises `PurifyError` if it cannot be loaded, or has layers that this engine does not know."""
    return await asyncio.to_thread(_load, config)


def _load(config: EngineConfig) -> TransformersEngine:
    try:
        import torch
        import transformers  # noqa: F401  (missing, it is missed here)
    except ImportError:
        raise PurifyError(
            "engine transformers needs torch and transformers; "
            "install them with: pip install 'purify-trajectories[generate]'"
        ) from None
    tokenizer = load_tokenizer(config)
    model = load_causal(config.model, config.revision, config.dtype, config.device, _unfit)
    max_length = context_of(config, model.config.get_text_config())
    with torch.inference_mode():
        try:
            slots = Slots(model, max_length, config.max_batch, int((config.kv_cache_gb or 4) * _GIB))
            trusted = _same_as_without_cache(model, slots)
        except Exception as error:  # a model that takes no mask, no positions, or another cache
            raise PurifyError(_unfit(config.model, reason(error))) from None
    if not trusted:
        raise PurifyError(_unfit(config.model, "its log-probs differ from those without a cache"))
    small = model.device.type == "cpu" and model.num_parameters() < _SMALL
    return TransformersEngine(slots, tokenizer, threads=1 if small else None)


def _unfit(name: str, why: str) -> str:
    return f"{name}: the transformers engine cannot run this model ({why}); use --engine vllm"


def _same_as_without_cache(model: Any, slots: Slots) -> bool:
    """Whether a few tokens in two passes through the cache, padded, score as they do in one plain pass."""
    import torch

    ids = [token % slots.vocabulary for token in range(11, 23)]
    plain = model(input_ids=torch.tensor([ids], device=model.device)).logits[0, -1]
    slots.forward(0, [ids[:7], ids[:3]][: slots.rows], [0, 0][: slots.rows])
    cached = slots.forward(0, [ids[7:], ids[3:5]][: slots.rows], [7, 3][: slots.rows], logits_of_all=True)[0, -1]
    apart = (plain.float().softmax(-1) - cached.float().softmax(-1)).abs().max()
    return bool(apart < (1e-3 if model.dtype == torch.float32 else 5e-2))
