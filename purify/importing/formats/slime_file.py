"""The records of a `.pt` file that slime saved: one a sample, with the rollout's number beside it.

A pickle can run code when it is read. Only `torch.load(weights_only=True)` reads it here, which knows plain values and
tensors and nothing else; a file that needs more is put aside, and the reason names what it asked for (slime puts NumPy
arrays there when it records expert routing).

What JSON has not: tensors become lists, sets sorted lists, bytes `{"base64": "..."}`, NaN and infinities strings, keys
strings. A sample that nests or holds more than can be read (a view of one number can claim to be a billion) is put
aside, as is one with two keys that JSON could not tell apart (1 and "1").
"""

from __future__ import annotations

import base64
import math
import re
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from purify.errors import PurifyError, RejectedRecordError
from purify.importing.archives import refusal
from purify.importing.json_records import MAX_RECORD_BYTES, Read, whole_text

MAX_VALUES = 2**24
"""Numbers, words and containers of one sample. As Python objects they take half a gigabyte."""

_ASKED_FOR = re.compile(r"GLOBAL ([\w.]+)")


def read_slime_file(path: Path) -> Iterator[Read]:
    """Raises `PurifyError` if torch is not installed."""
    try:
        import torch
    except ModuleNotFoundError:
        raise PurifyError(
            f"{path.name}: a .pt file is read with torch; install it with: pip install 'purify-trajectories[generate]'"
        ) from None
    if (refused := refusal(path, max_bytes=path.stat().st_size)) is not None:  # torch compresses nothing
        yield Read(0, None, None, f"this .pt file is not read: {refused}")
        return
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
        try:
            record = _record(content.get("rollout_id"), sample)
        except RejectedRecordError as error:
            yield Read(row, None, None, str(error))
        except RecursionError:
            yield Read(row, None, None, "the sample is nested too deeply, or holds itself")
        else:
            yield whole_text(Read(row, record, None))


def _refusal(error: Exception) -> str:
    if asked := _ASKED_FOR.search(str(error)):
        return (
            f"the pickle asks for {asked[1]}, which is refused: reading it could run code;"
            " save the samples again with plain values and tensors only"
        )
    said = str(error).strip()
    told = said.partition("WeightsUnpickler error:")[2].strip() or said
    return f"not a readable .pt file ({type(error).__name__}: {told.split(chr(10), 1)[0][:200]})"


def _record(rollout: object, sample: object) -> dict[str, Any]:
    """Raises `RejectedRecordError` for what JSON cannot hold, and `RecursionError`."""
    values, chars = _size([rollout, sample], {})
    if values > MAX_VALUES or chars > MAX_RECORD_BYTES:
        raise RejectedRecordError(
            f"the sample holds more than {MAX_VALUES:,} values or {MAX_RECORD_BYTES:,} characters; save it without the"
            " large tensors (pixels, routed experts)"
        )
    return {"rollout_id": _plain(rollout), "sample": _plain(sample)}


def _size(value: Any, known: dict[int, tuple[int, int]]) -> tuple[int, int]:
    """How many values and characters JSON would write. What is held twice is written twice, but looked at once."""
    if isinstance(value, str | bytes | bytearray):
        return 1, len(value)
    if hasattr(value, "numel"):
        return value.numel(), 0
    if not isinstance(value, dict | list | tuple | set | frozenset):
        return 1, 0
    if id(value) not in known:
        parts = [part for pair in value.items() for part in pair] if isinstance(value, dict) else value
        sizes = [_size(part, known) for part in parts]
        known[id(value)] = (1 + sum(values for values, _ in sizes), sum(chars for _, chars in sizes))
    return known[id(value)]


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, str | int | bool):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, dict):
        return _object(value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted((_plain(item) for item in value), key=repr)
    if isinstance(value, bytes | bytearray):
        return {"base64": base64.b64encode(value).decode()}
    return _listed(value) if hasattr(value, "numel") else str(value)


def _object(value: dict[Any, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for key, item in value.items():
        if (name := str(key)) in plain:
            raise RejectedRecordError(f"the sample has an object with two keys that are {name!r} in JSON")
        plain[name] = _plain(item)
    return plain


def _listed(tensor: Any) -> Any:
    try:
        listed = tensor.tolist()
        finite = not tensor.is_complex() and bool(tensor.isfinite().all())
    except (RuntimeError, TypeError, ValueError) as error:
        first = str(error).split("\n", 1)[0][:200]
        raise RejectedRecordError(f"the sample has a tensor that cannot be listed ({first})") from None
    return listed if finite else _plain(listed)
