"""Benchmark questions in prompts."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from purify.errors import PurifyError
from purify.publishing.contamination import Contamination
from purify.publishing.report import Contaminated

LONG = "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May."
SHORT = "How many primes lie between ten and thirty?"
TINY = "What is 6 times 7?"


def looked(prompt: str, *files: Path, field: str | None = None) -> list[Contaminated]:
    contamination = Contamination(tuple(map(str, files)), field)
    contamination.add(5, {"trajectory_id": "t", "messages": [{"content": "system"}, {"content": prompt}]})
    return contamination.rows


def jsonl(path: Path, *records: object) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def test_thirteen_words_in_a_row_are_enough_and_twelve_are_not(tmp_path: Path) -> None:
    file = jsonl(tmp_path / "b.jsonl", {"question": TINY}, {"question": LONG})
    words = LONG.split()
    assert looked("So: " + " ".join(words[2:15]).upper() + " (else unlike)", file) == [
        Contaminated(
            row=5,
            trajectory_id="t",
            benchmark="b.jsonl",
            question=1,
            ngram="clips to 48 of her friends in april and then she sold half",
        )
    ]
    assert looked("So: " + " ".join(words[2:14]) + " (else unlike)", file) == []


def test_a_short_question_counts_whole_and_a_tiny_one_not_at_all(tmp_path: Path) -> None:
    file = jsonl(tmp_path / "b.jsonl", {"question": SHORT}, {"question": TINY})
    assert [hit.ngram for hit in looked(f"Solve. {SHORT} Think first.", file)] == [
        "how many primes lie between ten and thirty"
    ]
    assert looked("How many primes lie between ten and forty?", file) == []
    assert looked(TINY, file) == []
    (benchmark,) = Contamination((str(file),), None).benchmarks
    assert (benchmark.questions, benchmark.too_short) == (2, 1)


@pytest.mark.parametrize("name", ["b.json", "b.parquet", "b.txt", "messages.jsonl", "named.jsonl"])
def test_files_of_every_kind(name: str, tmp_path: Path) -> None:
    path, field = tmp_path / name, None
    if name == "b.json":
        path.write_text(json.dumps([{"problem": LONG}]))
    elif name == "b.parquet":
        pq.write_table(pa.table({"question": [LONG]}), path)
    elif name == "b.txt":
        path.write_text(f"\n{LONG}\n\n")
    elif name == "messages.jsonl":
        jsonl(path, {"messages": [{"role": "user", "content": [{"type": "text", "text": LONG}]}]})
    else:
        jsonl(path, {"question": TINY, "stem": LONG})
        field = "stem"
    assert len(looked(LONG, path, field=field)) == 1


def test_what_cannot_be_read_gets_one_line(tmp_path: Path) -> None:
    with pytest.raises(PurifyError, match=r"row 0: no question or .*--benchmark-field \(stem\)"):
        looked("", jsonl(tmp_path / "b.jsonl", {"stem": LONG}))
    (tmp_path / "c.jsonl").write_text("{")
    with pytest.raises(PurifyError, match=r"c\.jsonl row 0: not JSON"):
        looked("", tmp_path / "c.jsonl")
    (tmp_path / "d.txt").write_text("\n")
    with pytest.raises(PurifyError, match="holds no question"):
        looked("", tmp_path / "d.txt")
