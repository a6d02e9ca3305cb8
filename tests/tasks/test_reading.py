"""Task files: what is read, what is reported, and which files are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from purify.errors import PurifyError
from purify.tasks import BadTask, IoTest, Task, read_tasks, stored_task
from purify_schemas import Message, Trajectory


def write(folder: Path, content: str | bytes, name: str = "tasks.jsonl") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def one(tmp_path: Path, row: object) -> Task:
    tasks, bad = read_tasks(write(tmp_path, json.dumps(row)))
    assert (len(tasks), bad) == (1, [])
    return tasks[0]


def reason(tmp_path: Path, row: object) -> str:
    """Why a row is refused, beside one that is fine."""
    good = json.dumps({"prompt": "fine"})
    text = row if isinstance(row, str) else json.dumps(row)
    tasks, bad = read_tasks(write(tmp_path, f"{good}\n{text}\n"))
    assert [task.messages[0].content for task in tasks] == ["fine"]
    assert [(b.file, b.row, b.raw) for b in bad] == [("tasks.jsonl", 1, text.encode())]
    return bad[0].reason


def test_a_row_says_everything(tmp_path: Path) -> None:
    row = {
        "task_id": "gsm-7",
        "prompt": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "1 + "}, {"type": "text", "text": "1?"}]},
        ],
        "answer": "2",
        "verifier": "math",
        "data_source": "mine",
        "level": {"hard": False},
    }
    task = one(tmp_path, row)
    assert task == Task(
        task_id="gsm-7",
        messages=[Message(role="system", content="Be brief."), Message(role="user", content="1 + 1?")],
        answer="2",
        verifier="math",
        data_source="mine",
        extra='{"level": {"hard": false}}',
        file="tasks.jsonl",
        row=0,
        raw=json.dumps(row).encode(),
    )


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ('"1,000"', "1,000"),
        ("72", "72"),
        ("1.50", "1.50"),
        ("1e3", "1e3"),
        ("1e999", "1e999"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        ("true", "true"),
        ("[1, 2.5]", "[1, 2.5]"),
        ("NaN", "NaN"),
        ("null", None),
    ],
)
def test_an_answer_keeps_its_text(tmp_path: Path, text: str, answer: str | None) -> None:
    tasks, _ = read_tasks(write(tmp_path, f'{{"prompt": "q", "answer": {text}}}'))
    assert tasks[0].answer == answer


def test_the_names_of_members(tmp_path: Path) -> None:
    demonstration = {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}
    told = {"role": "tool", "content": "2", "tool_call_id": "1", "mood": "good"}
    task = one(
        tmp_path,
        {"id": 7, "messages": [demonstration, told, {"role": "user", "content": "q"}], "ground_truth": 2.0},
    )
    assert (task.task_id, task.answer, task.verifier, task.extra) == ("7", "2.0", None, None)
    assert task.messages[:2] == [
        Message(role="assistant", tool_calls='[{"id": "1"}]'),
        Message(role="tool", content="2", call_id="1", extra='{"mood": "good"}'),
    ]


def test_without_an_id_the_content_names_the_task(tmp_path: Path) -> None:
    rows = [{"prompt": "a", "answer": 1}, {"prompt": "b", "answer": 1}, {"prompt": "a", "answer": 1, "seen": True}]
    tasks, bad = read_tasks(write(tmp_path, "\n".join(map(json.dumps, rows))))
    assert len({task.task_id for task in tasks}) == 2
    assert bad == [
        BadTask(
            "tasks.jsonl", 2, "says the same as that of row 0; only the first is kept", json.dumps(rows[2]).encode()
        )
    ]
    moved, _ = read_tasks(write(tmp_path, json.dumps(rows[1]), "other.jsonl"))
    assert moved[0].task_id == tasks[1].task_id


@pytest.mark.parametrize(
    ("tests", "read"),
    [
        ("assert f(1) == 2", "assert f(1) == 2"),
        ([{"input": "1 2", "output": 3}], [IoTest(input="1 2", output="3")]),
        ({"inputs": [["1", "2"]], "outputs": ["3"]}, [IoTest(input="1\n2", output="3")]),
        ('{"inputs": ["1"], "outputs": ["3\\n"]}', [IoTest(input="1", output="3\n")]),
        ({"functional": "assert f(1)"}, "assert f(1)"),
    ],
)
def test_the_forms_of_tests(tmp_path: Path, tests: object, read: object) -> None:
    task = one(tmp_path, {"prompt": "q", "tests": tests})
    assert (task.tests, task.verifier) == (read, "unit_tests")


def test_tests_of_a_function_become_asserts(tmp_path: Path) -> None:
    told = {"fn_name": "add", "inputs": ["1\n[2]"], "outputs": ["[3]"]}
    tests = one(tmp_path, {"prompt": "q", "tests": told}).tests
    assert isinstance(tests, str)
    assert tests.splitlines()[-1] == "assert _call(1, [2]) in [[3], 3]"


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"prompt": "fine", "n": 1}, "says the same as that of row 0; only the first is kept"),
        ({"answer": "2"}, "has no prompt and no messages"),
        ({"prompt": []}, "prompt is empty"),
        ({"prompt": 3}, "prompt is no list of messages"),
        ({"messages": "q"}, "messages is no list of messages"),
        ({"prompt": "q", "messages": []}, "has prompt and messages; give one of them"),
        ({"prompt": ["q"]}, "prompt[0] is no message"),
        (
            {"prompt": [{"role": "human", "content": "q"}]},
            "prompt[0].role is 'human', expected one of assistant, system, tool, user",
        ),
        ({"prompt": [{"role": []}]}, "prompt[0].role is [], expected one of assistant, system, tool, user"),
        ({"prompt": [{"role": "user"}]}, "prompt[0].content is missing"),
        ({"prompt": [{"role": "user", "content": 3}]}, "prompt[0].content is no text"),
        (
            {"prompt": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "prompt[0].content has parts that are no text; only text can be sampled",
        ),
        (
            {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]},
            "messages ends with an assistant message; it must end with what is to be answered",
        ),
        (
            {"messages": [{"role": "system", "content": "s"}]},
            "messages ends with a system message; a user message must follow",
        ),
        ({"prompt": "q", "images": ["x"]}, "has images; only text can be sampled"),
        ({"prompt": "q", "task_id": 1.5}, "task_id is neither text nor a whole number"),
        ({"prompt": "q", "verifier": 3}, "verifier is no text"),
        ({"prompt": "q", "tests": 3}, "tests are Python source, or pairs of input and output; these are neither"),
        ({"prompt": "q", "tests": "assert ("}, "tests are not Python ('(' was never closed, line 1)"),
        ({"prompt": "q", "tests": "import os"}, "tests contain nothing that asserts: any answer would pass them"),
        (
            {"prompt": "q", "tests": "def test_a(tmp): assert f()"},
            "test function test_a takes arguments (fixtures are not supported)",
        ),
        ({"prompt": "q", "tests": {"inputs": ["1"], "outputs": []}}, "tests have 1 inputs and 0 outputs"),
        ({"prompt": "q", "tests": [{"input": "1"}]}, "a test has no 'output'"),
        ('{"prompt": "q", "answer": 1, "answer": 2}', "the key 'answer' is there twice; only one could be kept"),
        ('{"prompt": "\\ud800"}', "a string holds half a surrogate pair, which is not text"),
        ("[1]", "a task is a JSON object, this is a list"),
        ('{"prompt": "q"', "not JSON: Expecting ',' delimiter (column 15)"),
        ("[" * 100_000, "JSON nested too deeply"),
    ],
)
def test_bad_rows_have_a_reason_and_the_rest_goes_on(tmp_path: Path, row: object, why: str) -> None:
    assert reason(tmp_path, row) == why


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    tasks, bad = read_tasks(write(tmp_path, b'{"prompt": "\xff"}\n{"prompt": "q"}'))
    assert [task.row for task in tasks] == [1]
    assert bad == [BadTask("tasks.jsonl", 0, "not UTF-8 (byte 12)", b'{"prompt": "\xff"}')]


def test_marks_blank_lines_and_line_ends(tmp_path: Path) -> None:
    text = b'\xef\xbb\xbf{"prompt": "a"}\r\n\r\n  \n{"prompt": "b\xe2\x80\xa8c"}\r\n'
    tasks, bad = read_tasks(write(tmp_path, text))
    assert [(task.row, task.messages[0].content) for task in tasks] == [(0, "a"), (3, "b\u2028c")]
    assert bad == []


def test_an_array(tmp_path: Path) -> None:
    text = '\ufeff [\n {"prompt": "a", "answer": 1.0},\n {"prompt": "b", "prompt": 1}, 7,{"prompt": "d"}\n]\n'
    tasks, bad = read_tasks(write(tmp_path, text, "tasks.json"))
    assert [(t.row, t.answer, t.raw) for t in tasks] == [
        (0, "1.0", b'{"prompt": "a", "answer": 1.0}'),
        (3, None, b'{"prompt": "d"}'),
    ]
    assert bad == [
        BadTask(
            "tasks.json", 1, "the key 'prompt' is there twice; only one could be kept", b'{"prompt": "b", "prompt": 1}'
        ),
        BadTask("tasks.json", 2, "a task is a JSON object, this is a plain value", b"7"),
    ]


def test_lines_may_be_called_json(tmp_path: Path) -> None:
    tasks, _ = read_tasks(write(tmp_path, '{"prompt": "a"}\n{"prompt": "b"}', "tasks.json"))
    assert [task.row for task in tasks] == [0, 1]


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("tasks.jsonl", None, "no such file"),
        ("tasks.jsonl", b"", "is empty; a task file has one task a line"),
        ("tasks.jsonl", b"\n \n", "no row is a task (there is no row in it); a row has at least a prompt"),
        ("tasks.jsonl", b"{}", "no row is a task (row 0: has no prompt and no messages); a row has at least a prompt"),
        ("tasks.json", b"[]", "no row is a task (there is no row in it); a row has at least a prompt"),
        ("tasks.csv", b"prompt\nq", "has the suffix '.csv'; a task file is one of .jsonl, .ndjson, .json, .parquet"),
        (
            "tasks.json",
            b'[{"prompt": "a"},',
            "the JSON array is damaged at line 1, column 18 (Expecting value); mend it there",
        ),
        (
            "tasks.json",
            b'[{"prompt": "a"}\n{}]',
            "the JSON array is damaged at line 2, column 1 (no ',' or ']' after an element); mend it there",
        ),
        (
            "tasks.json",
            b'[{"prompt": "a"}] x',
            "the JSON array is damaged at line 1, column 19 (text after the array); mend it there",
        ),
        ("tasks.json", b'[{"prompt": "\xff"}]', "not UTF-8 (byte 13); save it as UTF-8"),
    ],
)
def test_files_that_are_refused(tmp_path: Path, name: str, content: bytes | None, why: str) -> None:
    path = tmp_path / name if content is None else write(tmp_path, content, name)
    with pytest.raises(PurifyError) as error:
        read_tasks(path)
    assert str(error.value) == f"{path}: {why}"


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PurifyError, match="is a folder; a task file is one of"):
        read_tasks(tmp_path)


def test_a_stored_trajectory_gives_its_task_back() -> None:
    task = Task(
        task_id="t",
        messages=[Message(role="user", content="q")],
        answer="3",
        verifier="unit_tests",
        tests=[IoTest(input="é", output="2")],
        data_source="apps",
        extra='{"n": [1, null]}',
    )
    row = Trajectory(
        trajectory_id="a", task_id="t", group_id="g", messages=task.messages, reference="3", extra=task.stored()
    )
    assert stored_task(row) == task
    assert task.model_copy(update=dict.fromkeys(("verifier", "tests", "data_source", "extra"))).stored() is None
    foreign = row.model_copy(update={"extra": "[1]"})
    assert stored_task(foreign) == Task(task_id="t", messages=task.messages, answer="3")


KEYS = st.sampled_from(["prompt", "messages", "answer", "tests", "task_id", "verifier", "reward_model", "x"])
INNER_KEYS = st.sampled_from(["role", "content", "ground_truth", "inputs", "outputs"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(INNER_KEYS, inner, max_size=3),
    max_leaves=6,
)
ROWS = st.dictionaries(KEYS, VALUES).map(lambda row: json.dumps(row).encode())
LINES = st.lists(st.binary(max_size=30).filter(lambda raw: b"\n" not in raw) | ROWS, max_size=8)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=LINES)
def test_every_line_is_a_task_or_reported(tmp_path: Path, lines: list[bytes]) -> None:
    path = write(tmp_path, b"\n".join([b'{"prompt": "first", "task_id": "first"}', *lines]))
    tasks, bad = read_tasks(path)
    told = [row for row, line in enumerate(path.read_bytes().split(b"\n")) if line.strip()]
    assert sorted([task.row for task in tasks] + [b.row for b in bad]) == told
    assert all(b.reason and "\n" not in b.reason and b.file == "tasks.jsonl" for b in bad)
    assert len({task.task_id for task in tasks}) == len(tasks)
    for task in tasks:
        assert task.stored() is None or json.loads(task.stored() or "")
