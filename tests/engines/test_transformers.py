"""The embedded engine against plain forward passes of the same model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from purify.engines import Engine, EngineError, Generation, Sampling
from purify.engines.config import EngineConfig
from purify.engines.loading import load_engine, load_tokenizer
from tests.engines.reference import ROUNDING, farthest, greedy, logprobs_of

T = TypeVar("T")

PROMPT = list(range(20, 60))
SAMPLINGS = [
    Sampling(max_tokens=30),
    Sampling(max_tokens=30, temperature=0.7),
    Sampling(max_tokens=30, temperature=0.7, top_k=20),
    Sampling(max_tokens=30, temperature=1.3, top_p=0.8),
    Sampling(max_tokens=30, temperature=0.9, top_k=50, top_p=0.9),
    Sampling(max_tokens=30, temperature=0.0, top_k=5, top_p=0.5),
]


@asynccontextmanager
async def opened(tiny: Path, **options: Any) -> AsyncIterator[Engine]:
    engine = await load_engine(EngineConfig(model=str(tiny), device="cpu", **options))
    try:
        yield engine
    finally:
        await engine.close()


def with_engine(tiny: Path, use: Callable[[Engine], Awaitable[T]], **options: Any) -> T:
    """Run `use` with an engine, for a minute at most."""

    async def run() -> T:
        async with opened(tiny, **options) as engine:
            return await asyncio.wait_for(use(engine), 60)

    return asyncio.run(run())


def all_at_once(tiny: Path, requests: list[tuple[list[int], Sampling]], **options: Any) -> list[Generation]:
    async def use(engine: Engine) -> list[Generation]:
        return await asyncio.gather(*(engine.generate(prompt, sampling) for prompt, sampling in requests))

    return with_engine(tiny, use, **options)


def prompt_of(number: int, length: int) -> list[int]:
    return [(number * 31 + place * 7) % 400 for place in range(length)]


def test_logprobs_are_those_of_a_plain_pass(tiny: Path) -> None:
    """Prompts of many lengths, all in one batch."""
    requests = [
        (prompt_of(number, 1 + 13 * number), replace(SAMPLINGS[number % len(SAMPLINGS)], seed=number))
        for number in range(30)
    ]
    for (prompt, sampling), generation in zip(requests, all_at_once(tiny, requests), strict=True):
        assert len(generation.token_ids) == len(generation.logprobs) == 30
        assert generation.finish_reason == "length"
        assert farthest(tiny, prompt, generation, sampling) < ROUNDING, sampling


def test_batching_does_not_change_greedy_results(tiny: Path) -> None:
    sampling = Sampling(max_tokens=24, temperature=0.0)
    prompts = [prompt_of(number, 5 + 17 * number) for number in range(12)]
    together = all_at_once(tiny, [(prompt, sampling) for prompt in prompts])
    assert [generation.token_ids for generation in together] == [greedy(tiny, prompt, 24) for prompt in prompts]


def test_a_seed_repeats_a_generation_whatever_else_is_in_the_batch(tiny: Path) -> None:
    asked = (PROMPT, Sampling(max_tokens=40, seed=7))
    [alone] = all_at_once(tiny, [asked])
    others = [(prompt_of(number, 9 * number + 1), Sampling(max_tokens=3 * number + 1)) for number in range(12)]
    among = all_at_once(tiny, [*others, asked, asked])
    assert alone.token_ids == among[-1].token_ids == among[-2].token_ids
    assert alone.logprobs == pytest.approx(among[-1].logprobs, abs=ROUNDING)
    other, unseeded, again = all_at_once(
        tiny, [(PROMPT, Sampling(max_tokens=40, seed=seed)) for seed in (8, None, None)]
    )
    assert len({tuple(generation.token_ids) for generation in (alone, other, unseeded, again)}) == 4


def test_tokens_are_drawn_as_often_as_they_are_likely(tiny: Path) -> None:
    """One token each of 4,000 requests: the share of the likeliest is its probability, within four deviations."""
    sampling = Sampling(max_tokens=1, temperature=0.7)
    [best] = greedy(tiny, PROMPT, 1)
    share = 2.718281828459045 ** logprobs_of(tiny, PROMPT, [best], sampling)[0]
    drawn = all_at_once(tiny, [(PROMPT, replace(sampling, seed=seed)) for seed in range(4000)])
    seen = sum(generation.token_ids == [best] for generation in drawn) / 4000
    assert 0.05 < share < 0.95
    assert abs(seen - share) < 4 * (share * (1 - share) / 4000) ** 0.5


def test_stop_ids_end_a_generation_and_are_kept(tiny: Path) -> None:
    [free] = all_at_once(tiny, [(PROMPT, Sampling(max_tokens=40, seed=1))])
    stop = free.token_ids[7]
    end = free.token_ids.index(stop) + 1
    [stopped] = all_at_once(tiny, [(PROMPT, Sampling(max_tokens=40, seed=1, stop_token_ids=(stop,)))])
    assert (stopped.token_ids, stopped.finish_reason) == (free.token_ids[:end], "stop")
    assert stopped.logprobs == pytest.approx(free.logprobs[:end], abs=ROUNDING)


def test_a_stop_id_in_the_last_place_is_a_stop(tiny: Path) -> None:
    [free] = all_at_once(tiny, [(PROMPT, Sampling(max_tokens=8, seed=1))])
    sampling = Sampling(max_tokens=8, seed=1, stop_token_ids=(free.token_ids[-1],))
    [stopped] = all_at_once(tiny, [(PROMPT, sampling)])
    assert stopped.finish_reason == "stop"


def test_stop_strings_end_a_generation_and_their_ids_are_kept(tiny: Path) -> None:
    tokenizer = load_tokenizer(EngineConfig(model=str(tiny)))
    [free] = all_at_once(tiny, [(PROMPT, Sampling(max_tokens=60, seed=1))])
    text = tokenizer.decode(free.token_ids)
    # The text of two neighbours that stands there once: only the second completes it.
    at, stop = next(
        (at, pair)
        for at in range(5, 59)
        if "\ufffd" not in (pair := tokenizer.decode(free.token_ids[at : at + 2])) and text.count(pair) == 1
    )
    [stopped] = all_at_once(tiny, [(PROMPT, Sampling(max_tokens=60, seed=1, stop=("never", stop)))])
    assert stopped.finish_reason == "stop"
    assert stopped.token_ids == free.token_ids[: at + 2]


def test_a_stop_string_in_the_prompt_stops_nothing(tiny: Path) -> None:
    tokenizer = load_tokenizer(EngineConfig(model=str(tiny)))
    prompt = tokenizer("print(solve([1, 2, 3]))")["input_ids"]
    [generation] = all_at_once(tiny, [(prompt, Sampling(max_tokens=5, seed=3, stop=("solve",)))])
    assert generation.finish_reason == "length"


def test_scores_are_those_of_a_plain_pass(tiny: Path) -> None:
    sequences = [prompt_of(number, length) for number, length in enumerate((1, 2, 300, 555, 40, 2048))]

    async def use(engine: Engine) -> list[tuple[float, list[list[float | None]]]]:
        return [
            (temperature, await asyncio.gather(*(engine.score(ids, temperature) for ids in sequences)))
            for temperature in (1.0, 0.7)
        ]

    for temperature, scores in with_engine(tiny, use):
        for ids, scored in zip(sequences, scores, strict=True):
            expected = logprobs_of(tiny, ids[:1], ids[1:], Sampling(max_tokens=1, temperature=temperature))
            assert scored[0] is None
            assert scored[1:] == pytest.approx(expected, abs=ROUNDING)


def test_scoring_beside_generation_disturbs_neither(tiny: Path) -> None:
    sampling = Sampling(max_tokens=60, seed=5)
    ids = prompt_of(3, 400)

    async def use(engine: Engine) -> tuple[list[Generation], list[list[float | None]]]:
        generations = asyncio.gather(*(engine.generate(PROMPT, replace(sampling, seed=seed)) for seed in range(6)))
        await asyncio.sleep(0.02)
        scores = await asyncio.gather(*(engine.score(ids) for _ in range(3)))
        return await generations, scores

    generations, scores = with_engine(tiny, use, max_batch=8)
    for generation in generations:
        assert farthest(tiny, PROMPT, generation, sampling) < ROUNDING
    expected = logprobs_of(tiny, ids[:1], ids[1:], sampling)
    for scored in scores:
        assert scored[1:] == pytest.approx(expected, abs=ROUNDING)


def test_turns_continue_from_what_is_cached(tiny: Path) -> None:
    """Conversations that come back with more, one that is rolled back, more of them than there are rows."""

    async def converse(engine: Engine, number: int) -> list[tuple[list[int], Sampling, Generation]]:
        turns = []
        context = prompt_of(number // 4, 90)
        for turn in range(4):
            sampling = Sampling(max_tokens=10 + number, temperature=0.7, seed=100 * number + turn)
            generation = await engine.generate(context, sampling)
            turns.append((context, sampling, generation))
            context = [*context, *generation.token_ids, *prompt_of(turn, 12)]
            if turn == 1 and number % 3 == 0:
                context = [*context[:105], *prompt_of(number, 9)]
            await asyncio.sleep(0.005 * (number % 5))
        return turns

    async def use(engine: Engine) -> list[list[tuple[list[int], Sampling, Generation]]]:
        return await asyncio.gather(*(converse(engine, number) for number in range(20)))

    turns = [turn for turns in with_engine(tiny, use, max_batch=8) for turn in turns]
    assert len(turns) == 80
    for context, sampling, generation in turns:
        assert farthest(tiny, context, generation, sampling) < ROUNDING


def test_little_memory_makes_requests_wait_and_changes_nothing(tiny: Path) -> None:
    """2 MiB hold 2,048 tokens of this model: eight rows of 256, or one of 2,048."""
    requests = [
        (prompt_of(number, 100 + 40 * number), Sampling(max_tokens=200 + 60 * number, seed=number))
        for number in range(10)
    ]
    for (prompt, sampling), generation in zip(requests, all_at_once(tiny, requests, kv_cache_gb=2 / 1024), strict=True):
        assert len(generation.token_ids) == sampling.max_tokens
        assert farthest(tiny, prompt, generation, sampling) < ROUNDING


def test_a_late_request_joins_and_leaves_while_others_decode(tiny: Path) -> None:
    async def use(engine: Engine) -> tuple[bool, Generation]:
        long = asyncio.create_task(engine.generate(PROMPT, Sampling(max_tokens=1900, seed=0)))
        await asyncio.sleep(0.1)
        short = await engine.generate(PROMPT, Sampling(max_tokens=5, seed=1))
        return long.done(), short

    long_done, short = with_engine(tiny, use)
    assert not long_done
    assert len(short.token_ids) == 5


def test_the_context_is_a_limit(tiny: Path) -> None:
    async def use(engine: Engine) -> Generation:
        assert engine.max_length == 128
        with pytest.raises(ValueError, match="100 tokens and 29 more exceed the engine's 128"):
            await engine.generate([1] * 100, Sampling(max_tokens=29))
        with pytest.raises(ValueError, match="a token to continue"):
            await engine.generate([], Sampling(max_tokens=1))
        with pytest.raises(ValueError, match="vocabulary of 409"):
            await engine.generate([409], Sampling(max_tokens=1))
        with pytest.raises(ValueError, match="129 tokens to score"):
            await engine.score([1] * 129)
        with pytest.raises(ValueError, match="temperature above 0"):
            await engine.score([1, 2], temperature=0)
        return await engine.generate([1] * 100, Sampling(max_tokens=28, seed=0))

    generation = with_engine(tiny, use, max_model_len=128)
    assert len(generation.token_ids) == 28
    assert farthest(tiny, [1] * 100, generation, Sampling(max_tokens=28)) < ROUNDING


def test_a_cancelled_request_makes_room(tiny: Path) -> None:
    """One row: the second request gets its turn only because the first has left."""

    async def use(engine: Engine) -> Generation:
        first = asyncio.create_task(engine.generate(PROMPT, Sampling(max_tokens=2000)))
        scored = asyncio.create_task(engine.score(PROMPT))
        await asyncio.sleep(0.05)
        first.cancel()
        scored.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        return await engine.generate(PROMPT, Sampling(max_tokens=5, seed=1))

    assert len(with_engine(tiny, use, max_batch=1).token_ids) == 5


def test_closing_cancels_what_is_under_way(tiny: Path) -> None:
    async def use() -> None:
        async with opened(tiny) as engine:
            requests = [asyncio.create_task(engine.generate(PROMPT, Sampling(max_tokens=1900))) for _ in range(3)]
            await asyncio.sleep(0.05)
        outcomes = await asyncio.gather(*requests, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [asyncio.CancelledError] * 3
        with pytest.raises(EngineError, match="the engine is closed"):
            await engine.generate(PROMPT, Sampling(max_tokens=1))
        await engine.close()

    asyncio.run(asyncio.wait_for(use(), 60))


def test_a_failing_model_fails_the_engine(tiny: Path) -> None:
    async def use(engine: Any) -> None:
        del engine._slots._model.model.norm  # as a device that is lost: every pass from here on raises
        with pytest.raises(EngineError, match=r"^the transformers engine failed: AttributeError: .*norm"):
            await engine.generate(PROMPT, Sampling(max_tokens=5))
        with pytest.raises(EngineError, match="the transformers engine failed"):
            await engine.generate(PROMPT, Sampling(max_tokens=5))

    with_engine(tiny, use)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_other_dtypes(tiny: Path, dtype: str) -> None:
    sampling = Sampling(max_tokens=20, seed=1)

    async def use(engine: Engine) -> tuple[Generation, list[float | None]]:
        generation = await engine.generate(PROMPT, sampling)
        return generation, await engine.score([*PROMPT, *generation.token_ids])

    generation, scores = with_engine(tiny, use, dtype=dtype)
    # Half precision: about three digits. The engine agrees with itself, and roughly with the full model.
    assert scores[len(PROMPT) :] == pytest.approx(generation.logprobs, abs=0.2)
    assert farthest(tiny, PROMPT, generation, sampling) < 0.5
