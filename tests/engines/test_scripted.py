from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from purify.engines import EngineError, Generation, Sampling
from purify.engines.config import EngineConfig
from purify.engines.loading import load_tokenizer
from purify.engines.scripted import Reply, ScriptedEngine, scripted_logprob


def test_replies_come_in_turn_and_prompts_are_kept() -> None:
    async def use() -> None:
        engine = ScriptedEngine([[5, 6], Generation([9], [-0.5], "length")])
        sampling = Sampling(max_tokens=4, temperature=0.7)
        assert await engine.generate([1, 2], sampling) == ([5, 6], [-6 / 1024, -7 / 1024], "stop")
        assert await engine.generate([1, 2, 5, 6, 3], sampling) == ([9], [-0.5], "length")
        assert engine.prompts == [[1, 2], [1, 2, 5, 6, 3]]
        assert engine.samplings == [sampling, sampling]
        with pytest.raises(EngineError, match="no reply left"):
            await engine.generate([1], sampling)

    asyncio.run(use())


def test_a_function_answers_by_prompt_and_may_fail() -> None:
    async def reply(token_ids: list[int], sampling: Sampling) -> Reply:
        await asyncio.sleep(0)
        return EngineError("out of luck") if token_ids == [0] else [token + 1 for token in token_ids]

    async def use() -> None:
        engine = ScriptedEngine(reply)
        assert (await engine.generate([3, 4], Sampling(max_tokens=4))).token_ids == [4, 5]
        with pytest.raises(EngineError, match="out of luck"):
            await engine.generate([0], Sampling(max_tokens=4))

    asyncio.run(use())


def test_generations_end_where_a_models_would(tiny: Path) -> None:
    tokenizer = load_tokenizer(EngineConfig(model=str(tiny)))
    text = "answer = 0 print(answer)"
    ids = tokenizer(text)["input_ids"]
    end = tokenizer.eos_token_id

    async def one(reply: Reply, sampling: Sampling) -> Generation:
        return await ScriptedEngine([reply], tokenizer).generate([1], sampling)

    async def use() -> None:
        whole = await one(text, Sampling(max_tokens=50, stop_token_ids=(end, 11)))
        assert (whole.token_ids, whole.finish_reason) == ([*ids, end], "stop")
        cut = await one(text, Sampling(max_tokens=2, stop_token_ids=(end,)))
        assert (cut.token_ids, cut.finish_reason) == (ids[:2], "length")
        stopped = await one([4, 7, 5], Sampling(max_tokens=50, stop_token_ids=(7,)))
        assert (stopped.token_ids, stopped.finish_reason) == ([4, 7], "stop")
        at_string = await one(text, Sampling(max_tokens=50, stop=("print",)))
        assert tokenizer.decode(at_string.token_ids).endswith("print")
        assert at_string.finish_reason == "stop"

    asyncio.run(use())


def test_a_request_can_be_slow_cancelled_and_closed() -> None:
    async def use() -> None:
        engine = ScriptedEngine(lambda token_ids, sampling: [1], delay_s=30)
        requests = [asyncio.create_task(engine.generate([1], Sampling(max_tokens=1))) for _ in range(2)]
        await asyncio.sleep(0)
        requests[0].cancel()
        await engine.close()
        outcomes = await asyncio.gather(*requests, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [asyncio.CancelledError] * 2
        with pytest.raises(EngineError, match="closed"):
            await engine.generate([1], Sampling(max_tokens=1))

    asyncio.run(asyncio.wait_for(use(), 10))


def test_scores_and_limits() -> None:
    async def use() -> None:
        engine = ScriptedEngine([], max_length=8)
        assert await engine.score([3, 4]) == [None, scripted_logprob(4)] == [None, -5 / 1024]
        with pytest.raises(ValueError, match="5 tokens and 4 more exceed the engine's 8"):
            await engine.generate([1] * 5, Sampling(max_tokens=4))

    asyncio.run(use())
