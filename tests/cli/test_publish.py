"""`purify publish` as a user meets it, and what `purify restore` says of a copy that lacks rows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.test_commands import bad, good, purify
from tests.publishing.support import purified, row
from tests.support import write_dataset

QUESTION = "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May."
KNOWN = ("--license", "mit", "--source-license", "toy=mit")


def benchmark(path: Path, *questions: str) -> Path:
    path.write_text(json.dumps([{"question": question} for question in questions]))
    return path


def test_what_was_not_looked_for_is_told(tmp_path: Path) -> None:
    purified(tmp_path, [row(0, prompt=QUESTION), row(1)])
    shared = "Solve the following math problem step by step and put the last answer into a box."
    first = benchmark(tmp_path / "a.json", QUESTION, "Why?", "What is 6 times 7?")
    second = benchmark(tmp_path / "b.json", *(f"{shared} Number {number}." for number in range(11)))
    third = benchmark(tmp_path / "c.json", QUESTION)
    files = [word for file in (first, second, third) for word in ("--benchmark", file)]
    said = good("publish", tmp_path / "purified", "-o", tmp_path / "out", *files).splitlines()
    assert said[1:4] == [
        "benchmark questions in 1 row(s)",
        "a.json: 2 of 3 question(s) too short to look for (fewer than 8 words)",
        "b.json: 11 of 11 question(s) without words of their own to look for (more than 10 questions share them)",
    ]
    assert said[4].startswith("near-duplicates: ")


def test_rows_that_publish_left_out_are_why_restore_does_not_give_the_raw_bytes(tmp_path: Path) -> None:
    purified(tmp_path, [row(0, prompt=QUESTION), row(1), row(2)])
    out, file = tmp_path / "out", benchmark(tmp_path / "b.json", QUESTION)
    good("publish", tmp_path / "purified", "-o", out, "--benchmark", file, "--drop-contaminated")
    good("publish", out, "-o", tmp_path / "twice")
    for source in (out, tmp_path / "twice"):
        ended = purify("restore", source, "-o", tmp_path / f"raw-of-{source.name}")
        assert ended.returncode == 0 and "identical" not in ended.stdout
        assert ended.stderr == (
            "warning: rows are restored, but 1 of the 3 raw row(s) are not among them: publish --drop-contaminated "
            "left them out; to get all, restore the purified dataset that still has them\n"
        )
    good("publish", tmp_path / "purified", "-o", tmp_path / "whole")
    assert "identical to the raw dataset" in good("restore", tmp_path / "whole", "-o", tmp_path / "raw-again")


def test_a_copy_without_rows_is_told(tmp_path: Path) -> None:
    write_dataset(tmp_path / "empty", [])
    ended = purify("publish", tmp_path / "empty", "-o", tmp_path / "a", *KNOWN[:2])
    assert ended.returncode == 0 and ended.stderr == "warning: the dataset has no rows\n"
    purified(tmp_path, [row(0, prompt=QUESTION)])
    file = benchmark(tmp_path / "b.json", QUESTION)
    arguments = ("--benchmark", file, "--drop-contaminated", *KNOWN)
    ended = purify("publish", tmp_path / "purified", "-o", tmp_path / "b", *arguments)
    assert ended.returncode == 0 and ended.stderr == "warning: no row is left\n"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--public"], "public needs a repo to upload to"),
        (["--replace-repo"], "replace_repo needs a repo to upload to"),
        (["--benchmark-field", "stem"], "benchmark_field needs a benchmark that has the field"),
        (
            ["--benchmark", "{here}/empty.jsonl"],
            "{here}/empty.jsonl: is empty; a benchmark file has one question a line",
        ),
        (["--benchmark", "{here}/list.jsonl"], "{here}/list.jsonl row 0: a question is a JSON object, this is a list"),
        (["--benchmark", "{here}"], "{here}: is a folder; name the file in it that holds the questions"),
        (["--benchmark", "{here}/none"], "{here}/none: no such benchmark file"),
        (["--repo", "name"], "--repo: must be USER/NAME, got 'name'"),
        (
            ["--allow-findings", "bogus"],
            "--allow-findings: no such kind of finding; name all, secret, personal, or a kind of those in audit.json, "
            "like personal:email, got 'bogus'",
        ),
        (
            ["--license", "MIT"],
            "--license: no identifier of the hub: those are in lower case, like apache-2.0 "
            "(huggingface.co/docs/hub/repositories-licenses), got 'MIT'",
        ),
    ],
)
def test_bad_use_is_one_clear_line(tmp_path: Path, arguments: list[str], line: str) -> None:
    write_dataset(tmp_path / "raw", [row(0)])
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "list.jsonl").write_text("[1]")
    given = [argument.format(here=tmp_path) for argument in arguments]
    assert bad("publish", tmp_path / "raw", "-o", tmp_path / "out", *given) == f"purify: {line.format(here=tmp_path)}\n"
    assert not (tmp_path / "out").exists()
