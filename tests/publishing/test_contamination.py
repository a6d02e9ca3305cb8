"""Benchmark questions in prompts."""

from __future__ import annotations

import json
import unicodedata
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
    messages = [{"content": "system", "parts": None}, {"content": prompt, "parts": None}]
    contamination.add(5, {"trajectory_id": "t", "messages": messages, "steps": []})
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


TEMPLATE = "Solve the following math problem step by step and put the last answer into a box at the end."


def test_instructions_that_many_questions_share_are_none_of_them(tmp_path: Path) -> None:
    own = [f"Case {' '.join(f'w{number}x{at}' for at in range(13))}" for number in range(11)]
    file = jsonl(tmp_path / "b.jsonl", *({"prompt": f"{TEMPLATE} {question}"} for question in own))
    assert looked(f"{TEMPLATE} Case of another kind altogether, and long enough.", file) == []
    assert [hit.question for hit in looked(f"Say: {own[7]}", file)] == [7]
    # Ten are not yet many, and one that is asked ten times is one.
    few = jsonl(tmp_path / "few.jsonl", *({"prompt": f"{TEMPLATE} {question}"} for question in own[:10]))
    assert len(looked(TEMPLATE, few)) == 1
    again = jsonl(tmp_path / "again.jsonl", *[{"prompt": LONG}] * 20)
    assert len(looked(LONG, again)) == 1


def test_a_question_of_shared_words_alone_is_counted(tmp_path: Path) -> None:
    questions = [f"{TEMPLATE} Number {number}." for number in range(11)]
    file = jsonl(tmp_path / "b.jsonl", {"prompt": LONG}, *({"prompt": question} for question in questions))
    (benchmark,) = Contamination((str(file),), None).benchmarks
    assert (benchmark.questions, benchmark.too_short, benchmark.shared) == (12, 0, 11)


CHINESE = "小明有五个苹果，他给了小红两个，然后又从商店买了三个苹果，请问小明现在一共有多少个苹果？"
ACCENTS = "Café Éclair owner sold naïve résumés to forty eight façade builders in São Paulo last year"


@pytest.mark.parametrize(
    ("question", "prompt"),
    [
        (CHINESE, f"请回答：{CHINESE}"),
        (CHINESE, "然后又从商店买了三个苹果，请问小明"),
        (ACCENTS, unicodedata.normalize("NFD", ACCENTS)),
        (LONG, LONG.replace("48", "\uff14\uff18").replace("April", "\uff21pril")),
        (LONG, LONG.replace("friends", "fri\u00adends").replace("half", "ha\u200blf")),
    ],
)
def test_the_same_words_written_otherwise(question: str, prompt: str, tmp_path: Path) -> None:
    assert len(looked(prompt, jsonl(tmp_path / "b.jsonl", {"question": question}))) == 1


def test_parts_and_later_turns_of_a_user_are_prompts(tmp_path: Path) -> None:
    contamination = Contamination((str(jsonl(tmp_path / "b.jsonl", {"question": LONG})),), None)
    empty = {"trajectory_id": "t", "messages": [], "steps": []}
    parts = json.dumps([{"type": "text", "text": LONG}])
    assert contamination.add(0, empty | {"messages": [{"role": "user", "content": None, "parts": parts}]})
    turns = [{"role": role, "content": LONG, "parts": None} for role in ("user", "tool")]
    assert contamination.add(1, empty | {"steps": [{"observation": {"messages": turns[:1]}}]})
    assert not contamination.add(2, empty | {"steps": [{"observation": {"messages": turns[1:]}}]})


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
    (tmp_path / "e.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(PurifyError, match="is no UTF-8 text"):
        looked("", tmp_path / "e.txt")
    (tmp_path / "d.txt").write_text("\n")
    with pytest.raises(PurifyError, match="holds no question"):
        looked("", tmp_path / "d.txt")
