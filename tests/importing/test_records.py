"""Reading files into records: units, line numbers, and everything that can be wrong with a file."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from purify.errors import PurifyError
from purify.importing import records as module
from purify.importing.json_records import Read
from purify.importing.records import find_files, plan_units, read_segment


def read(path: Path) -> list[Read]:
    units = plan_units(path.parent, [path.name])
    return [one for unit in units for segment in unit for one in read_segment(path.parent, segment)]


def write(tmp_path: Path, content: str | bytes, name: str = "dump.jsonl") -> Path:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def found(path: Path) -> list[tuple[int, object]]:
    """(row, record or problem) of every record."""
    return [(one.row, one.record if one.record is not None else one.problem) for one in read(path)]


def test_json_lines_keep_their_line_numbers(tmp_path: Path) -> None:
    path = write(tmp_path, '{"a": 1}\n\n  \n{"a": 2}\r\n{"a": 3}')
    assert found(path) == [(0, {"a": 1}), (3, {"a": 2}), (4, {"a": 3})]


def test_units_cover_a_file_once_whatever_their_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [json.dumps({"n": n, "text": "x" * (n % 17)}) for n in range(200)]
    path = write(tmp_path, "\n".join(lines))
    expected = [(n, json.loads(line)) for n, line in enumerate(lines)]
    for size in (1, 10, 64, 1000, 10**6):
        monkeypatch.setattr(module, "UNIT_BYTES", size)
        assert found(path) == expected


def test_small_files_share_a_unit(tmp_path: Path) -> None:
    for n in range(5):
        write(tmp_path, f'{{"n": {n}}}', f"{n}.json")
    root, names, others = find_files(tmp_path)
    (unit,) = plan_units(root, names)
    assert [segment.name for segment in unit] == ["0.json", "1.json", "2.json", "3.json", "4.json"]
    assert others == 0


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"a": ', "not JSON"),
        ("[1]", "a record must be a JSON object, this is a list"),
        ("null", "a record must be a JSON object, this is a null"),
        ('{"a": "\\ud83d"}', "half a surrogate pair"),
        (b'{"a": "\xff"}', "not UTF-8"),
        ('{"a": ' * 100_000, "nested too deeply"),
    ],
)
def test_a_bad_line_is_named_and_the_others_are_read(tmp_path: Path, line: str | bytes, problem: str) -> None:
    raw = line.encode() if isinstance(line, str) else line
    path = write(tmp_path, b'{"a": 1}\n' + raw + b'\n{"a": 2}\n')
    first, bad, last = read(path)
    assert (first.record, last.record, last.row) == ({"a": 1}, {"a": 2}, 2)
    assert bad.record is None and bad.raw == raw.strip() and bad.row == 1
    assert problem in (bad.problem or "")


def test_nan_is_kept_as_text(tmp_path: Path) -> None:
    path = write(tmp_path, '{"reward": NaN, "b": [Infinity, 1.5]}\n')
    assert found(path) == [(0, {"reward": "NaN", "b": ["Infinity", 1.5]})]
    path = write(tmp_path, '[{"reward": NaN}, {"reward": 1}]', "array.json")
    assert found(path) == [(0, {"reward": "NaN"}), (1, {"reward": 1})]


def test_a_line_past_the_limit_is_put_aside_without_reading_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_RECORD_BYTES", 100)
    path = write(tmp_path, '{"a": 1}\n{"a": "' + "x" * 1000 + '"}\n{"a": 2}\n')
    assert found(path) == [(0, {"a": 1}), (1, "line longer than 100 bytes; split it"), (2, {"a": 2})]


def test_a_line_of_100_mb_is_read(tmp_path: Path) -> None:
    text = "x" * 100 * 2**20
    path = write(tmp_path, json.dumps({"a": text}) + '\n{"a": 2}\n')
    first, second = read(path)
    assert first.record == {"a": text} and second.record == {"a": 2}


def test_a_whole_file_past_the_limit_says_what_else_can_be_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [write(tmp_path, '{\n"a": 1\n}', "a.json"), write(tmp_path, "[\n1234567\n]", "b.traj.json")]
    session = '{"type": "session", "harness": "h"}\n{"type": "x"}\n'
    units = [plan_units(tmp_path, [path.name])[0] for path in (*paths, write(tmp_path, session, "c.jsonl"))]
    for name, limit in (("records", 9), ("sessions", 40)):
        monkeypatch.setattr(f"purify.importing.{name}.MAX_RECORD_BYTES", limit)
    (one,), (two,), (three,) = ([*read_segment(tmp_path, unit[0])] for unit in units)
    assert one.record is two.record is three.record is None
    told = (
        "one JSON value of 10 bytes, more than 9, cannot be read in parts; an inspect log can as an archive"
        " (inspect log convert LOG.json --to eval --output-dir DIR), samples in a list as JSON lines"
    )
    assert (one.problem, (two.problem or "").startswith("one JSON value of 11 bytes")) == (told, True)
    assert (three.problem or "").endswith(
        "is one record and read as a whole; leave out what is not text (pictures, files)"
    )


def test_half_a_pair_in_the_json_of_a_parquet_column_costs_one_record(tmp_path: Path) -> None:
    column = pa.ExtensionArray.from_storage(pa.json_(pa.string()), pa.array(['{"x": "\\ud800"}', '{"x": 1}']))
    pq.write_table(pa.table({"a": column}), tmp_path / "a.parquet")
    bad, good = read(tmp_path / "a.parquet")
    assert (bad.record, bad.raw, good.record) == (None, b'{"a": {"x": "\\ud800"}}', {"a": {"x": 1}})
    assert "half a surrogate pair" in (bad.problem or "")


def test_a_file_name_that_is_no_text_is_one_clear_line(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/a\xff.jsonl")).write_text("{}")
    with pytest.raises(PurifyError, match="is not UTF-8, and rows name their file; rename it"):
        find_files(tmp_path)


def test_arrays_objects_and_parquet(tmp_path: Path) -> None:
    assert found(write(tmp_path, ' [{"a": 1}, 7, {"a": 2}]', "a.json")) == [
        (0, {"a": 1}),
        (1, "a record must be a JSON object, this is a plain value"),
        (2, {"a": 2}),
    ]
    assert found(write(tmp_path, '{\n  "a": 1\n}\n', "b.json")) == [(0, {"a": 1})]
    assert found(write(tmp_path, '{"a": 1}\n{"a": 2}\n', "c.json")) == [(0, {"a": 1}), (1, {"a": 2})]
    table = pa.table({"call": [{"x": 1, "y": None}, {"x": None, "y": 2}]})
    pq.write_table(table, tmp_path / "d.parquet", row_group_size=1)
    assert found(tmp_path / "d.parquet") == [(0, {"call": {"x": 1}}), (1, {"call": {"y": 2}})]


def test_a_large_array_is_streamed_to_the_same_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, '[{"a": 1.5, "b": [1, null]}, {"c": "\\u00e9"}, 7]', "a.json")
    whole = found(path)
    monkeypatch.setattr(module, "WHOLE_FILE_BYTES", 0)
    assert found(path) == whole and len(whole) == 3


def test_a_half_surrogate_in_an_array_costs_one_record(tmp_path: Path) -> None:
    first, bad, last = read(write(tmp_path, '[{"a": 1}, {"a": "\\ud83d"}, {"a": 2}]', "a.json"))
    assert (first.record, bad.record, last.record) == ({"a": 1}, None, {"a": 2})
    assert "half a surrogate pair" in (bad.problem or "") and bad.raw == b'{"a": "\\ud83d"}'


def test_json_lines_are_lines_even_where_the_first_is_a_list(tmp_path: Path) -> None:
    problem = "a record must be a JSON object, this is a list"
    assert found(write(tmp_path, '[{"a": 1}]\n{"a": 2}\n')) == [(0, problem), (1, {"a": 2})]


def test_a_truncated_array_gives_its_good_part(tmp_path: Path) -> None:
    good, bad = read(write(tmp_path, '[{"a": 1}, {"a": 2', "a.json"))
    assert good.record == {"a": 1} and bad.row == 1
    assert "breaks off or is damaged here" in (bad.problem or "")


def test_byte_order_marks_and_compressed_files(tmp_path: Path) -> None:
    mark = b"\xef\xbb\xbf"
    assert found(write(tmp_path, mark + b'{"a": 1}\n{"a": 2}\n')) == [(0, {"a": 1}), (1, {"a": 2})]
    assert found(write(tmp_path, mark + b'[{"a": 1}]', "a.json")) == [(0, {"a": 1})]
    assert found(write(tmp_path, mark + b'{\n"a": 1}', "b.json")) == [(0, {"a": 1})]
    with pytest.raises(PurifyError, match="is compressed; decompress it first"):
        find_files(write(tmp_path, b"", "dump.jsonl.gz"))


def test_nothing_to_read_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(PurifyError, match="no such file"):
        find_files(tmp_path / "nowhere")
    with pytest.raises(PurifyError, match=r"no \..*\.json, \.jsonl, .* file in it"):
        find_files(tmp_path)
    assert read(write(tmp_path, "")) == []
    bad = write(tmp_path, "PAR1", "x.parquet")
    with pytest.raises(PurifyError, match="not a readable Parquet file"):
        plan_units(bad.parent, [bad.name])
