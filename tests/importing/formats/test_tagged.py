from __future__ import annotations

import json
from typing import Any

import pytest

from purify_schemas import Call, Message, Observation, Segment, Step, ToolState
from tests.importing.formats.tagged_records import OK, PROGRAM, blocks, history, read, row, sampled
from tests.importing.hostile import survives

TRACEBACK = (
    "----\nNameError        Traceback (most recent call last)\nCell In[1], line 1\nNameError: name 'x' is not defined"
)


def python(code: str, **outcome: Any) -> Call:
    return Call(name="python", arguments=json.dumps({"code": code}, separators=(",", ":")), **outcome)


def submit(answer: str, **outcome: Any) -> Call:
    return Call(name="submit", arguments=json.dumps({"answer": answer}, separators=(",", ":")), **outcome)


def observed(*texts: str) -> Observation:
    return Observation(messages=[Message(role="tool", content=text) for text in texts])


NO_RESULT: dict[str, Any] = {"status": "unknown", "status_source": "no_result"}
UNPARSABLE = Call(status="malformed", error_type="unparsable_call", status_source="preset:mint")


# MathCoder: ready blocks.


def test_mathcoder_folds_blocks_into_steps_and_takes_the_answer_off() -> None:
    record = blocks(
        ("text", "I add."), ("code", "1+1"), ("execution", "2"), ("code", "x"), ("execution", TRACEBACK),
        ("text", "It is \\boxed{2}."), ("text", "2"),
    )  # fmt: skip
    got = row(record)
    assert got.messages == [Message(role="system", content=""), Message(role="user", content="1 + 1?")]
    calls = [call for step in got.steps for call in step.calls]
    assert (calls[1].status, calls[1].error_type) == ("error", "NameError")
    assert got.steps == [
        Step(reasoning=Segment(text="I add."), calls=[python("1+1", **OK)], observation=observed("2")),
        Step(calls=[calls[1]], observation=observed(TRACEBACK)),
        Step(reasoning=Segment(text="It is \\boxed{2}.")),
    ]
    assert (got.answer, got.reference, got.finish_reason, got.reward) == ("2", "2", "stop", None)
    assert got.tool_state == [ToolState(name="python", state="python_kernel")]
    assert (got.source.framework, got.source.format) == ("MathCoder", "tagged:mathcoder")
    assert json.loads(got.extra or "") == {
        "messages": record["messages"],
        "ground_truth": {"solution": "add"},
        "completion": "2",
    }


def test_mathcoder_with_the_other_key_reads_the_same() -> None:
    pairs = (("text", "I add."), ("code", "1+1"), ("execution", "2"), ("text", "Two."), ("text", "2"))
    assert row(blocks(*pairs, key="type")) == row(blocks(*pairs))


def test_mathcoder_texts_in_a_row_are_one_stretch_of_reasoning() -> None:
    got = row(blocks(("text", "a"), ("text", "b"), ("code", "1"), ("execution", "1"), ("text", "c"), ("text", "1")))
    assert [step.reasoning.text for step in got.steps] == ["a\nb", "c"]


@pytest.mark.parametrize(
    ("pairs", "answer", "texts"),
    [
        ([("text", "It is 2.")], None, ["It is 2."]),
        ([("code", "2"), ("execution", "2")], None, [None]),
        ([("code", "2"), ("execution", "2"), ("text", "2")], None, [None, "2"]),
        ([("text", "It is 2."), ("text", "2")], "2", ["It is 2."]),
    ],
)
def test_mathcoder_answer_needs_a_text_before_it(
    pairs: list[tuple[str, str]], answer: str | None, texts: list[str | None]
) -> None:
    got = row(blocks(*pairs))
    assert (got.answer, [step.reasoning.text for step in got.steps]) == (answer, texts)
    assert got.finish_reason == ("stop" if answer else "unknown")


def test_mathcoder_row_at_the_limit_was_cut_and_has_no_answer() -> None:
    got = row(blocks(*[("text", "more")] * 32))
    assert (got.finish_reason, got.answer) == ("max_turns", None)
    assert got.steps == [Step(reasoning=Segment(text="\n".join(["more"] * 32)))]


def test_code_without_a_result_is_unknown_and_unread_keys_of_blocks_are_kept() -> None:
    record = blocks(("text", "go"), ("code", "1"))
    record["debug_result"][3]["took"] = 3
    assert row(record).steps == [
        Step(reasoning=Segment(text="go"), calls=[python("1", **NO_RESULT)], extra='{"parts":[{"took":3}]}')
    ]


# MINT: chat turns with tags.


def test_mint_runs_all_blocks_of_a_turn_and_the_invention_after_them_belongs_to_the_action() -> None:
    turn = "<thought> I add. </thought>\n<execute>\na = 1\n</execute>\nObservation: 9\n<execute> a + 1 </execute>, so 9"
    got = row(history("Task:\n1 + 1?", f"Assistant:\n {turn}\n", "Observation:\n2\nYou have 4 steps left"))
    assert got.messages == [Message(role="user", content="Task:\n1 + 1?")]
    assert got.steps == [
        Step(
            reasoning=Segment(text=" <thought> I add. </thought>\n"),
            action=Segment(text=turn[turn.index("<execute>") :]),
            calls=[python("a = 1\na + 1", **OK)],
            observation=observed("Observation:\n2\nYou have 4 steps left"),
        )
    ]
    assert (got.reference, got.reward, got.finish_reason, got.answer) == ("2", 0.0, "max_turns", None)
    assert got.task_id == "reasoning/3/" + row(history("other", "words")).task_id.split("/")[2]
    states = [ToolState(name="python", state="python_kernel"), ToolState(name="submit", state="external")]
    assert got.tool_state == states


