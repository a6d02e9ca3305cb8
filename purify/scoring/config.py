"""Every option of `purify score` that the data depends on."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from purify.engines.config import OF_THE_MACHINE, EngineConfig

SCORING_MACHINE = (*OF_THE_MACHINE, "pack_tokens")
"""Options that say where and how a pass runs, not what comes out."""


class ScoreConfig(EngineConfig):
    """Which checkpoint scores, and what is written down of it."""

    max_batch: int = Field(default=64, ge=1, description="Sequences that the vllm and server engines score at once.")
    kv_cache_gb: float | None = Field(
        default=None, gt=0, description="Memory of vLLM's keys and values, in GiB (default: vLLM's own choice)."
    )
    both: bool = Field(
        default=False, description="Score the raw trajectory of an edited row, too: raw_logprobs and exact edit ratios."
    )
    entropy: bool = Field(default=False, description="Entropy of the distribution of every model token.")
    self_certainty: bool = Field(default=False, description="KL(uniform || p) of every model token's distribution.")
    temperature: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="Of the log-probs (default: each row's sampling temperature; greedy counts as 1).",
    )
    pack_tokens: int = Field(
        default=16384,
        ge=1,
        description="Tokens in one forward pass of the transformers engine; less needs less memory.",
    )
    allow_tokenizer_mismatch: bool = Field(
        default=False, description="Score token ids although another tokenizer made them."
    )

    @model_validator(mode="after")
    def _engine_can(self) -> Self:
        if self.engine == "transformers":
            return self
        for name in ("entropy", "self_certainty"):
            if getattr(self, name):
                raise ValueError(f"{name} needs engine transformers: others give the log-probs of single tokens only")
        if self.temperature not in (None, 1):
            raise ValueError(f"engine {self.engine} scores at temperature 1 only; use engine transformers")
        return self

    def recorded(self, model: str, tokenizer: str | None) -> ScoreConfig:
        """As data and manifests name it, with portable names: the same wherever it runs, no path or address in it."""
        machine = {name: ScoreConfig.model_fields[name].default for name in SCORING_MACHINE}
        return self.model_copy(update={**machine, "model": model, "tokenizer": tokenizer})
