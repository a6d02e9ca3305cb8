"""The warm start: supervised training of a small Qwen3 on demonstrations, the loss on the assistant's tokens alone.

Padding is on the right, and attention looks to the left: no mask is needed, and the fast kernel serves. Gradients are
summed over a few dialogues of like length at a time: little padding, and activations that stay in the processor's cache
(twice as fast). An update's own dialogues are drawn without regard to length; updates of short and of long ones would
weigh tokens differently, and dialogues with failures are the long ones. Matrices are updated by Muon, which needs about
half the updates of AdamW before the policy can copy numbers from the question into its program.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

from purify.errors import PurifyError
from purify.toy.config import ToyConfig
from purify.toy.tokenizer import CONTEXT, Encoded

if TYPE_CHECKING:
    import torch

WARM_UP = 20
AT_ONCE = 4
"""Dialogues of one forward pass."""
WEIGHT_DECAY = 0.01
CLIP = 1.0


class Progress(Protocol):
    def __call__(self, step: int, loss: float) -> None: ...


def require_torch() -> None:
    """Raises `PurifyError` with the command that installs what is missing."""
    try:
        import_module("torch")
        import_module("transformers")
    except ImportError as error:
        raise PurifyError(
            f"toy needs torch and transformers ({error}); "
            "install them with: pip install 'purify-trajectories[generate]'"
        ) from None


def new_policy(tokenizer: Any, seed: int) -> Any:
    """A `Qwen3ForCausalLM` of 0.87 million parameters with random weights."""
    import torch
    from transformers import GenerationConfig, Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(seed)
    end, pad = tokenizer.eos_token_id, tokenizer.pad_token_id
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        eos_token_id=end,
        pad_token_id=pad,
        dtype="float32",
    )
    model = Qwen3ForCausalLM(config)
    model.generation_config = GenerationConfig(eos_token_id=[end, pad], pad_token_id=pad, do_sample=True, top_k=0)
    return model


def warm_start(model: Any, dialogues: Iterator[Encoded], config: ToyConfig, progress: Progress) -> list[float]:
    """Train in place; the loss of every update, in nats a token."""
    import torch

    optimizers = new_optimizers(model, config.learning_rate)
    losses: list[float] = []
    with _threads(config.threads):
        model.train()
        for step in range(config.steps):
            batch = list(islice(dialogues, config.batch_size))
            losses.append(accumulate(model, batch))
            torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            for optimizer in optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = learning_rate(step, config)
                optimizer.step()
                optimizer.zero_grad()
            progress(step + 1, losses[-1])
        model.eval()
    return losses


def new_optimizers(model: Any, rate: float) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the layers, AdamW for embeddings and norms; one learning rate serves both."""
    import torch

    matrices = [parameter for parameter in model.model.layers.parameters() if parameter.ndim == 2]
    known = {id(parameter) for parameter in matrices}
    others = [parameter for parameter in model.parameters() if id(parameter) not in known]
    return [
        torch.optim.Muon(matrices, lr=rate, weight_decay=WEIGHT_DECAY, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=rate, betas=(0.9, 0.98), weight_decay=WEIGHT_DECAY, fused=True),
    ]


def accumulate(model: Any, batch: Sequence[Encoded]) -> float:
    """Add the gradient of a batch's mean cross-entropy over the assistant's tokens; returns that mean."""
    tokens = sum(sum(dialogue.own) for dialogue in batch)
    ordered = sorted(batch, key=lambda dialogue: len(dialogue.ids))
    total = 0.0
    for start in range(0, len(ordered), AT_ONCE):
        loss = summed_loss(model, ordered[start : start + AT_ONCE]) / tokens
        loss.backward()
        total += loss.item()
    return total


def summed_loss(model: Any, dialogues: Sequence[Encoded]) -> torch.Tensor:
    """Cross-entropy summed over the assistant's tokens. The head sees no other position."""
    import torch
    from torch.nn.utils.rnn import pad_sequence

    ids = pad_sequence([torch.tensor(dialogue.ids) for dialogue in dialogues], batch_first=True)
    own = pad_sequence([torch.tensor(dialogue.own) for dialogue in dialogues], batch_first=True)
    hidden = model.model(input_ids=ids[:, :-1], use_cache=False).last_hidden_state
    predicted = model.lm_head(hidden[own[:, 1:]])
    return torch.nn.functional.cross_entropy(predicted, ids[:, 1:][own[:, 1:]], reduction="sum")


def learning_rate(step: int, config: ToyConfig) -> float:
    """Linear warm-up, then a cosine to a twentieth."""
    warm = min(WARM_UP, config.steps // 4 + 1)
    if step < warm:
        return config.learning_rate * (step + 1) / warm
    done = (step - warm) / max(1, config.steps - warm)
    return config.learning_rate * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * done)))


@contextmanager
def _threads(count: int) -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
