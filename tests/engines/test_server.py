"""The server engine against a stand-in: start checks, retries, errors. test_vllm.py has the real server."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from math import exp, log
from typing import Any, TypeVar

import pytest

from purify.engines import EngineError, Sampling
from purify.engines.config import EngineConfig
from purify.engines.loading import load_engine
from purify.errors import PurifyError
from tests.engines.stand_in import StandIn, stand_in

T = TypeVar("T")


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def with_engine(server: StandIn, use: Callable[[Any], Awaitable[T]], **options: Any) -> T:
    async def run() -> T:
        engine = await load_engine(EngineConfig(engine="server", url=server.url, model="tiny", **options))
        try:
            return await use(engine)
        finally:
            await engine.close()

    return asyncio.run(asyncio.wait_for(run(), 30))


async def nothing(engine: Any) -> None: ...


def test_a_request_says_all_that_the_server_might_fill_in() -> None:
    sampling = Sampling(max_tokens=3, temperature=0.5, top_p=0.9, top_k=2, stop_token_ids=(6,), stop=("x",), seed=1)
    with stand_in() as server:
        generation = with_engine(server, lambda engine: engine.generate([1, 2], sampling))
    logprob = 6 - log(exp(6) + exp(2) + exp(0))
    assert generation == ([4, 4, 4], pytest.approx([logprob] * 3), "length")
    assert server.requests[-1] == {
        "model": "tiny",
        "prompt": [1, 2],
        "max_tokens": 3,
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 2,
        "min_p": 0.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "repetition_penalty": 1.0,
        "seed": 1,
        "stop": ["x"],
        "stop_token_ids": [6],
        "include_stop_str_in_output": True,
        "ignore_eos": True,
        "skip_special_tokens": False,
        "logprobs": 0,
        "return_token_ids": True,
    }


def test_processed_and_raw_logprobs_are_told_apart() -> None:
    async def mode(engine: Any) -> tuple[str, str, int]:
        return engine.name, engine.logprobs_mode, engine.max_length

    with stand_in() as server:
        assert with_engine(server, mode) == ("server", "processed_logprobs", 100)
    with stand_in(processed=False) as server:
        assert with_engine(server, mode, max_model_len=50) == ("server", "raw_logprobs", 50)


@pytest.mark.parametrize(
    "sampling", [Sampling(1, temperature=0.7), Sampling(1, top_p=0.9), Sampling(1, top_k=5)], ids=repr
)
def test_raw_logprobs_are_refused_where_they_are_not_those_of_the_sampling(sampling: Sampling) -> None:
    with stand_in(processed=False) as server, pytest.raises(PurifyError, match="--logprobs-mode processed_logprobs"):
        with_engine(server, lambda engine: engine.generate([1], sampling))


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_raw_logprobs_serve_where_they_are(temperature: float) -> None:
    with stand_in(processed=False) as server:
        generation = with_engine(server, lambda engine: engine.generate([1], Sampling(1, temperature=temperature)))
    assert generation.logprobs == pytest.approx([3 - log(exp(3) + exp(1) + exp(0))])


@pytest.mark.parametrize("failures", [[503], [0, 500], [429, 502, 0]], ids=str)
def test_a_server_that_stumbles_is_asked_again(failures: list[int]) -> None:
    async def use(engine: Any) -> Any:
        server.failures = list(failures)
        return await engine.generate([1], Sampling(max_tokens=2))

    with stand_in() as server:
        assert with_engine(server, use).token_ids == [4, 4]
        # Two to try it out, the failures, and the one that worked.
        assert len(server.requests) == 2 + len(failures) + 1


def test_a_server_that_stays_down_ends_the_engine() -> None:
    async def use(engine: Any) -> None:
        engine._attempts = 3
        server.failures = [503] * 9
        await engine.generate([1], Sampling(max_tokens=2))

    message = r"^http://127.0.0.1:\d+/v1: the server is gone \(503 Service Unavailable; tried 3 times\)$"
    with stand_in() as server, pytest.raises(EngineError, match=message):
        with_engine(server, use)
    assert len(server.requests) == 2 + 3


def test_a_refused_request_is_not_repeated() -> None:
    async def use(engine: Any) -> None:
        server.failures = [400]
        await engine.generate([1], Sampling(max_tokens=2))

    with stand_in() as server, pytest.raises(EngineError, match=r"refused a request \(400: .*it is a\\n 400"):
        with_engine(server, use)
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [
        ({"model": "big"}, "serves big, not tiny; name one with --model"),
        ({"max_model_len": None}, "does not say how long its context is; add --max-model-len"),
        ({"returns_ids": False}, "does not take and return token ids"),
        ({"returns_logprobs": False}, "returns no log-probs"),
        ({"key": "secret"}, "set OPENAI_API_KEY"),
        ({"body": b"<html>"}, "does not answer in JSON"),
        ({"body": b"[1]"}, "does not answer as vLLM does"),
        ({"failures": [400]}, r"refused a request \(400"),
        ({"failures": [503]}, r"no server answers \(503"),
    ],
    ids=str,
)
def test_an_unfit_server_is_one_line(behaviour: dict[str, Any], message: str) -> None:
    with stand_in(**behaviour) as server, pytest.raises(PurifyError, match=message) as caught:
        with_engine(server, nothing)
    assert str(caught.value).startswith(f"{server.url}: ")
    assert "\n" not in str(caught.value)


def test_no_server_and_no_address_are_one_line() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = StandIn(url=f"http://127.0.0.1:{free.getsockname()[1]}/v1")
    with pytest.raises(EngineError, match=r"no server answers \(.+\); start one with: vllm serve tiny$"):
        with_engine(nobody, nothing)
    with pytest.raises(PurifyError, match="localhost 8000: not an address"):
        with_engine(StandIn(url="localhost 8000"), nothing)
    with pytest.raises(PurifyError, match="--url, as http://localhost:8000/v1"):
        asyncio.run(load_engine(EngineConfig(engine="server", model="tiny")))


def test_a_key_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    with stand_in(key="secret") as server:
        with_engine(server, nothing)


def test_a_context_beyond_the_servers_is_refused() -> None:
    with stand_in() as server, pytest.raises(PurifyError, match="--max-model-len 200 is above the server's 100"):
        with_engine(server, nothing, max_model_len=200)


def test_an_aborted_request_is_an_error() -> None:
    with stand_in(finish_reason="abort") as server, pytest.raises(EngineError, match=r"by itself \(abort\)"):
        with_engine(server, lambda engine: engine.generate([1], Sampling(max_tokens=2)))


def test_scores_are_the_prompts() -> None:
    with stand_in() as server:
        assert with_engine(server, lambda engine: engine.score([7, 8, 9])) == [None, -0.5, -0.5]
        with pytest.raises(PurifyError, match="--engine transformers"):
            with_engine(server, lambda engine: engine.score([7, 8], temperature=0.5))
