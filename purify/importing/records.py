"""Read records out of files: JSON lines, one JSON array or object, Parquet, a session, or a container of its own kind;
in units that workers can share.

A unit is one or more byte (or row-group) ranges; it becomes one shard. Units depend on the files alone, so the number
of workers changes nothing.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import ijson
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from purify.datasets.parquet import without_padding
from purify.digests import digest
from purify.errors import PurifyError
from purify.importing.containers import CONTAINERS
from purify.importing.json_records import (
    BYTE_ORDER_MARK,
    MAX_RECORD_BYTES,
    Read,
    element,
    lenient,
    parse,
    whole_text,
)
from purify.importing.sessions import is_header, read_session

UNIT_BYTES = 32 * 2**20
"""Source bytes a shard is made of: small enough that workers share a dump of ordinary size."""
WHOLE_FILE_BYTES = 256 * 2**20
"""A JSON file up to this size is parsed at once; a larger one is streamed, slower but in constant memory."""
SUFFIXES = frozenset({".jsonl", ".ndjson", ".json", ".traj", ".parquet", *CONTAINERS})

COMPRESSED = frozenset({".gz", ".zst", ".bz2", ".xz", ".lz4", ".zip", ".tar", ".tgz"})

Kind = Literal["lines", "session", "array", "object", "messages", "parquet", "container"]


@dataclass(frozen=True, slots=True)
class Segment:
    """A range of one file: bytes, or row groups of Parquet. `first_row` numbers its first record."""

    name: str
    kind: Kind
    start: int
    end: int
    first_row: int


Unit = tuple[Segment, ...]


def find_files(dump: Path) -> tuple[Path, list[str], int]:
    """The root, the sorted relative names of readable files under it, and how many others were passed over.

    Raises `PurifyError` if there is nothing to read.
    """
    if not dump.exists():
        raise PurifyError(f"{dump}: no such file or directory")
    if dump.suffix in COMPRESSED:
        raise PurifyError(f"{dump}: is compressed; decompress it first")
    if dump.is_file():
        return dump.parent, [dump.name], 0
    if (dump / "manifest.json").is_file() and (dump / "data").is_dir():
        raise PurifyError(f"{dump}: is a purify dataset already; go on with `purify clean {dump} -o DIR`")
    if (dump / "export.json").is_file() and (dump / "data").is_dir():
        dump /= "data"  # what `purify export` wrote; the rest describes it
    files = sorted(_walk(dump))
    names = [path.relative_to(dump).as_posix() for path in files if path.suffix.lower() in SUFFIXES]
    if strange := [name for name in names if not _is_text(name)]:
        raise PurifyError(f"{dump}: the file name {strange[0]!r} is not UTF-8, and rows name their file; rename it")
    if not names:
        raise PurifyError(f"{dump}: no {', '.join(sorted(SUFFIXES))} file in it")
    return dump, names, len(files) - len(names)


def _is_text(name: str) -> bool:
    try:
        return bool(name.encode())
    except UnicodeEncodeError:
        return False


def _walk(dump: Path) -> Iterator[Path]:
    """Every file below, but hidden ones (editors keep copies there). A folder that cannot be read is an error."""

    def fail(error: OSError) -> None:
        raise PurifyError(f"{error.filename}: {error.strerror}; every folder of a dump must be readable") from None

    for folder, below, names in os.walk(dump, onerror=fail, followlinks=False):
        below[:] = [name for name in below if not name.startswith(".")]
        yield from (Path(folder, name) for name in names if not name.startswith(".") and Path(folder, name).is_file())


def plan_units(root: Path, names: Sequence[str]) -> list[Unit]:
    """Cut the files into units of about `UNIT_BYTES`: small files share one, large JSON-lines files are split."""
    units: list[Unit] = []
    gathered: list[Segment] = []
    size = 0
    for name in names:
        for segment, weight in _segments(root / name, name):
            if gathered and size + weight > UNIT_BYTES:
                units.append(tuple(gathered))
                gathered, size = [], 0
            gathered.append(segment)
            size += weight
    if gathered:
        units.append(tuple(gathered))
    return units


def unit_identity(root: Path, unit: Unit) -> str:
    """Names a unit and the state of its files, so that a resume refuses changed input."""
    return digest(*([s.name, s.kind, s.start, s.end, (root / s.name).stat().st_mtime_ns] for s in unit))


def read_segment(root: Path, segment: Segment) -> Iterator[Read]:
    """All records of a segment, in order; unreadable ones carry their problem."""
    path = root / segment.name
    match segment.kind:
        case "lines":
            yield from _lines(path, segment)
        case "session":
            yield read_session(path)
        case "array":
            yield from _array(path)
        case "object" | "messages":
            yield _whole(path, as_messages=segment.kind == "messages")
        case "parquet":
            yield from _parquet(path, segment)
        case "container":
            yield from CONTAINERS[path.suffix.lower()](path)


def _segments(path: Path, name: str) -> Iterator[tuple[Segment, int]]:
    size = path.stat().st_size
    if size == 0:
        return
    if path.suffix.lower() == ".parquet":
        yield from _parquet_segments(path, name)
        return
    if path.suffix.lower() in CONTAINERS:
        yield Segment(name, "container", 0, size, 0), size
        return
    kind = _sniff(path)
    if kind != "lines":
        yield Segment(name, kind, 0, size, 0), size
        return
    with path.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as view:
        start, row = 0, 0
        while start < size:
            newline = view.find(b"\n", min(start + UNIT_BYTES, size) - 1)
            end = size if newline < 0 else newline + 1
            yield Segment(name, "lines", start, end, row), end - start
            row += _count_lines(view, start, end)
            start = end


def _count_lines(view: mmap.mmap, start: int, end: int, window: int = 2**24) -> int:
    return sum(view[at : min(at + window, end)].count(b"\n") for at in range(start, end, window))


def _sniff(path: Path) -> Kind:
    """JSON lines unless the file starts with `[`, or its first line is no whole value (one pretty-printed object) or
    the header of a session."""
    with path.open("rb") as handle:
        first = handle.readline(MAX_RECORD_BYTES)
        while first and not first.strip():
            first = handle.readline(MAX_RECORD_BYTES)
        rest = handle.read(1)
    lines = path.suffix.lower() in {".jsonl", ".ndjson"}
    if not lines and first.removeprefix(BYTE_ORDER_MARK).lstrip().startswith(b"["):
        return "messages" if path.name.endswith(".traj.json") else "array"  # mini-swe-agent's first version
    read = parse(first, 0)
    if is_header(read.record):
        return "session"
    if lines or read.problem is None:
        return "lines"
    return "object" if rest or path.suffix in {".json", ".traj"} else "lines"


def _whole(path: Path, *, as_messages: bool) -> Read:
    if (size := path.stat().st_size) <= MAX_RECORD_BYTES:
        return parse(path.read_bytes(), 0, as_messages=as_messages)
    problem = (
        f"one JSON value of {size:,} bytes, more than {MAX_RECORD_BYTES:,}, cannot be read in parts; an inspect log can"
        " as an archive (inspect log convert LOG.json --to eval --output-dir DIR), samples in a list as JSON lines"
    )
    return Read(0, None, None, problem)


def _lines(path: Path, segment: Segment) -> Iterator[Read]:
    with path.open("rb") as handle:
        handle.seek(segment.start)
        at, row = segment.start, segment.first_row
        while at < segment.end:
            line = handle.readline(MAX_RECORD_BYTES + 2)
            if not line:
                return
            at += len(line)
            if len(line) > MAX_RECORD_BYTES:
                while not line.endswith(b"\n") and (line := handle.readline(MAX_RECORD_BYTES)):
                    at += len(line)
                yield Read(row, None, None, f"line longer than {MAX_RECORD_BYTES:,} bytes; split it")
            elif stripped := line.strip():
                yield parse(stripped, row)
            row += 1


def _array(path: Path) -> Iterator[Read]:
    if path.stat().st_size <= WHOLE_FILE_BYTES:
        content = path.read_bytes().removeprefix(BYTE_ORDER_MARK)
        try:
            yield from (element(record, row) for row, record in enumerate(orjson.loads(content)))
            return
        except orjson.JSONDecodeError:
            pass
        try:
            yield from (whole_text(element(record, row)) for row, record in enumerate(lenient(content)))
            return
        except (ValueError, RecursionError):
            pass
    # Too large to hold, or damaged: the stream gives the good part and says where the rest breaks.
    row = 0
    with path.open("rb") as handle:
        try:
            for record in ijson.items(handle, "item", use_float=True):
                yield element(record, row)
                row += 1
        except (ijson.JSONError, ValueError) as error:
            first = str(error).split("\n", 1)[0].strip()
            yield Read(row, None, None, f"the JSON array breaks off or is damaged here ({first}); the rest is not read")


def _parquet_segments(path: Path, name: str) -> Iterator[tuple[Segment, int]]:
    try:
        metadata = pq.read_metadata(path)
    except (pa.ArrowException, OSError) as error:
        first = str(error).split("\n", 1)[0]
        raise PurifyError(f"{path}: not a readable Parquet file ({first})") from None
    row = 0
    for group in range(metadata.num_row_groups):
        described = metadata.row_group(group)
        yield Segment(name, "parquet", group, group + 1, row), described.total_byte_size
        row += described.num_rows


def _parquet(path: Path, segment: Segment) -> Iterator[Read]:
    with pq.ParquetFile(path) as file:
        row = segment.first_row
        holds_json = [field.name for field in file.schema_arrow if _has_json(field.type)]
        for batch in file.iter_batches(batch_size=256, row_groups=list(range(segment.start, segment.end))):
            for record in batch.to_pylist():
                whole = without_padding(record)
                for name in holds_json:
                    if name in whole:
                        whole[name] = _decoded(whole[name], file.schema_arrow.field(name).type)
                yield whole_text(Read(row, whole, None)) if holds_json else Read(row, whole, None)
                row += 1


def _has_json(kind: pa.DataType) -> bool:
    """Whether the type is, or holds, foreign JSON (the extension type arrow.json, which `datasets` calls Json)."""
    if isinstance(kind, pa.JsonType):
        return True
    if pa.types.is_struct(kind):
        return any(_has_json(child.type) for child in kind)
    return hasattr(kind, "value_type") and _has_json(kind.value_type)


def _decoded(value: Any, kind: pa.DataType) -> Any:
    """A value of this type with its JSON texts parsed."""
    if value is None or not _has_json(kind):
        return value
    if isinstance(kind, pa.JsonType):
        return lenient(value.encode())
    if pa.types.is_struct(kind):
        children = {child.name: child.type for child in kind}
        return {name: _decoded(item, children[name]) for name, item in value.items()}
    return [_decoded(item, kind.value_type) for item in value]
