"""verl's Parquet layout, written as its preprocessing scripts write it: with `datasets`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from purify.errors import PurifyError
from purify.tasks import IoTest, read_tasks
from purify.tasks.sources import verifier_of_source
from purify_schemas import Message


def row(data_source: str, question: str, truth: Any, index: int, **more: Any) -> dict[str, Any]:
    return {
        "data_source": data_source,
        "prompt": [{"role": "user", "content": question}],
        "ability": "math",
        "reward_model": {"style": "rule", "ground_truth": truth},
        "extra_info": {"split": "train", "index": index, "answer": None if index else "worked out"},
        **more,
    }


def test_rows_as_verl_writes_them(tmp_path: Path) -> None:
    pairs = json.dumps({"inputs": ["1\n", "2\n"], "outputs": ["2\n", "4\n"]})
    rows = [
        row("openai/gsm8k", "1 + 1?", "2", 0),
        row("codecontests", "Double it.", pairs, 1),
        row("searchR1_nq", "Who?", "me", 2),
        row("openai/gsm8k", "1 + 1?", "2", 3),
    ]
    path = tmp_path / "train.parquet"
    datasets.Dataset.from_list(rows).to_parquet(path)
    tasks, bad = read_tasks(path)
    assert [(task.answer, task.verifier, task.tests, task.data_source) for task in tasks] == [
        ("2", "math", None, "openai/gsm8k"),
        (None, "unit_tests", [IoTest(input="1\n", output="2\n"), IoTest(input="2\n", output="4\n")], "codecontests"),
        ("me", None, None, "searchR1_nq"),
    ]
    assert tasks[0].messages == [Message(role="user", content="1 + 1?")]
    assert json.loads(tasks[0].extra or "") == {
        "ability": "math",
        "reward_model": {"style": "rule"},
        "extra_info": {"split": "train", "index": 0, "answer": "worked out"},
    }
    assert json.loads(tasks[1].raw)["reward_model"] == {"style": "rule", "ground_truth": pairs}
    assert [(b.file, b.row, b.reason) for b in bad] == [
        ("train.parquet", 3, "says the same as that of row 0; only the first is kept")
    ]


@pytest.mark.parametrize(("truth", "answer"), [(3, "3"), (2.5, "2.5"), (True, "true"), (["a", "b"], '["a", "b"]')])
def test_truths_of_other_types(tmp_path: Path, truth: Any, answer: str) -> None:
    pq.write_table(pa.Table.from_pylist([row("math_dapo", "q", truth, 0)]), tmp_path / "t.parquet")
    assert read_tasks(tmp_path / "t.parquet")[0][0].answer == answer


def test_values_that_json_has_no_form_for(tmp_path: Path) -> None:
    more = {"blob": b"\x00\xff", "score": float("nan")}
    pq.write_table(pa.Table.from_pylist([row("mine", "q", "1", 0, **more)]), tmp_path / "t.parquet")
    extra = json.loads(read_tasks(tmp_path / "t.parquet")[0][0].extra or "")
    assert (extra["blob"], extra["score"]) == ("00ff", "nan")


def test_pictures_are_refused(tmp_path: Path) -> None:
    rows = [row("hiyouga/geometry3k", "<image> q", "1", 0, images=[b"png"]), row("math", "q", "1", 1, images=[])]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "t.parquet")
    tasks, bad = read_tasks(tmp_path / "t.parquet")
    assert [task.row for task in tasks] == [1]
    assert [b.reason for b in bad] == ["has images; only text can be sampled"]


def test_damaged_and_empty_files(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.Table.from_pylist([row("math", "q" * 1000, "1", 0)]), path)
    content = bytearray(path.read_bytes())
    path.write_bytes(content[:-8])
    with pytest.raises(PurifyError, match=r"t\.parquet: not a readable Parquet file \(.*\); write it again$"):
        read_tasks(path)
    pq.write_table(pa.table({"prompt": pa.array([], pa.string())}), path)
    with pytest.raises(PurifyError, match="no row is a task"):
        read_tasks(path)


def test_the_table_of_sources() -> None:
    assert verifier_of_source("lighteval/MATH") == "math"
    assert verifier_of_source("aime2024") == "math"
    assert verifier_of_source("taco") == "unit_tests"
    assert verifier_of_source("hiyouga/geometry3k") is None
