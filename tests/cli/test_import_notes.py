"""What `purify import` says about files that it did not read."""

from __future__ import annotations

from pathlib import Path

from tests.cli.test_commands import DEMO, purify


def test_an_empty_file_is_called_so_and_a_strange_one_is_put_aside(tmp_path: Path) -> None:
    dump = tmp_path / "dump"
    dump.mkdir()
    (dump / "a.jsonl").write_bytes(DEMO.read_bytes())
    (dump / "b.pt").touch()
    (dump / "c.json").write_text('{"colour": "red"}')
    ended = purify("import", dump, "-o", tmp_path / "out")
    assert ended.returncode == 0, ended.stderr
    notes = [line for line in ended.stderr.splitlines() if "b.pt" in line or "c.json" in line]
    assert len(notes) == 2
    assert notes[0].endswith("b.pt: the file is empty")
    assert notes[1].endswith("; its records are put aside")
    assert " 1 rejected" in ended.stdout + ended.stderr
