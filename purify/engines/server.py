"""A running vLLM server: its OpenAI-compatible completions endpoint, which takes and returns token ids.

    vllm serve Qwen/Qwen3-4B-Instruct-2507 --logprobs-mode processed_logprobs
    purify generate tasks.jsonl -o rollouts/ --engine server --url http://localhost:8000/v1 \\
        --model Qwen/Qwen3-4B-Instruct-2507

What the data depends on is tried out before anything is generated: that the server takes ids as they are, returns ids
and log-probs, and that these are of the sampling distribution.
"""

from __future__ import annotations

import os
from collections.abc import Coroutine, Sequence
from typing import Any, NoReturn

from purify.engines.base import EngineError, Generation, Sampling, check_room, check_scorable
from purify.engines.config import EngineConfig
from purify.engines.flights import Flights
from purify.engines.loading import reason
from purify.engines.vllm import NO_TEMPERATURE
from purify.errors import PurifyError

_BUSY = (408, 429, 500, 502, 503, 504)
_MENDED_BY = "start it with --logprobs-mode processed_logprobs"
_PROBE = [1, 2, 3]


class _TransientError(Exception):
    """The server does not answer now, and may later."""


class ServerEngine:
    """Made by `load_server`."""

    name = "server"

    def __init__(self, url: str, model: str, attempts: int = 8) -> None:
        """`attempts`: how often a server that does not answer is asked; 8 take 18 seconds if it is gone."""
        import httpx

        self.logprobs_mode = "processed_logprobs"
        self.max_length = 0
        self._url = url
        self._model = model
        self._attempts = attempts
        self._flights = Flights()
        key = os.environ.get("OPENAI_API_KEY")
        self._client = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {key}"} if key else {},
            # A long generation sends nothing until its end; callers limit how many they have under way.
            timeout=httpx.Timeout(10.0, read=3600.0, pool=None),
            limits=httpx.Limits(max_connections=None),
        )

    async def generate(self, token_ids: Sequence[int], sampling: Sampling) -> Generation:
        check_room(token_ids, sampling, self.max_length)
        tempered = sampling.temperature not in (0, 1) or sampling.top_p < 1 or sampling.top_k > 0
        if tempered and self.logprobs_mode == "raw_logprobs":
            raise PurifyError(
                f"{self._url}: the server's log-probs ignore temperature, top-p and top-k; {_MENDED_BY}, "
                "or sample at temperature 1 without top-p and top-k"
            )
        choice = await self._complete(token_ids, sampling)
        if choice["finish_reason"] not in ("stop", "length"):
            raise EngineError(f"{self._url}: the server ended a request by itself ({choice['finish_reason']})")
        return Generation(choice["token_ids"], choice["logprobs"]["token_logprobs"], choice["finish_reason"])

    async def score(self, token_ids: Sequence[int], temperature: float = 1.0) -> list[float | None]:
        check_scorable(token_ids, temperature, self.max_length)
        if temperature != 1:
            raise PurifyError(NO_TEMPERATURE)
        # It always generates a token. Where there is no room for one, the last id is scored as if it were generated.
        full = len(token_ids) == self.max_length
        prompt = list(token_ids[:-1]) if full else list(token_ids)
        last = {"logprob_token_ids": [token_ids[-1]], "return_tokens_as_token_ids": True} if full else {}
        choice = await self._complete(prompt, Sampling(max_tokens=1), prompt_logprobs=0, **last)
        scores = [at and at[str(token)]["logprob"] for token, at in zip(prompt, choice["prompt_logprobs"], strict=True)]
        if full:
            scores.append(choice["logprobs"]["top_logprobs"][0][f"token_id:{token_ids[-1]}"])
        return scores

    async def close(self) -> None:
        await self._flights.cancel()
        await self._client.aclose()

    async def check(self, max_model_len: int | None) -> None:
        """Learn the model's context, and try out what is relied upon. Raises `PurifyError` if the server is unfit."""
        try:
            await self._check(max_model_len)
        except (KeyError, IndexError, TypeError, AttributeError):
            raise PurifyError(f"{self._url}: the server does not answer as vLLM does; is this its address?") from None

    async def _check(self, max_model_len: int | None) -> None:
        self.max_length = await self._context(max_model_len)
        choice = await self._try_out(temperature=1.0)
        if choice.get("token_ids") is None or choice.get("prompt_token_ids", _PROBE) != _PROBE:
            raise PurifyError(f"{self._url}: the server does not take and return token ids; vLLM 0.10.2 and later do")
        if not (choice.get("logprobs") or {}).get("token_logprobs"):
            raise PurifyError(f"{self._url}: the server returns no log-probs")
        # Between the likeliest tokens lie half the distances at temperature 2, unless it is ignored.
        cold, hot = _spread(choice), _spread(await self._try_out(temperature=2.0))
        if cold > 0.01 and hot > 0.75 * cold:
            self.logprobs_mode = "raw_logprobs"

    async def _context(self, max_model_len: int | None) -> int:
        served = {card["id"]: card for card in (await self._once("GET", "models"))["data"]}
        if self._model not in served:
            raise PurifyError(f"{self._url}: serves {', '.join(served)}, not {self._model}; name one with --model")
        own = served[self._model].get("max_model_len")
        if own is None and max_model_len is None:
            raise PurifyError(f"{self._url}: the server does not say how long its context is; add --max-model-len")
        if own is not None and max_model_len is not None and max_model_len > own:
            raise PurifyError(f"{self._url}: --max-model-len {max_model_len} is above the server's {own}")
        return int(max_model_len or own)

    async def _try_out(self, temperature: float) -> dict[str, Any]:
        sampling = Sampling(max_tokens=1, temperature=temperature, seed=0)
        body = self._body(_PROBE, sampling, logprobs=5)
        choice: dict[str, Any] = (await self._once("POST", "completions", body))["choices"][0]
        return choice

    async def _complete(self, token_ids: Sequence[int], sampling: Sampling, **more: Any) -> dict[str, Any]:
        from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_exponential, wait_random

        retrying = AsyncRetrying(
            retry=retry_if_exception_type(_TransientError),
            stop=stop_after_attempt(self._attempts),
            wait=wait_exponential(multiplier=0.25, max=5.0) + wait_random(0, 0.25),
            reraise=True,
        )
        body = self._body(token_ids, sampling, **more)
        request: Coroutine[Any, Any, dict[str, Any]] = retrying(self._send, "POST", "completions", body)
        try:
            choice: dict[str, Any] = (await self._flights.run(request))["choices"][0]
        except _TransientError as error:
            raise EngineError(f"{self._url}: the server is gone ({error}; tried {self._attempts} times)") from None
        return choice

    async def _once(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        try:
            return await self._send(method, path, body)
        except _TransientError as error:
            raise EngineError(
                f"{self._url}: no server answers ({error}); start one with: vllm serve {self._model}"
            ) from None

    async def _send(self, method: str, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        import httpx

        try:
            response = await self._client.request(method, f"{self._url}/{path}", json=body)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise PurifyError(f"{self._url}: not an address ({reason(error)})") from None
        except httpx.TransportError as error:
            raise _TransientError(reason(error)) from None
        if response.status_code in _BUSY:
            raise _TransientError(f"{response.status_code} {response.reason_phrase}")
        if response.is_error:
            self._refused(response)
        try:
            answer: dict[str, Any] = response.json()
        except ValueError:
            raise EngineError(f"{self._url}: the server does not answer in JSON; give its address up to /v1") from None
        return answer

    def _refused(self, response: Any) -> NoReturn:
        if response.status_code in (401, 403):
            raise EngineError(f"{self._url}: the server wants a key; set OPENAI_API_KEY")
        said = " ".join(response.text.split())[:300]
        raise EngineError(f"{self._url}: the server refused a request ({response.status_code}: {said})")

    def _body(self, token_ids: Sequence[int], sampling: Sampling, logprobs: int = 0, **more: Any) -> dict[str, Any]:
        """Everything that a server might fill in from the model's generation config is given."""
        return {
            "model": self._model,
            "prompt": list(token_ids),
            "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "top_k": sampling.top_k,
            "min_p": 0.0,
            "presence_penalty": 0.0,
            "frequency_penalty": 0.0,
            "repetition_penalty": 1.0,
            "seed": sampling.seed,
            "stop": list(sampling.stop),
            "stop_token_ids": list(sampling.stop_token_ids),
            "include_stop_str_in_output": True,
            "ignore_eos": True,
            "skip_special_tokens": False,
            "logprobs": logprobs,
            "return_token_ids": True,
            **more,
        }


def _spread(choice: dict[str, Any]) -> float:
    """How far apart the log-probs of the likeliest tokens are."""
    top = choice["logprobs"]["top_logprobs"][0].values()
    return float(max(top) - min(top))


async def load_server(config: EngineConfig) -> ServerEngine:
    """Reach a server and make sure that it is fit. Raises `PurifyError` if not, `EngineError` if there is none."""
    try:
        import httpx  # noqa: F401
        import tenacity  # noqa: F401
    except ImportError:
        raise PurifyError(
            "engine server needs httpx and tenacity; install them with: pip install 'purify-trajectories[generate]'"
        ) from None
    if config.url is None:
        raise PurifyError("engine server needs --url, as http://localhost:8000/v1")
    engine = ServerEngine(config.url.rstrip("/"), config.model)
    try:
        await engine.check(config.max_model_len)
    except BaseException:
        await engine.close()
        raise
    return engine
