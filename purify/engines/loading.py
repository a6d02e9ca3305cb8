"""From options to an engine and a tokenizer, and who the model is.

Every way in which a model cannot be loaded ends in one line of `PurifyError`.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from purify.digests import digest, file_sha256
from purify.engines.base import Engine
from purify.engines.config import EngineConfig
from purify.errors import PurifyError


async def load_engine(config: EngineConfig) -> Engine:
    """The engine that `config` describes, ready to sample.

    Raises `PurifyError` if its package or its model is missing or unfit, `EngineError` if a server cannot be reached.
    """
    if config.engine == "vllm":
        from purify.engines.vllm import load_vllm

        check_model(config.model)
        return await load_vllm(config)
    if config.engine == "server":
        from purify.engines.server import load_server

        return await load_server(config)
    from purify.engines.transformers import load_transformers

    check_model(config.model)
    return await load_transformers(config)


def load_tokenizer(config: EngineConfig) -> Any:
    """The model's Hugging Face tokenizer. Raises `PurifyError` if there is none."""
    try:
        from transformers import AutoTokenizer
    except ImportError:
        raise PurifyError(
            "reading a tokenizer needs transformers; install it with: pip install 'purify-trajectories[generate]'"
        ) from None
    name = config.tokenizer_name
    folder = _folder(name)
    if folder is not None and not any((folder / file).exists() for file in _TOKENIZER_FILES):
        raise PurifyError(
            f"{name}: the folder has no tokenizer (tokenizer.json); save one there, or name it with --tokenizer"
        )
    try:
        return AutoTokenizer.from_pretrained(folder or name, revision=config.revision)
    except Exception as error:  # the loaders of the hub, of JSON and of each tokenizer raise what they like
        raise PurifyError(f"{name}: its tokenizer cannot be loaded ({reason(error)})") from None


_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model", "tekken.json")


def check_model(name: str) -> None:
    """Raises `PurifyError` if `name` is a folder without a model, or a path with nothing there."""
    folder = _folder(name)
    if folder is None:
        return
    if not (folder / "config.json").is_file():
        raise PurifyError(f"{name}: the folder has no config.json; give one that save_pretrained has written")
    if not any(path.parent == folder for path in _weights(folder)):
        raise PurifyError(
            f"{name}: the folder has no weights (*.safetensors); give one that save_pretrained has written"
        )


def check_causal(name: str, settings: Any) -> None:
    """Raises `PurifyError` if the model's `config.json` names another kind than a causal language model."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as CAUSAL

    known = settings.architectures or []
    if known and not set(known) & set(CAUSAL.values()):
        raise PurifyError(f"{name}: {known[0]} is not a causal language model; give one that generates text")


def strange_layers(settings: Any) -> str | None:
    """A kind of layer that is no attention (a recurrent state, say), which our own loops cannot handle; or None."""
    kinds = set(getattr(settings.get_text_config(), "layer_types", None) or ())
    return next(iter(sorted(kinds - {"full_attention", "sliding_attention"})), None)


def context_of(config: EngineConfig, settings: Any) -> int:
    """How many tokens prompt and generation may have together. `settings`: the text part of the model's own."""
    own = getattr(settings, "max_position_embeddings", None) or getattr(settings, "n_positions", None)
    if own is None and config.max_model_len is None:
        raise PurifyError(f"{config.model}: the model does not say how long its context is; add --max-model-len")
    if own is not None and config.max_model_len is not None and config.max_model_len > own:
        raise PurifyError(f"{config.model}: --max-model-len {config.max_model_len} is above the model's {own}")
    return config.max_model_len or int(own or 0)


def local_or_hub(name: str) -> str:
    """What loaders are given: the folder's path, or the name on the hub."""
    folder = _folder(name)
    return name if folder is None else str(folder)


def reason(error: BaseException) -> str:
    """The first line of a library's message, for one of ours."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__


def _folder(name: str) -> Path | None:
    """The folder that `name` is, or None if it is a name on the hub. Raises `PurifyError` for a path to nothing."""
    path = Path(name).expanduser()
    if path.is_dir():
        steps = sorted((path / "checkpoints").glob("step-*"))
        if steps and not (path / "config.json").exists():
            raise PurifyError(f"{name}: is a run of `purify train`, not a model; give its checkpoint, {steps[-1]}")
        return path
    if path.exists():
        raise PurifyError(f"{name}: is a file; give the folder that holds the model")
    # A hub name is `name` or `owner/name`; all else was meant as a path.
    if path.is_absolute() or name.startswith((".", "~")) or len(path.parts) > 2 or name.endswith("/"):
        raise PurifyError(f"{name}: no such folder; give a model's folder or its Hugging Face name")
    return None


def _weights(folder: Path) -> list[Path]:
    # In subfolders, too: sentence encoders keep each of their modules in one.
    return sorted([*folder.rglob("*.safetensors"), *folder.rglob("*.bin")])


def end_tokens(config: EngineConfig) -> list[int]:
    """The ids that end a turn by the model's own account (`generation_config.json`); none where it has none."""
    try:
        from transformers import GenerationConfig

        ends = GenerationConfig.from_pretrained(local_or_hub(config.model), revision=config.revision).eos_token_id
    except (OSError, ValueError, ImportError):
        return []
    return [ends] if isinstance(ends, int) else list(ends or ())


def portable_name(model: str) -> str:
    """How data and manifests name a model: a hub name as it is, a folder as its last part and who its weights are."""
    folder = _folder(model)
    if folder is None:
        return model
    return f"{folder.resolve().name}@{_weights_digest(folder.resolve())[:12]}"


def revision_of(model: str, revision: str | None = None) -> str | None:
    """The identity of the weights: of a folder, a digest of them; of a hub model, its commit; None if unknown."""
    folder = _folder(model)
    if folder is not None:
        return _weights_digest(folder.resolve())
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:
        return revision
    cached = try_to_load_from_cache(model, "config.json", revision=revision)
    # .../snapshots/<commit>/config.json
    return Path(cached).parent.name if isinstance(cached, str) else revision


def _weights_digest(folder: Path) -> str:
    return _digest_of(tuple((path, path.stat().st_size, path.stat().st_mtime_ns) for path in _weights(folder)))


@cache
def _digest_of(files: tuple[tuple[Path, int, int], ...]) -> str:
    """Reading the weights takes seconds a GiB, so once; sizes and times are there to notice that they changed."""
    return digest(*(file_sha256(path) for path, _, _ in files))
