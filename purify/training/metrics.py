"""What every update reports: one JSON line, and the same numbers for TensorBoard."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import orjson

METRICS = "metrics.jsonl"


class MetricsWriter:
    """Appends to `metrics.jsonl` and to TensorBoard's event files, both in the run's folder."""

    def __init__(self, run: Path, step: int) -> None:
        """`step` is that of the checkpoint that training goes on from: what came after it is dropped."""
        self._path = run / METRICS
        _drop_after(self._path, step)
        self._lines = self._path.open("ab")
        self._board = _board(run / "tensorboard", step)

    def write(self, step: int, values: Mapping[str, float | None]) -> None:
        """Record an update. What is not a finite number is null."""
        known = {name: value if value is None or math.isfinite(value) else None for name, value in values.items()}
        self._lines.write(orjson.dumps({"step": step, **known}) + b"\n")
        self._lines.flush()
        for name, value in known.items():
            if value is not None and self._board is not None:
                self._board.add_scalar(name, value, step)

    def __enter__(self) -> MetricsWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lines.close()
        if self._board is not None:
            self._board.close()


def _board(folder: Path, step: int) -> Any:
    """TensorBoard's writer, or None where the package is not installed: the JSON lines say the same."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=step + 1)


def read_metrics(run: Path) -> list[dict[str, Any]]:
    """The updates of a run, in order."""
    path = run / METRICS
    return [orjson.loads(line) for line in path.read_bytes().splitlines()] if path.is_file() else []


def _drop_after(path: Path, step: int) -> None:
    """Keep the lines of updates up to `step`; a line that a kill cut off goes, too."""
    if not path.is_file():
        return
    kept = []
    for line in path.read_bytes().splitlines(keepends=True):
        try:
            number = orjson.loads(line)["step"]
        except orjson.JSONDecodeError:
            break
        if number > step:
            break
        kept.append(line.rstrip(b"\n") + b"\n")
    path.write_bytes(b"".join(kept))
