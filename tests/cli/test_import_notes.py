"""What `purify import` says about files that it did not read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

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


def test_a_mistyped_task_field_is_told(tmp_path: Path) -> None:
    ended = purify("import", DEMO, "-o", tmp_path / "out", "--task-by", "nosuch.field")
    assert ended.returncode == 0
    said = "warning: no record has the field 'nosuch.field', which names a row's group; is --task-by right?"
    assert said in ended.stderr.splitlines()
    assert "unheeded" not in (tmp_path / "out/README.md").read_text()
    lines = DEMO.read_text().splitlines()
    dump = tmp_path / "dump.jsonl"
    dump.write_text("\n".join([json.dumps({**json.loads(lines[0]), "nosuch": {"field": 1}}), *lines[1:]]))
    ended = purify("import", dump, "-o", tmp_path / "some", "--task-by", "nosuch.field")
    assert f"{len(lines) - 1} of {len(lines)} records lack the field 'nosuch.field'" in ended.stderr
    assert "--task-by" not in purify("import", DEMO, "-o", tmp_path / "by", "--task-by", "task_id").stderr


def test_rules_that_our_own_export_is_not_judged_by_are_told(tmp_path: Path) -> None:
    purify("import", DEMO, "-o", tmp_path / "raw")
    purify("export", tmp_path / "raw", "-o", tmp_path / "chat", "--to", "messages")
    ended = purify("import", tmp_path / "chat", "-o", tmp_path / "back", "--rules", "shell")
    assert (
        "32 record(s) carry how each call ended, as purify export wrote it, and --rules did not judge" in ended.stderr
    )
    assert "--rules" not in purify("import", tmp_path / "chat", "-o", tmp_path / "plain").stderr


def test_a_shard_of_a_dataset_is_called_so(tmp_path: Path) -> None:
    purify("import", DEMO, "-o", tmp_path / "raw")
    ended = purify("import", tmp_path / "raw/data", "-o", tmp_path / "out")
    assert ended.returncode == 2
    assert ended.stderr.endswith(".parquet: is a shard of a purify dataset; give its folder to `purify clean`\n")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--tool-state", "python"], "--tool-state: expected NAME=VALUE, got 'python'"),
        (
            ["--tool-state", "python=stateless", "--tool-state", "python=external"],
            "--tool-state: python is both stateless and external",
        ),
        (["--format", "openai", "--preset", "mint"], "preset is read only with format tagged"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(options: list[str], said: str, tmp_path: Path) -> None:
    ended = purify("import", DEMO, "-o", tmp_path / "out", *options)
    assert (ended.returncode, ended.stderr, (tmp_path / "out").exists()) == (2, f"purify: {said}\n", False)


def test_where_nothing_can_be_written_nothing_is_said_to_be_kept(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ended = purify("import", DEMO, "-o", tmp_path / "file/out")
    assert (ended.returncode, ended.stderr) == (
        2,
        f"purify: {tmp_path}/file/out: Not a directory; nothing was written\n",
    )


def test_a_run_log_that_cannot_be_written_is_told_apart_from_the_dataset(tmp_path: Path) -> None:
    purify("import", DEMO, "-o", tmp_path / "out")
    log = tmp_path / "out/run_log.jsonl"
    log.unlink()
    log.mkdir()
    ended = purify("import", DEMO, "-o", tmp_path / "out", "--overwrite")
    assert (ended.returncode, ended.stderr) == (
        2,
        f"purify: {log}: Is a directory; the dataset is complete, but its run log is not\n",
    )
    assert purify("verify", tmp_path / "out").returncode == 0
