"""Every option of an engine; `purify.engines.loading` turns them into one."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

EngineName = Literal["transformers", "vllm", "server"]


OF_THE_MACHINE = ("device", "max_batch", "kv_cache_gb", "gpu_memory_utilization", "tensor_parallel_size", "url")
"""Options that say where an engine runs. What it samples and scores depends on them by rounding at most."""


class EngineConfig(BaseModel):
    """Which model samples, and where it runs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    engine: EngineName = Field(
        default="transformers",
        description="transformers (in process, CPU or GPU), vllm (in process), or server (a running vLLM).",
    )
    model: str = Field(min_length=1, description="Hugging Face name or folder of a causal language model.")
    revision: str | None = Field(default=None, description="Branch, tag or commit of a model on the hub.")
    tokenizer: str | None = Field(default=None, description="Name or folder of the tokenizer, if not the model's.")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        default="auto", description="Of the weights; auto takes what the checkpoint has."
    )
    device: str = Field(default="auto", description="Of the transformers engine: auto, cpu, cuda, cuda:1.")
    max_model_len: int | None = Field(
        default=None, ge=16, description="Tokens of prompt and response together (default: the model's context)."
    )
    max_batch: int = Field(
        default=64, ge=1, description="Sequences decoded at once by the transformers and vllm engines; others wait."
    )
    kv_cache_gb: float | None = Field(
        default=None,
        gt=0,
        description="Memory of the keys and values, in GiB (default: 4 with transformers; vLLM's own choice).",
    )
    gpu_memory_utilization: float = Field(
        default=0.9, gt=0, le=1, description="Share of each GPU that the vllm engine takes."
    )
    tensor_parallel_size: int = Field(default=1, ge=1, description="GPUs over which the vllm engine splits the model.")
    url: str | None = Field(default=None, description="Of the server engine, as http://localhost:8000/v1.")

    @model_validator(mode="after")
    def _has_a_reader(self) -> Self:
        if self.url is not None and self.engine != "server":
            raise ValueError("url is read only with engine server")
        return self

    @property
    def tokenizer_name(self) -> str:
        """Where the tokenizer comes from."""
        return self.tokenizer or self.model
