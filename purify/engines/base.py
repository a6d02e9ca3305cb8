"""The seam between the agent loop and whatever samples tokens: ids in, ids and log-probs out.

An engine never sees text. Prompts are token ids, so the stored sequence is the one that the model saw, and nothing is
ever tokenised twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from purify.errors import PurifyError


class EngineError(PurifyError):
    """The engine cannot go on (its process died, its server is gone): the run stops, what is finished is kept."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How one generation is sampled. `seed` makes it repeatable as far as the engine's arithmetic is."""

    max_tokens: int
    temperature: float = 1.0
    """0: greedy. The log-probs are then those at temperature 1, without top-p and top-k, as vLLM gives them."""
    top_p: float = 1.0
    top_k: int = 0
    """0: all tokens."""
    stop_token_ids: tuple[int, ...] = ()
    """Sampling ends after one of these, which is kept as the last id."""
    stop: tuple[str, ...] = ()
    """Sampling ends once the generated text contains one of these; the ids that complete it are kept."""
    seed: int | None = None


class Generation(NamedTuple):
    """What was sampled. `logprobs` are those of the sampling distribution (after temperature, top-p, top-k)."""

    token_ids: list[int]
    logprobs: list[float]
    finish_reason: Literal["stop", "length"]


class Engine(Protocol):
    """Samples many requests at once: callers await `generate` concurrently, the engine batches."""

    name: str
    """`vllm`, `transformers`, `server` or `scripted`; recorded with the data."""
    logprobs_mode: str
    """How `logprobs` were taken, as stored in `source.logprobs_mode`: `processed_logprobs`."""
    max_length: int
    """Prompt and generation together never exceed this many tokens (the model's context)."""

    async def generate(self, token_ids: Sequence[int], sampling: Sampling) -> Generation:
        """Continue `token_ids`.

        Only `sampling` decides when it ends: the model's own end tokens are none unless they are stop ids.
        Raises `ValueError` if prompt + `max_tokens` exceed `max_length`, `EngineError` if the engine is beyond use.
        """
        ...

    async def score(self, token_ids: Sequence[int], temperature: float = 1.0) -> list[float | None]:
        """log p(token_i | token_0..i-1) at `temperature`, one a token; None for the first, which has no context."""
        ...

    async def close(self) -> None:
        """Free what the engine holds. Requests in flight are cancelled."""
        ...


def check_room(token_ids: Sequence[int], sampling: Sampling, max_length: int) -> None:
    """Raises `ValueError` for a request that no engine can fulfil."""
    if not token_ids or sampling.max_tokens < 1:
        raise ValueError("a request needs a token to continue and at least one to generate")
    if 0 < sampling.temperature < 0.01:
        raise ValueError(f"temperature {sampling.temperature} is neither 0 (greedy) nor at least 0.01, as vLLM asks")
    if len(token_ids) + sampling.max_tokens > max_length:
        raise ValueError(
            f"{len(token_ids):,} tokens and {sampling.max_tokens:,} more exceed the engine's {max_length:,}"
        )


def check_scorable(token_ids: Sequence[int], temperature: float, max_length: int) -> None:
    """Raises `ValueError` for tokens that no engine can score."""
    if not 0 < len(token_ids) <= max_length:
        raise ValueError(f"{len(token_ids):,} tokens to score; the engine takes 1 to {max_length:,}")
    if temperature <= 0:
        raise ValueError("log-probs need a temperature above 0")
