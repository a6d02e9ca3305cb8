"""Write a dataset as one HTML file that needs no network: the numbers, and a browser of the trajectories.

    purify report purified/ -o report.html

Trajectories go into the file in chunks, compressed, while row groups are read: memory grows with the list (a few
hundred bytes a trajectory), not with the texts. No text of the dataset stands in the file as HTML: it is in base64
until a script puts it, as text, into the page; names in the overview are escaped. A policy in the file forbids it
every connection, and every script but its own.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import orjson

from purify.datasets import Dataset
from purify.datasets.sink import sync
from purify.errors import PurifyError
from purify.reporting.browse import read_rows
from purify.reporting.filters import Filter, matching_rows
from purify.reporting.page.details import LEFT_OUT, REASONS, details
from purify.reporting.page.index import Index
from purify.reporting.page.overview import overview
from purify_schemas import Trajectory

LIMIT = 10_000
"""Trajectories that a page lists unless told otherwise."""
CHUNK = 64
"""Trajectories that are decompressed together when one of them is opened."""

_HERE = Path(__file__).parent
_SCRIPTS = ("text.js", "diff.js", "trajectory.js", "passages.js", "rows.js", "list.js", "page.js")


class Written(NamedTuple):
    """What was written, and what was left out of it."""

    path: Path
    rows: int
    shown: int
    texts_shortened: int
    bytes: int


def write_page(
    source: str | Path, out: str | Path, *, title: str | None = None, limit: int = LIMIT, overwrite: bool = False
) -> Written:
    """Write the page of a dataset to `out`. Of more than `limit` trajectories, it lists edited ones first, then those
    with a refused edit, then the first ones.

    Raises `PurifyError` if `source` is no dataset, or damaged, or `out` is there already (without `overwrite`).
    """
    dataset, out = Dataset.open(source), Path(out)
    if out.is_dir():
        raise PurifyError(f"{out}: is a directory; name the file to write, such as {out / 'report.html'}")
    if out.exists() and not overwrite:
        raise PurifyError(f"{out}: is there already; add --overwrite to replace it, or choose another file with -o")
    if not out.parent.is_dir():
        raise PurifyError(f"{out.parent}: no such directory; create it, or choose another file with -o")
    rows = chosen(dataset, limit)
    script = "\n".join((_HERE / name).read_text(encoding="utf-8") for name in _SCRIPTS)
    style = (_HERE / "page.css").read_text(encoding="utf-8")
    title = title or f"{dataset.path.resolve().name}"
    head = overview(dataset, title=title, shown=len(rows), policy=_policy(script, style), style=style)
    temporary = out.with_name(f"{out.name}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(head.encode())
            shortened = _write_rows(file, read_rows(dataset, rows))
            file.write(f'<script type="module">{script}</script>\n</body>\n</html>\n'.encode())
        sync(temporary)
        temporary.replace(out)
    finally:
        temporary.unlink(missing_ok=True)
    return Written(out, len(dataset), len(rows), shortened, out.stat().st_size)


def chosen(dataset: Dataset, limit: int) -> Sequence[int]:
    """Numbers of the rows to list, ascending."""
    if len(dataset) <= limit:
        return range(len(dataset))
    everything = np.arange(len(dataset))
    order = [everything]
    if dataset.purified:
        order = [matching_rows(dataset, Filter(edited=True)), matching_rows(dataset, Filter(refused=True)), everything]
    wanted, first = np.unique(np.concatenate(order), return_index=True)
    found: list[int] = sorted(wanted[np.argsort(first)][:limit].tolist())
    return found


def _write_rows(file: BinaryIO, rows: Iterator[tuple[int, Trajectory]]) -> int:
    """The chunks, then the index. Returns how many texts were shortened."""
    index, shortened = Index(), 0
    while lines := [_line(index, row, trajectory) for row, trajectory in islice(rows, CHUNK)]:
        shortened += sum(count for _, count in lines)
        _write_block(file, "chunk", b"\n".join(line for line, _ in lines))
    _write_block(file, "index", orjson.dumps({"chunk": CHUNK, "reasons": REASONS, **index.columns()}))
    return shortened


def _line(index: Index, row: int, trajectory: Trajectory) -> tuple[bytes, int]:
    shown = details(row, trajectory)
    shortened = _count_shortened(shown)
    index.add(row, trajectory, raw=len(shown["steps"]), shortened=shortened)
    return orjson.dumps(shown), shortened


def _count_shortened(value: object) -> int:
    if isinstance(value, dict):
        return (LEFT_OUT in value) + sum(map(_count_shortened, value.values()))
    return sum(map(_count_shortened, value)) if isinstance(value, list) else 0


def _write_block(file: BinaryIO, kind: str, payload: bytes) -> None:
    # mtime 0: the same input gives the same bytes. Scripts of an unknown type are never run.
    packed = base64.b64encode(gzip.compress(payload, compresslevel=6, mtime=0))
    file.write(b'<script type="application/octet-stream" class="%s">%s</script>\n' % (kind.encode(), packed))


def _policy(script: str, style: str) -> str:
    """Content-Security-Policy: nothing from anywhere, but this script and this style sheet."""
    own_script, own_style = (
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (script, style)
    )
    return (
        f"default-src 'none'; script-src 'sha256-{own_script}'; style-src-elem 'sha256-{own_style}'; "
        "style-src-attr 'unsafe-inline'; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'"
    )
