"""The records of a file of tasks, or of questions: JSON lines, one JSON array, or Parquet.

A line that cannot be read is a record with a problem. An array or a Parquet file that breaks off is an error: what
follows the damage cannot be found.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from purify.errors import PurifyError

SUFFIXES = (".jsonl", ".ndjson", ".json", ".parquet")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_SPACE = " \t\r\n"


class Record(NamedTuple):
    """`row` is the line of JSON lines, else the position; from 0. Either `value` or `problem` is set."""

    row: int
    raw: bytes
    value: dict[str, Any] | None = None
    problem: str | None = None


class Number(float):
    """A JSON number that knows its text: 1.50 and 1e3 are answers as they stand."""

    text: str

    def __new__(cls, text: str) -> Number:
        number = super().__new__(cls, text)
        number.text = text
        return number


class _RepeatedKeyError(ValueError):
    pass


def read_records(path: Path, *, file: str = "task file", record: str = "task") -> Iterator[Record]:
    """All records of a file. `file`, `record`: what messages call them.

    Raises `PurifyError` if it is missing, empty, of another kind, or damaged where no record ends.
    """
    if not path.exists():
        raise PurifyError(f"{path}: no such file")
    if path.is_dir() or path.suffix.lower() not in SUFFIXES:
        what = "is a folder" if path.is_dir() else f"has the suffix {path.suffix!r}"
        raise PurifyError(f"{path}: {what}; a {file} is one of {', '.join(SUFFIXES)}")
    if path.stat().st_size == 0:
        raise PurifyError(f"{path}: is empty; a {file} has one {record} a line")
    if path.suffix.lower() == ".parquet":
        yield from _parquet(path)
    elif path.suffix.lower() == ".json" and _starts_array(path):
        yield from _array(path, record)
    else:
        yield from _lines(path, record)


def dump_json(value: object) -> str:
    """JSON that keeps every value: bytes as hex, infinities and what else JSON has no form for as their text."""
    return json.dumps(_finite(value), ensure_ascii=False, default=_as_text)


def _lines(path: Path, record: str) -> Iterator[Record]:
    with path.open("rb") as handle:
        for row, line in enumerate(handle):
            raw = (line.removeprefix(_BYTE_ORDER_MARK) if row == 0 else line).strip()
            if raw:
                yield _line(raw, row, record)


def _line(raw: bytes, row: int, record: str) -> Record:
    try:
        return _record(_STRICT.decode(raw.decode()), row, raw, record)
    except UnicodeDecodeError as error:
        problem = f"not UTF-8 (byte {error.start})"
    except json.JSONDecodeError as error:
        problem = f"not JSON: {error.msg} (column {error.colno})"
    except _RepeatedKeyError as error:
        problem = str(error)
    except RecursionError:
        problem = "JSON nested too deeply"
    return Record(row, raw, problem=problem)


def _starts_array(path: Path) -> bool:
    """Whether it is one array; many writers give JSON lines the suffix .json."""
    with path.open("rb") as handle:
        return handle.read(4096).removeprefix(_BYTE_ORDER_MARK).lstrip().startswith(b"[")


def _array(path: Path, record: str) -> Iterator[Record]:
    """Element by element, so that each keeps its own text and a repeated key spoils only its element."""
    try:
        text = path.read_bytes().removeprefix(_BYTE_ORDER_MARK).decode()
        at = _skip(text, text.index("[") + 1)
        row = 0
        while text[at : at + 1] != "]" or row:
            start = at
            try:
                value, at = _STRICT.raw_decode(text, start)
                yield _record(value, row, text[start:at].encode(), record)
            except _RepeatedKeyError as error:
                _, at = _LENIENT.raw_decode(text, start)
                yield Record(row, text[start:at].encode(), problem=str(error))
            row += 1
            at = _skip(text, at)
            if text[at : at + 1] == "]":
                break
            if text[at : at + 1] != ",":
                raise json.JSONDecodeError("no ',' or ']' after an element", text, at)
            at = _skip(text, at + 1)
        if rest := text[at + 1 :].strip(_SPACE):
            raise json.JSONDecodeError("text after the array", text, text.rindex(rest))
    except UnicodeDecodeError as error:
        raise PurifyError(f"{path}: not UTF-8 (byte {error.start}); save it as UTF-8") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise PurifyError(f"{path}: the JSON array is damaged at {where} ({error.msg}); mend it there") from None
    except RecursionError:
        raise PurifyError(f"{path}: JSON nested too deeply") from None


def _skip(text: str, at: int) -> int:
    while text[at : at + 1] and text[at] in _SPACE:
        at += 1
    return at


def _record(value: object, row: int, raw: bytes, record: str) -> Record:
    if not isinstance(value, dict):
        kind = {list: "a list", str: "a string", type(None): "null"}.get(type(value), "a plain value")
        return Record(row, raw, problem=f"a {record} is a JSON object, this is {kind}")
    if b"\\u" in raw:
        try:
            dump_json(value).encode()
        except UnicodeEncodeError:
            return Record(row, raw, problem="a string holds half a surrogate pair, which is not text")
    return Record(row, raw, value)


def _parquet(path: Path) -> Iterator[Record]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from purify.datasets.parquet import without_padding

    row = 0
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=256):
                for value in batch.to_pylist():
                    known = without_padding(value)
                    yield Record(row, dump_json(known).encode(), known)
                    row += 1
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        first = str(error).split("\n", 1)[0]
        raise PurifyError(f"{path}: not a readable Parquet file ({first}); write it again") from None


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _as_text(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


def _object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    known = dict(members)
    if len(known) < len(members):
        keys = [key for key, _ in members]
        repeated = next(key for key in keys if keys.count(key) > 1)
        raise _RepeatedKeyError(f"the key {repeated!r} is there twice; only one could be kept")
    return known


def _number(text: str) -> float | str:
    return Number(text) if math.isfinite(float(text)) else text


def _whole(text: str) -> int | str:
    return int(text) if len(text) < 4300 else text


# NaN and infinities, which are not JSON, and numbers beyond Python's become strings.
_STRICT = json.JSONDecoder(object_pairs_hook=_object, parse_float=_number, parse_int=_whole, parse_constant=str)
_LENIENT = json.JSONDecoder(parse_float=_number, parse_int=_whole, parse_constant=str)