def test_mint_a_solution_runs_nothing_and_all_solutions_are_joined() -> None:
    turn = "<execute>1+1</execute> is <solution> 2 </solution> or <solution>3</solution>"
    got = row(history("q", turn, "Observation:\nYour answer is wrong.\nYou have 1 steps left", turn))
    wrong: dict[str, Any] = {"status": "rejected", "error_type": "wrong_answer"}
    reasoning, action = Segment(text="<execute>1+1</execute> is "), Segment(text=turn[turn.index("<solution>") :])
    assert got.steps == [
        Step(
            reasoning=reasoning,
            action=action,
            calls=[submit("2\n3", **wrong, status_source="preset:mint")],
            observation=observed("Observation:\nYour answer is wrong.\nYou have 1 steps left"),
        ),
        Step(reasoning=reasoning, action=action, calls=[submit("2\n3", **wrong, status_source="state.success")]),
    ]
    assert got.answer == "2\n3"


def test_mint_success_ends_with_an_accepted_answer() -> None:
    got = row(history("q", "<solution>2</solution>", success=True, reason="task_success"))
    assert got.steps[0].calls == [submit("2", status="ok", status_source="state.success")]
    assert (got.answer, got.reward, got.finish_reason) == ("2", 1.0, "stop")


@pytest.mark.parametrize(
    ("turn", "reasoning", "action"),
    [
        ("Let me think.", "Let me think.", None),
        ("So <solution> 2, <execute>1</execute>", "So ", "<solution> 2, <execute>1</execute>"),
        ("So <execute> </execute>", "So ", "<execute> </execute>"),
    ],
)
def test_mint_turn_without_a_whole_tag_is_a_malformed_call(turn: str, reasoning: str, action: str | None) -> None:
    refusal = "Observation:\nI don't understand your input. \nIf you want to"
    malformed = Step(reasoning=Segment(text=reasoning), action=Segment(text=action), calls=[UNPARSABLE])
    got = row(history("q", turn, refusal, turn, reason="error"))
    assert got.steps == [malformed.model_copy(update={"observation": observed(refusal)}), malformed]
    assert got.finish_reason == "error"


def test_mint_a_last_run_has_no_result() -> None:
    assert row(history("q", "<execute>1</execute>")).steps[0].calls == [python("1", **NO_RESULT)]


# ToRA: whole completions with the environment's output inside.


def test_tora_output_is_the_environments_and_each_sample_is_a_row() -> None:
    first, second = read(sampled(f"I add.\n{PROGRAM}\n```output\n2\n```\nIt is $\\boxed{{2}}$.", "It is $\\boxed{3}$."))
    assert first.messages == second.messages == [Message(role="user", content="1 + 1?")]
    assert first.steps == [
        Step(
            reasoning=Segment(text="I add.\n"),
            action=Segment(text=PROGRAM),
            calls=[python("print(1 + 1)", **OK)],
            observation=observed("2"),
        ),
        Step(reasoning=Segment(text="It is $\\boxed{2}$.")),
    ]
    assert second.steps == [Step(reasoning=Segment(text="It is $\\boxed{3}$."))]
    assert [(t.sample_index, t.answer, t.reference, t.finish_reason) for t in (first, second)] == [
        (0, "p0", "2", "stop"),
        (1, "p1", "2", "stop"),
    ]
    assert first.group_id == second.group_id and first.trajectory_id != second.trajectory_id
    assert first.tool_state == [ToolState(name="python", state="stateless")]
    assert json.loads(first.extra or "") == {"idx": 5, "report": [None, None]}


def test_tora_runs_the_last_program_of_a_turn() -> None:
    text = f"```python\nprint(0)\n```\nBetter:\n{PROGRAM}"
    (got,) = read(sampled(f"{text}\n```output\n2\n```\n"))
    (step,) = got.steps
    assert (step.reasoning.text, step.action.text) == (text[: -len(PROGRAM)], PROGRAM)
    assert step.calls == [python("print(1 + 1)", **OK)]
    assert got.finish_reason == "unknown"


def test_tora_cut_row_loses_only_the_harness_note() -> None:
    (got,) = read(sampled(f"{PROGRAM}\n```output\n2\n```\n\nReach max function call limit."))
    assert (len(got.steps), got.finish_reason) == (1, "max_turns")


def test_tora_output_without_the_usual_newlines_is_recoverable() -> None:
    (got,) = read(sampled(f"{PROGRAM}```output\n2\n```So 2"))
    assert got.steps[0].observation.messages == [
        Message(role="tool", content="2", extra=json.dumps({"fenced": "```output\n2\n```"}, separators=(",", ":")))
    ]
    assert got.steps[1].reasoning.text == "So 2"


def test_tora_corpus_is_the_same_text_as_a_chat() -> None:
    text = f"{PROGRAM}\n```output\n2\n```\nIt is $\\boxed{{2}}$."
    turns = [{"role": "user", "content": "1 + 1?"}, {"role": "assistant", "content": text}]
    got = row({"dataset": "math", "id": "m-0", "gt": "2", "gt_cot": "add", "messages": turns})
    (same,) = read(sampled(text))
    assert (got.messages, got.steps, got.finish_reason) == (same.messages, same.steps, "stop")
    assert (got.task_id, got.sample_index) == ("m-0", None)


@pytest.mark.parametrize("piece", ["```output\n", "```python\n", "\n```", "```output\n1\n```\n"])
def test_fences_are_found_in_linear_time(piece: str) -> None:
    assert survives(lambda text: read(sampled(text)), piece)


@pytest.mark.parametrize("piece", ["<execute>", "</execute>", "<solution>"])
def test_tags_are_found_in_linear_time(piece: str) -> None:
    assert survives(lambda text: read(history("q", text)), piece)
