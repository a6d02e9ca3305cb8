"""Checkpoints: a folder in Hugging Face format that any engine loads, with the trainer's state beside the weights.

    run/checkpoints/step-000050/   config.json, model.safetensors, tokenizer, ...
                    trainer/       optimizer, schedule, random state (and the adapter, with LoRA)
                    complete.json  written last

A checkpoint is written under another name and renamed when all of it is on the disk, so that a kill or a full disk
leaves the one before it. The weights are those of training, to the last bit; `config.json` names the type that the
model came in, which is what inference engines load them as.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import torch

from purify.datasets.sink import sync, write_atomically
from purify.engines.models import save_model
from purify.errors import PurifyError

COMPLETE = "complete.json"
STATE = "trainer/state.pt"


def latest(run: Path) -> Path | None:
    """The newest complete checkpoint of a run; None if there is none."""
    found = [path for path in (run / "checkpoints").glob("step-*") if (path / COMPLETE).is_file()]
    return max(found, default=None, key=lambda path: path.name)


def step_of(checkpoint: Path) -> int:
    """How many updates a checkpoint has seen."""
    return int(orjson.loads((checkpoint / COMPLETE).read_bytes())["step"])


def save_checkpoint(run: Path, step: int, write: Callable[[Path], None], *, keep: int) -> Path:
    """Let `write` fill a folder, publish it as the checkpoint of `step`, and remove those before the newest `keep`.

    Raises `PurifyError` if the disk does not take it; earlier checkpoints stay.
    """
    folder = run / "checkpoints"
    final, scratch = folder / f"step-{step:06d}", folder / f".step-{step:06d}"
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        (scratch / "trainer").mkdir(parents=True)
        write(scratch)
        for path in sorted(scratch.rglob("*")):
            sync(path)
        write_atomically(scratch / COMPLETE, orjson.dumps({"step": step}) + b"\n")
    except Exception as error:
        shutil.rmtree(scratch, ignore_errors=True)
        if not _is_of_the_disk(error):
            raise
        left = latest(run)
        kept = f"the checkpoint of update {step_of(left)} is kept" if left else "there is no earlier one"
        raise PurifyError(
            f"{final}: cannot be written ({_why(error)}); {kept}; make room (--keep 1 keeps one) and add --resume"
        ) from None
    if final.exists():
        shutil.rmtree(final)
    scratch.rename(final)
    sync(folder)
    for old in sorted(path for path in folder.glob("step-*") if (path / COMPLETE).is_file())[:-keep]:
        (old / COMPLETE).unlink()  # half removed, it must not look whole
        shutil.rmtree(old)
    return final


def write_model(model: Any, tokenizer: Any, folder: Path, *, state: dict[str, Any] | None, dtype: torch.dtype) -> None:
    """Weights and tokenizer in Hugging Face format; `dtype` is what `config.json` tells others to load them as."""
    save_model(model, tokenizer, folder, state=state)
    settings = orjson.loads((folder / "config.json").read_bytes())
    settings["dtype"] = str(dtype).removeprefix("torch.")
    (folder / "config.json").write_bytes(orjson.dumps(settings, option=orjson.OPT_INDENT_2) + b"\n")


def _is_of_the_disk(error: Exception) -> bool:
    # torch and safetensors wrap the system's error in their own.
    return isinstance(error, OSError) or any(
        sign in str(error) for sign in (os.strerror(28), "PytorchStreamWriter", "File too large", "unexpected pos")
    )


def _why(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return str(error).splitlines()[0]
