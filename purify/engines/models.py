"""Causal language models in Hugging Face format: loaded and saved the same way by engines, scoring and training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from purify.engines.loading import check_causal, local_or_hub, reason, strange_layers
from purify.errors import PurifyError


@contextmanager
def quiet() -> Iterator[None]:
    """Without the bars that transformers draws over files of weights."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def load_causal(name: str, revision: str | None, dtype: str, device: str, unfit: Callable[[str, str], str]) -> Any:
    """The model on a device (auto: CUDA where there is one), ready to infer, with attention by torch.

    Raises `PurifyError` if it cannot be loaded, or, worded by `unfit(name, why)`, if its layers are not all attention.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    place = local_or_hub(name)
    try:
        with quiet():
            settings = AutoConfig.from_pretrained(place, revision=revision)
            check_causal(name, settings)
            if strange := strange_layers(settings):
                raise PurifyError(unfit(name, f"it has {strange} layers"))
            model = AutoModelForCausalLM.from_pretrained(
                place, revision=revision, dtype=dtype, attn_implementation="sdpa"
            )
            return model.to(device).eval()
    except PurifyError:
        raise
    except Exception as error:  # the loaders of the hub, of JSON and of each model raise what they like
        raise PurifyError(f"{name}: the model cannot be loaded ({reason(error)})") from None


def save_model(model: Any, tokenizer: Any, folder: Path, *, state: dict[str, Any] | None = None) -> None:
    """Model and tokenizer in Hugging Face format. `state`: its weights, where they are not in the model itself."""
    with quiet():
        model.save_pretrained(folder, state_dict=state)
    tokenizer.save_pretrained(folder)
    for weights in folder.glob("*.safetensors"):  # written for their owner alone
        weights.chmod((folder / "config.json").stat().st_mode)
