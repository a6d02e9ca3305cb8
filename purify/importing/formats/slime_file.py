"""The records of a `.pt` file that slime saved: one a sample, with the rollout's number beside it.

A pickle can run code when it is read. Only `torch.load(weights_only=True)` reads it here, which knows plain values and
tensors and nothing else; a file that needs more is put aside, and the reason names what it asked for (slime puts NumPy
arrays there when it records expert routing).
"""

from __future__ import annotations

import math
import re
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from purify.errors import PurifyError
from purify.importing.json_records import Read

_ASKED_FOR = re.compile(r"GLOBAL ([\w.]+)")


def read_slime_file(path: Path) -> Iterator[Read]:
    """Raises `PurifyError` if torch is not installed."""
    try:
        import torch
    except ModuleNotFoundError:
        raise PurifyError(
            f"{path.name}: a .pt file is read with torch; install it with: pip install 'purify-trajectories[generate]'"
        ) from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # on pickles that torch did not write
            # Tensors that nobody asks for stay on disk; only the newer, zipped form can do that.
            content = torch.load(path, weights_only=True, map_location="cpu", mmap=zipfile.is_zipfile(path))
    except Exception as error:  # a damaged pickle raises whatever its broken instructions lead to
        yield Read(0, None, None, _refusal(error))
        return
    samples = content.get("samples") if isinstance(content, dict) else None
    if not isinstance(samples, list):
        yield Read(0, None, None, "no list of samples in this .pt file; slime's --save-debug-rollout-data writes one")
        return
    for row, sample in enumerate(samples):
        yield Read(row, {"rollout_id": content.get("rollout_id"), "sample": _plain(sample)}, None)


def _refusal(error: Exception) -> str:
    if asked := _ASKED_FOR.search(str(error)):
        return (
            f"the pickle asks for {asked[1]}, which is refused: reading it could run code;"
            " save the samples again with plain values and tensors only"
        )
    said = str(error).strip()
    told = said.partition("WeightsUnpickler error:")[2].strip() or said
    return f"not a readable .pt file ({type(error).__name__}: {told.split(chr(10), 1)[0][:200]})"


def _plain(value: Any) -> Any:
    """A value that JSON can hold: tensors as lists, and NaN and infinities as strings, as in JSON dumps."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return _plain(value.tolist()) if hasattr(value, "tolist") else str(value)
