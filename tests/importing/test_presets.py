from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from purify.errors import PurifyError, RejectedRecordError
from purify.importing.formats.tagged import TaggedText
from purify_schemas import Call, Message, Observation, Segment, Step
from tests.importing.damage import damaged, outcome, put
from tests.importing.formats.tagged_records import OK, PROGRAM, blocks, context, history, read, row, sampled

SHELL = """
name: my-shell
framework: mine
turns: [run.log]
role: [who]
content: said
kinds: {me: user, bot: model, env: result}
tools:
  - {name: bash, argument: command, state: external, open: "$(", close: ")$"}
task: [run.task]
sample: [run.try]
answer: [run.answer]
reward: [run.score]
model: [run.by]
"""


def test_a_new_source_needs_only_yaml(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(SHELL)
    log = [
        {"who": "me", "said": "count"},
        {"who": "bot", "said": "I list. $(ls)$ done"},
        {"who": "env", "said": "a b", "exit": 0},
        {"who": "me", "said": "thanks"},
    ]
    record = {"run": {"log": log, "task": "t", "try": 4, "answer": {"n": 2}, "score": 0.5, "by": "m", "note": 1}}
    got = row(record, preset=str(path))
    assert TaggedText().recognise(record) is None
    assert got.steps == [
        Step(
            reasoning=Segment(text="I list. "),
            action=Segment(text="$(ls)$ done"),
            calls=[Call(name="bash", arguments='{"command":"ls"}', **OK)],
            observation=Observation(
                messages=[
                    Message(role="tool", content="a b", extra='{"exit":0}'),
                    Message(role="user", content="thanks"),
                ]
            ),
        )
    ]
    assert (got.task_id, got.sample_index, got.answer, got.reward) == ("t", 4, '{"n":2}', 0.5)
    assert (got.source.model, got.extra) == ("m", '{"run":{"task":"t","note":1}}')


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "is no readable file and none of: mathcoder, mint, tora"),
        ("a: [", "not YAML"),
        (SHELL + "typo: 1\n", "typo: Extra inputs are not permitted"),
        (SHELL.replace(', close: ")$"', ""), "tools.0: Value error, open and close go together"),
    ],
)
def test_a_bad_preset_is_one_line(tmp_path: Path, text: str | None, reason: str) -> None:
    path = tmp_path / "mine.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(PurifyError) as error:
        read({"run": {}}, preset=str(path))
    assert reason in str(error.value) and "\n" not in str(error.value)


# Records that cannot be read.


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        (("debug_result",), 3, "debug_result is a number, expected a list or a text"),
        (("debug_result",), [], "debug_result is empty"),
        (("debug_result", 2), "x", "debug_result[2] is a string, expected an object"),
        (("debug_result", 2, "role"), "judge", "debug_result[2].role is 'judge'; preset mathcoder knows system,"),
        (("debug_result", 3, "content"), None, "debug_result[3].content is null, expected a string"),
        (("debug_result", 2, "content"), [1], "debug_result[2].content is a list, expected a string or null"),
    ],
)
def test_rejected_records_name_the_place(path: tuple[Any, ...], value: object, reason: str) -> None:
    record = blocks(("text", "a"), ("code", "1"), ("execution", "1"))
    put(record, path, value)
    with pytest.raises(RejectedRecordError) as error:
        read(record)
    assert str(error.value).startswith(reason)


def test_answers_that_do_not_fit_the_samples_are_rejected() -> None:
    with pytest.raises(RejectedRecordError, match="pred has 1 values for 2 samples"):
        read({**sampled("a", "b"), "pred": ["x"]})


def test_records_of_other_formats_are_not_recognised() -> None:
    chat = {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "```python\n1\n```"}]}
    gym: dict[str, Any] = {"responses_create_params": {"input": []}, "response": {"output": []}}
    others: list[dict[str, Any]] = [
        {},
        {"conversations": []},
        {"state": 3, "task": None},
        {"question": "q", "code": "c"},
    ]
    for record in (chat, gym, *others):
        assert TaggedText().recognise(record) is None
        with pytest.raises(RejectedRecordError, match="none of the presets mathcoder, mint, tora fits"):
            read(record)


BASES = (
    blocks(("text", "a"), ("code", "1"), ("execution", "1"), ("text", "b"), ("text", "1")),
    history("q", "<execute>1</execute>", "Observation:\n1", "<solution>1</solution>"),
    sampled(f"{PROGRAM}\n```output\n2\n```\nboxed", "b"),
)


@settings(deadline=None)
@given(st.data())
def test_a_damaged_record_is_read_or_rejected(data: st.DataObject) -> None:
    outcome(TaggedText(), damaged(data.draw(st.sampled_from(BASES)), data), context())
