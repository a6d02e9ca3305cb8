"""A trajectory that goes to Arrow (and Parquet) and back equals itself; construction checks alignment."""

from __future__ import annotations

import io
import struct
import typing
from typing import Any

import hypothesis.strategies as st
import jsonschema
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from pydantic import BaseModel, ValidationError

from purify_schemas import (
    PURIFIED_SCHEMA,
    RAW_SCHEMA,
    SCHEMAS,
    Call,
    Edit,
    EditScore,
    GateResult,
    Link,
    Message,
    Observation,
    Provenance,
    Removed,
    Reward,
    Scores,
    Segment,
    Source,
    StaleFrom,
    Step,
    ToolState,
    Trajectory,
    from_table,
    scored_schema,
    to_table,
)
from purify_schemas.names import Boundary, FinishReason, Status, ToolStateName

TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
MAYBE_TEXT = st.none() | TEXT
IDS = st.lists(st.integers(0, 2**31 - 1), max_size=5)
FLOAT32 = st.floats(width=32, allow_nan=False, allow_infinity=False)
FLOAT64 = st.floats(allow_nan=False, allow_infinity=False)
INT32 = st.integers(-(2**31), 2**31 - 1)
NATURAL = st.integers(0, 2**31 - 1)


def one_of(kind: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(typing.get_args(kind))


@st.composite
def segments(draw: st.DrawFn) -> Segment:
    ids = draw(st.none() | IDS)
    with_logprobs = ids is not None and draw(st.booleans())
    logprobs = [draw(FLOAT32) for _ in ids or []] if with_logprobs else None
    return Segment(text=draw(MAYBE_TEXT), token_ids=ids, logprobs=logprobs)


MESSAGES = st.lists(
    st.builds(
        Message,
        role=st.sampled_from(["user", "tool", "system", ""]),
        name=MAYBE_TEXT,
        content=MAYBE_TEXT,
        parts=MAYBE_TEXT,
        tool_calls=MAYBE_TEXT,
        call_id=st.none(),
        extra=MAYBE_TEXT,
    ),
    max_size=2,
)
CALLS = st.lists(
    st.builds(
        Call,
        id=MAYBE_TEXT,
        name=MAYBE_TEXT,
        arguments=MAYBE_TEXT,
        status=one_of(Status),
        error_type=MAYBE_TEXT,
        status_source=MAYBE_TEXT,
        duration_s=st.none() | FLOAT64,
    ),
    max_size=2,
)
OBSERVATIONS = st.builds(Observation, token_ids=st.none() | IDS, messages=MESSAGES)


@st.composite
def steps(draw: st.DrawFn) -> Step:
    reasoning = draw(segments())
    return Step(
        reasoning=reasoning,
        thinking_chars=draw(st.integers(0, len(reasoning.text or ""))),
        action=draw(segments()),
        calls=draw(CALLS),
        observation=draw(OBSERVATIONS),
        boundary=draw(one_of(Boundary)),
        extra=draw(MAYBE_TEXT),
    )


REMOVED = st.builds(
    Removed,
    raw_step=INT32,
    part=st.sampled_from(["reasoning", "action", "step"]),
    reasoning=st.none() | segments(),
    thinking_chars=st.none() | INT32,
    action=st.none() | segments(),
    calls=st.none() | CALLS,
    observation=st.none() | OBSERVATIONS,
    boundary=st.none() | one_of(Boundary),
    extra=MAYBE_TEXT,
)
EDITS = st.builds(
    Edit,
    raw_steps=st.lists(INT32, max_size=3),
    reasoning_from=st.none() | INT32,
    action_from=st.none() | INT32,
    links=st.lists(
        st.builds(
            Link,
            from_step=INT32,
            to_step=INT32,
            similarity=st.none() | FLOAT64,
            granularity=st.sampled_from(["shallow", "deep"]),
        ),
        max_size=2,
    ),
    backend=MAYBE_TEXT,
    threshold=st.none() | FLOAT64,
    gates=st.lists(
        st.builds(GateResult, name=TEXT, verdict=st.sampled_from(["pass", "refuse", "unknown"]), detail=MAYBE_TEXT),
        max_size=2,
    ),
    accepted=st.booleans(),
    reason=st.none() | st.sampled_from(["unresolved", "boundary", "gate"]),
    detail=MAYBE_TEXT,
    removed=st.lists(REMOVED, max_size=2),
)
PROVENANCE = st.builds(
    Provenance,
    parent_id=MAYBE_TEXT,
    parent_digest=MAYBE_TEXT,
    method=TEXT,
    config_digest=TEXT,
    online=st.booleans(),
    mixed_in=st.booleans(),
    stale_from=st.none() | st.builds(StaleFrom, step=INT32, part=st.sampled_from(["reasoning", "action"])),
    edits=st.lists(EDITS, max_size=2),
)
SOURCES = st.builds(
    Source,
    framework=MAYBE_TEXT,
    format=MAYBE_TEXT,
    file=MAYBE_TEXT,
    row=st.none() | st.integers(-(2**63), 2**63 - 1),
    model=MAYBE_TEXT,
    revision=MAYBE_TEXT,
    round=st.none() | INT32,
    temperature=st.none() | FLOAT64,
    sampling=MAYBE_TEXT,
    tokenizer_digest=MAYBE_TEXT,
    template_digest=MAYBE_TEXT,
    logprobs_mode=MAYBE_TEXT,
)
EDIT_SCORES = st.builds(EditScore, raw_steps=st.lists(INT32, max_size=3), tokens=INT32, log_ratio=FLOAT64)


@st.composite
def scored(draw: st.DrawFn, row: Trajectory) -> Trajectory:
    """The row with scores: a value a model token, or none and the reason."""
    tokens = sum(len(part.token_ids or ()) for step in row.steps for part in (step.reasoning, step.action))
    values = st.none() | st.lists(FLOAT32, min_size=tokens, max_size=tokens)
    scores = Scores(
        model=draw(MAYBE_TEXT),
        revision=draw(MAYBE_TEXT),
        temperature=draw(FLOAT64),
        tokenizer_digest=draw(MAYBE_TEXT),
        template_digest=draw(MAYBE_TEXT),
        rendered=draw(st.booleans()),
        logprobs=draw(values),
        raw_logprobs=draw(st.none() | st.lists(FLOAT32, max_size=4)),
        entropy=draw(values),
        self_certainty=draw(values),
        edits=draw(st.lists(EDIT_SCORES, max_size=2)),
        problem=draw(MAYBE_TEXT),
    )
    return row.model_copy(update={"scores": scores})


ROWS = st.builds(
    Trajectory,
    trajectory_id=TEXT,
    task_id=TEXT,
    group_id=TEXT,
    sample_index=st.none() | NATURAL,
    messages=MESSAGES,
    tools=MAYBE_TEXT,
    tool_state=st.lists(st.builds(ToolState, name=TEXT, state=one_of(ToolStateName)), max_size=2),
    prompt_token_ids=st.none() | IDS,
    steps=st.lists(steps(), max_size=3),
    answer=MAYBE_TEXT,
    reference=MAYBE_TEXT,
    reward=st.none() | FLOAT32,
    rewards=st.lists(st.builds(Reward, name=TEXT, value=FLOAT32), max_size=2),
    finish_reason=one_of(FinishReason),
    source=SOURCES,
    extra=MAYBE_TEXT,
    provenance=st.none() | PROVENANCE,
)


@settings(deadline=None, max_examples=150)
@given(st.lists(ROWS | ROWS.flatmap(scored), max_size=4))
def test_rows_survive_arrow_and_parquet(rows: list[Trajectory]) -> None:
    table = to_table(rows, scored_schema(PURIFIED_SCHEMA))
    table.validate(full=True)
    assert list(from_table(table)) == rows
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    assert list(from_table(pq.read_table(buffer))) == rows


def test_null_and_empty_are_different_things() -> None:
    nothing: list[tuple[str | None, list[int] | None]] = [(None, None), ("", [])]
    rows = [
        Trajectory(
            trajectory_id="t",
            task_id="t",
            group_id="g",
            steps=[
                Step(reasoning=Segment(text=text, token_ids=ids), observation=Observation(token_ids=ids))
                for text, ids in nothing
            ],
        )
    ]
    (back,) = from_table(to_table(rows))
    assert [step.reasoning.text for step in back.steps] == [None, ""]
    assert [step.observation.token_ids for step in back.steps] == [None, []]


def test_floats_are_rounded_to_what_is_stored() -> None:
    single = struct.unpack("<f", struct.pack("<f", 0.1))[0]
    assert Segment(token_ids=[1], logprobs=[0.1]).logprobs == [single]
    assert Reward(name="r", value=0.1).value == single


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Segment(logprobs=[0.0]), "logprobs without token_ids"),
        (lambda: Segment(token_ids=[1, 2], logprobs=[0.0]), "2 token_ids but 1 logprobs"),
        (lambda: Segment(token_ids=[1], logprobs=[float("nan")]), "must be finite"),
        (lambda: Segment(token_ids=[1], logprobs=[1e300]), "does not fit a float32"),
        (lambda: Segment(token_ids=[-1]), "greater than or equal to 0"),
        (lambda: Step(reasoning=Segment(text="ab"), thinking_chars=3), "exceeds the reasoning text"),
        (
            lambda: Step(calls=[Call(id="a")], observation=Observation(messages=[Message(role="tool", call_id="b")])),
            "answers call 'b'",
        ),
        (lambda: Call.model_validate({"status": "fine"}), "Input should be 'ok'"),
        (lambda: Reward(name="r", value=float("inf")), "finite"),
        (lambda: Message.model_validate({"role": "user", "colour": "red"}), "Extra inputs"),
    ],
)
def test_construction_refuses_what_does_not_fit(build: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        build()


def test_unanswered_and_unexecuted_calls_are_legal() -> None:
    Step(calls=[Call(id="a"), Call(id="b")], observation=Observation(messages=[Message(role="tool", call_id="a")]))
    Step(calls=[Call()], observation=Observation(messages=[Message(role="tool", call_id="a")]))


def fields(kind: pa.DataType | pa.Schema) -> dict[str, pa.DataType]:
    return {field.name: field.type for field in kind}


def nested(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_list(kind) else kind


def same_names(model: type[BaseModel], kind: Any) -> None:
    """Models and Arrow types have the same fields in the same order, all the way down."""
    assert list(model.model_fields) == list(fields(kind)), model
    for name, field in model.model_fields.items():
        for part in (field.annotation, *typing.get_args(field.annotation)):
            for inner in (part, *typing.get_args(part)):
                if isinstance(inner, type) and issubclass(inner, BaseModel):
                    same_names(inner, nested(fields(kind)[name]))


def test_rows_and_columns_name_the_same_fields() -> None:
    same_names(Trajectory, scored_schema(PURIFIED_SCHEMA))
    assert RAW_SCHEMA.names == PURIFIED_SCHEMA.names[:-1]
    assert scored_schema(PURIFIED_SCHEMA).names == [*PURIFIED_SCHEMA.names, "scores"]
    assert scored_schema(RAW_SCHEMA).names == [*RAW_SCHEMA.names, "scores"]
    assert all(scored_schema(scored_schema(schema)) == scored_schema(schema) for schema in SCHEMAS)


def test_no_arrow_type_that_load_dataset_refuses() -> None:
    for schema in SCHEMAS:
        assert "map<" not in str(schema) and "null" not in {str(field.type) for field in schema}


def test_rows_need_a_schema_with_what_they_carry() -> None:
    row = Trajectory(trajectory_id="t", task_id="t", group_id="g")
    purified = row.model_copy(update={"provenance": Provenance(method="saar", config_digest="c")})
    with pytest.raises(ValueError, match="rows with provenance need a schema with that column"):
        to_table([purified], scored_schema(RAW_SCHEMA))
    with pytest.raises(ValueError, match="rows with scores need a schema with that column"):
        to_table([row.model_copy(update={"scores": Scores()})], PURIFIED_SCHEMA)


@pytest.mark.parametrize("name", ["logprobs", "entropy", "self_certainty"])
def test_scores_are_as_many_as_model_tokens(name: str) -> None:
    step = Step(
        reasoning=Segment(token_ids=[1, 2]), action=Segment(token_ids=[3]), observation=Observation(token_ids=[4])
    )
    row = {"trajectory_id": "t", "task_id": "t", "group_id": "g", "steps": [step]}
    wrong = {"logprobs": [-1.0] * 3, name: [-1.0] * 2}
    with pytest.raises(ValidationError, match=f"3 model tokens but 2 scored {name}"):
        Trajectory.model_validate({**row, "scores": wrong})
    Trajectory.model_validate({**row, "scores": {**wrong, name: [-1.0] * 3}})


def test_json_schema_accepts_a_row_and_refuses_a_wrong_one() -> None:
    schema = Trajectory.model_json_schema()
    row = Trajectory(trajectory_id="t", task_id="t", group_id="g").model_dump(mode="json")
    jsonschema.validate(row, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**row, "steps": "none"}, schema)
