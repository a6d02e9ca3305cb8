"""A causal language model that scores chosen tokens of a pack: what `purify score` reads and `purify train` learns.

It is one module with one `forward`, so that FSDP, `torch.compile` and gradient hooks see the LM head as part of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch

from purify.lm.attention import Spans
from purify.lm.logprobs import CHUNK_BYTES, Head, TokenScores, token_scores
from purify.lm.packing import Pack


class Policy(torch.nn.Module):  # type: ignore[misc]
    """Made by `purify.lm.loading.load_policy`."""

    def __init__(self, model: Any, *, compute_dtype: torch.dtype, chunk_bytes: int = CHUNK_BYTES) -> None:
        super().__init__()
        self.model = model
        """A Hugging Face causal language model, or a peft model around one."""
        self.compute_dtype = compute_dtype
        self.chunk_bytes = chunk_bytes

    @property
    def base(self) -> Any:
        """The Hugging Face model itself, whether or not adapters are on it."""
        return self.model.get_base_model() if hasattr(self.model, "get_base_model") else self.model

    @property
    def settings(self) -> Any:
        """Its text configuration."""
        return self.base.config.get_text_config()

    @property
    def max_length(self) -> int | None:
        """Tokens that a sequence may have; None if the model does not say."""
        length = getattr(self.settings, "max_position_embeddings", None)
        return None if length is None else int(length)

    @property
    def vocabulary(self) -> int:
        """Ids are below this."""
        return int(self.base.get_input_embeddings().weight.shape[0])

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    def forward(
        self,
        pack: Pack,
        at: torch.Tensor,
        temperature: float | torch.Tensor = 1.0,
        *,
        entropy: bool = False,
        self_certainty: bool = False,
    ) -> TokenScores:
        """Scores of the tokens at the positions `at` [N] of the pack, each given what stands before it.

        The first token of a sequence has no context and cannot be asked for. `temperature` is one, or one a token [N].
        """
        with self.casting():
            hidden = (
                self.base.get_decoder()(
                    input_ids=pack.input_ids[None],
                    position_ids=pack.position_ids[None],
                    use_cache=False,
                    spans=Spans(pack.starts, pack.lengths),
                )
                .last_hidden_state[0][at - 1]
                .to(self.compute_dtype)
            )
        output = self.base.get_output_embeddings()
        return token_scores(
            hidden,
            Head(output.weight, output.bias, getattr(self.settings, "final_logit_softcapping", None)),
            pack.input_ids[at],
            temperature,
            entropy=entropy,
            self_certainty=self_certainty,
            chunk_bytes=self.chunk_bytes,
        )

    @contextmanager
    def as_reference(self) -> Iterator[None]:
        """Inside, adapters are off and nothing has a gradient: the policy that training began with."""
        off: AbstractContextManager[Any] = (
            self.model.disable_adapter() if hasattr(self.model, "disable_adapter") else nullcontext()
        )
        with torch.no_grad(), off:
            yield

    def casting(self) -> AbstractContextManager[Any]:
        """Inside, passes compute in `compute_dtype`, whatever the weights are stored in."""
        if next(self.base.parameters()).dtype == self.compute_dtype:
            return nullcontext()
        casting: AbstractContextManager[Any] = torch.autocast(self.device.type, dtype=self.compute_dtype)
        return casting
