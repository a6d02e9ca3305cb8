"""vLLM in this process: its asynchronous engine, with prefix caching and continuous batching.

    purify generate tasks.jsonl -o rollouts/ --engine vllm --model Qwen/Qwen3-4B-Instruct-2507

vLLM's own defaults are not those of a policy's rollouts: its log-probs ignore the temperature (`processed_logprobs` do
not), and the model's generation config adds stop tokens and sampling parameters (here the request alone decides).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import count
from multiprocessing import active_children
from typing import Any

from purify.engines.base import EngineError, Generation, Sampling, check_room, check_scorable
from purify.engines.config import EngineConfig
from purify.engines.flights import Flights
from purify.engines.loading import local_or_hub, reason
from purify.engines.orphans import Watcher
from purify.errors import PurifyError

_GIB = 2**30
NO_TEMPERATURE = (
    "vLLM gives the log-probs of given tokens at temperature 1 only; to score at another, use --engine transformers"
)


class VllmEngine:
    """Made by `load_vllm`. Belongs to the event loop in which it is first used."""

    name = "vllm"
    logprobs_mode = "processed_logprobs"

    def __init__(self, engine: Any, watcher: Watcher) -> None:
        self.max_length = int(engine.model_config.max_model_len)
        self._engine = engine
        self._watcher = watcher
        self._flights = Flights()
        self._ids = count()

    async def generate(self, token_ids: Sequence[int], sampling: Sampling) -> Generation:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        check_room(token_ids, sampling, self.max_length)
        parameters = SamplingParams(
            max_tokens=sampling.max_tokens,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k,
            seed=sampling.seed,
            stop_token_ids=list(sampling.stop_token_ids),
            stop=list(sampling.stop),
            include_stop_str_in_output=True,
            ignore_eos=True,
            detokenize=bool(sampling.stop),
            skip_special_tokens=False,
            logprobs=0,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        output = (await self._ask(token_ids, parameters)).outputs[0]
        ids = list(output.token_ids)
        if output.finish_reason not in ("stop", "length"):
            raise EngineError(f"vLLM ended a request by itself ({output.finish_reason}); its log says why")
        logprobs = [at[token].logprob for token, at in zip(ids, output.logprobs, strict=True)]
        return Generation(ids, logprobs, output.finish_reason)

    async def score(self, token_ids: Sequence[int], temperature: float = 1.0) -> list[float | None]:
        from vllm import SamplingParams

        check_scorable(token_ids, temperature, self.max_length)
        if temperature != 1:
            raise PurifyError(NO_TEMPERATURE)
        # It always generates a token. Where there is no room for one, the last id is scored as if it were generated.
        full = len(token_ids) == self.max_length
        last = {"logprob_token_ids": [token_ids[-1]]} if full else {}
        parameters = SamplingParams(max_tokens=1, prompt_logprobs=0, detokenize=False, ignore_eos=True, **last)
        prompt = list(token_ids[:-1]) if full else list(token_ids)
        output = await self._ask(prompt, parameters)
        scores = [at and at[token].logprob for token, at in zip(prompt, output.prompt_logprobs, strict=True)]
        return [*scores, output.outputs[0].logprobs[0][token_ids[-1]].logprob] if full else scores

    async def close(self) -> None:
        if self._engine is not None:
            await self._flights.cancel()
            self._engine.shutdown()
            self._engine = None
            self._watcher.close()

    async def _ask(self, token_ids: Sequence[int], parameters: Any) -> Any:
        if self._engine is None:
            raise EngineError("the engine is closed")
        return await self._flights.run(self._last_output(list(token_ids), parameters))

    async def _last_output(self, token_ids: list[int], parameters: Any) -> Any:
        from vllm.v1.engine.exceptions import EngineDeadError, EngineGenerateError

        last = None
        try:
            # "type" says that the prompt is ready for the engine: nothing to render or tokenise.
            prompt = {"type": "token", "prompt_token_ids": token_ids}
            async for output in self._engine.generate(prompt, parameters, str(next(self._ids))):
                last = output
        except (EngineDeadError, EngineGenerateError) as error:
            raise EngineError(f"vLLM's engine died ({reason(error)}); its log above says why") from None
        return last


async def load_vllm(config: EngineConfig) -> VllmEngine:
    """Start vLLM's engine; takes half a minute or more. Raises `PurifyError` if it is missing or does not start."""
    # Before the import, which reads them. No usage reports to the outside; no log but warnings.
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
    try:
        from vllm.engine.arg_utils import AsyncEngineArgs
        from vllm.platforms import current_platform
        from vllm.v1.engine.async_llm import AsyncLLM
    except ImportError as error:
        missing = error.name == "vllm"
        raise PurifyError(
            "engine vllm needs vLLM; install it with: pip install 'purify-trajectories[vllm]'"
            if missing
            else f"vLLM cannot be imported ({reason(error)}); its installation does not fit this machine's torch"
        ) from None
    try:
        arguments = AsyncEngineArgs(
            model=local_or_hub(config.model),
            revision=config.revision,
            tokenizer=local_or_hub(config.tokenizer) if config.tokenizer else None,
            dtype=config.dtype,
            max_model_len=config.max_model_len,
            max_num_seqs=config.max_batch,
            kv_cache_memory_bytes=int(config.kv_cache_gb * _GIB) if config.kv_cache_gb else None,
            gpu_memory_utilization=config.gpu_memory_utilization,
            tensor_parallel_size=config.tensor_parallel_size,
            enable_prefix_caching=True,
            # On a CPU it rewinds a seeded request's generator after part of a prompt, and torch's CPU generator cannot.
            enable_chunked_prefill=False if current_platform.is_cpu() else None,
            logprobs_mode="processed_logprobs",
            generation_config="vllm",
            disable_log_stats=True,
        )
        before = active_children()
        engine = AsyncLLM.from_engine_args(arguments)
    except Exception as error:  # vLLM, pydantic, torch and the hub raise what they like
        raise PurifyError(f"{config.model}: vLLM does not start ({reason(error)}); its log above says more") from None
    return VllmEngine(engine, Watcher(child.pid for child in active_children() if child not in before and child.pid))
