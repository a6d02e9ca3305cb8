from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from purify.errors import RejectedRecordError
from purify.importing import import_dump
from purify.importing.formats.openai_messages import OpenAIMessages
from purify.importing.formats.verifiers import Verifiers
from purify_schemas import (
    Call,
    Message,
    Observation,
    Reward,
    Segment,
    Step,
    ToolState,
    from_table,
    to_table,
)
from tests.importing.damage import damaged, outcome, put
from tests.importing.formats.verifiers_records import (
    CONTEXT,
    FAILED,
    RESULT,
    back,
    call,
    episode,
    graph,
    node,
    read,
    trace,
    turn,
)

PROMPT = [Message(role="system", content="Be brief."), Message(role="user", content="1 + 1?")]


def test_each_path_of_the_graph_is_a_trajectory() -> None:
    first, second = read(episode(trace(*graph())))
    assert first.messages == second.messages == PROMPT
    assert first.prompt_token_ids == second.prompt_token_ids == [1, 2, 3, 4]
    assert first.steps == [
        Step(
            reasoning=Segment(text="hmI see.", token_ids=[5, 6], logprobs=[-0.625, -0.75]),
            thinking_chars=2,
            calls=[FAILED],
            observation=Observation(token_ids=[7, 8], messages=[RESULT]),
            boundary="unknown",
        ),
        Step(
            reasoning=Segment(text="2", token_ids=[9], logprobs=[-1.125]),
            observation=Observation(token_ids=[]),
        ),
    ]
    assert second.steps == [
        Step(reasoning=Segment(text="3", token_ids=[10], logprobs=[-1.25]), observation=Observation(token_ids=[]))
    ]
    assert first.tool_state == [ToolState(name="python", state="unknown")]
    assert [json.loads(row.extra or "")["branch"] for row in (first, second)] == [
        {"index": 0, "of": 2, "leaf": 4},
        {"index": 1, "of": 2, "leaf": 5},
    ]
    assert first.trajectory_id != second.trajectory_id
    assert (first.group_id, first.task_id, first.sample_index) == (second.group_id, "sums/add-3", None)


def test_what_stands_around_the_graph() -> None:
    sampling = {"temperature": 0.7, "top_p": 0.9}
    calls = [
        {"node": 2, "model": "n", "sampling": sampling, "finish_reason": "tool_calls"},
        {"node": 4, "model": "n", "sampling": sampling, "finish_reason": "stop", "usage": {"prompt_tokens": 9}},
        {"model": "n", "error": {"type": "ProviderError", "message": "down"}},
    ]
    made = trace(
        *graph()[:5],
        calls=calls,
        tools=[{"type": "function", "name": "python", "description": "run", "parameters": {}}],
        rewards={"right": {"score": 1.0, "weight": 0.5}, "short": {"score": 0.25, "weight": 1.0}, "late": None},
        metrics={"turns": 2.0},
        stop_condition="max_turns",
        root_reply="2",
    )
    made["task"]["data"]["answer"] = "two"
    made["nodes"][2]["timestamp"] = 1.5
    made["nodes"][3]["timestamp"] = 2.5
    run = {"type": "train", "id": "r", "work": {"type": "train", "step": 4, "policy": {"start": 3, "end": 4}}}
    (got,) = read(episode(made, run=run, group={"id": "g"}))
    assert (got.source.model, got.source.temperature, got.source.sampling) == ("n", 0.7, '{"top_p":0.9}')
    assert (got.source.framework, got.source.round, got.source.revision) == ("verifiers", 4, None)
    assert (got.reward, got.rewards) == (0.75, [Reward(name="right", value=0.5), Reward(name="short", value=0.25)])
    assert (got.answer, got.reference, got.finish_reason) == ("2", "two", "max_turns")
    function = {"name": "python", "description": "run", "parameters": {}}
    assert json.loads(got.tools or "") == [{"type": "function", "function": function}]
    assert json.loads(got.steps[0].extra or "") == {"timestamp": 1.5, "call": calls[0]}
    assert json.loads(got.steps[0].observation.messages[0].extra or "") == {"timestamp": 2.5}
    extra = json.loads(got.extra or "")
    assert extra["calls"] == [calls[2]]
    assert extra["rewards"] == made["rewards"]
    assert (extra["metrics"], extra["agent"]["name"], extra["ok"]) == ({"turns": 2.0}, "solver", True)
    assert extra["episode"] == {
        "id": "e", "env": {"id": "sums"}, "task": made["task"], "ok": True, "run": run, "group": {"id": "g"},
    }  # fmt: skip


def test_a_line_of_one_bare_trace_is_read_like_an_episode() -> None:
    bare = trace(*graph()[:5], run={"type": "train", "step": 7})
    assert Verifiers().recognise(bare) == "verifiers trace: task, agent and nodes"
    (got,) = read(bare)
    assert (got.task_id, got.source.round, len(got.steps)) == ("add-3", 7, 2)
    assert "episode" not in json.loads(got.extra or "")


def test_the_tools_of_a_root_are_those_of_its_path() -> None:
    nodes = [node(None, "user", "q", tools=[{"type": "function", "name": "a"}]), turn(0, "x", [], [])]
    (got,) = read(episode(trace(*nodes, tools=[{"type": "function", "name": "b"}])))
    assert json.loads(got.tools or "") == [{"type": "function", "function": {"name": "a"}}]
    assert json.loads(got.extra or "")["tools"] == [{"type": "function", "name": "b"}]


def test_messages_without_ids_are_read_without_a_note() -> None:
    (got,) = read(episode(trace(node(None, "user", "q"), turn(0, "a", [], []))))
    assert (got.prompt_token_ids, got.steps[0]) == (None, Step(reasoning=Segment(text="a")))
    assert "token_ids_dropped" not in (got.extra or "")


def test_an_assistant_message_that_nobody_sampled_is_a_demonstration_or_an_observation() -> None:
    nodes = [
        node(None, "user", "q", [1]),
        node(0, "assistant", "shown", [2]),
        turn(1, "said", [3], [4]),
        node(2, "assistant", "put in", [5]),
        turn(3, "end", [6], [7]),
    ]
    (got,) = read(episode(trace(*nodes)))
    assert got.messages == [Message(role="user", content="q"), Message(role="assistant", content="shown")]
    assert [step.reasoning.text for step in got.steps] == ["said", "end"]
    assert got.steps[0].observation == Observation(
        token_ids=[5, 6], messages=[Message(role="assistant", content="put in")]
    )


def test_a_path_that_the_model_never_answered_is_kept_aside() -> None:
    nodes = [*graph()[:5], node(4, "user", "more", [11]), node(1, "user", "again", [12])]
    (got,) = read(episode(trace(*nodes)))
    assert got.steps[1].observation == Observation(token_ids=[11], messages=[Message(role="user", content="more")])
    said = [message["content"] for message in json.loads(got.extra or "")["unanswered"][0]]
    assert said == ["Be brief.", "1 + 1?", "again"]
    with pytest.raises(RejectedRecordError, match="no turn of the model"):
        read(episode(trace(node(None, "user", "q"))))


def test_a_custom_tool_takes_text_and_that_is_not_malformed() -> None:
    nodes = [
        node(None, "user", "q"),
        turn(0, None, [], [], tool_calls=[call("c", "ls -l", type="custom", namespace="sh")]),
        back(1, "c", "a b", []),
    ]
    (got,) = read(episode(trace(*nodes)))
    assert got.steps[0].calls == [
        Call(id="c", name="python", arguments='{"input":"ls -l"}', status="ok", status_source="no_rule")
    ]
    assert json.loads(got.steps[0].extra or "") == {"tool_calls": [{"namespace": "sh", "type": "custom"}]}


@pytest.mark.parametrize(
    ("change", "note"),
    [
        ((3, "mask", [True]), "traces[0].nodes[3]: the mask does not mark one turn of the model"),
        ((2, "mask", [True, False, True]), "traces[0].nodes[2]: the mask does not mark one turn of the model"),
        ((4, "mask", [False, False]), "traces[0].nodes[4]: the mask does not mark one turn of the model"),
    ],
)
def test_ids_that_do_not_fit_the_turns_are_dropped_with_the_reason(change: tuple[Any, ...], note: str) -> None:
    nodes = graph()[:5]
    nodes[change[0]][change[1]] = change[2]
    (got,) = read(episode(trace(*nodes)))
    assert got.prompt_token_ids is None
    assert not any(step.has_ids for step in got.steps)
    assert json.loads(got.extra or "")["token_ids_dropped"] == note


def test_turns_with_nothing_between_them_are_one_run() -> None:
    (got,) = read(episode(trace(node(None, "user", "q", [1]), turn(0, "a", [], [2]), turn(1, "b", [], [3]))))
    assert json.loads(got.extra or "")["token_ids_dropped"] == "traces[0]: 1 runs of the mask for 2 turns of the model"


@pytest.mark.parametrize("logprobs", [[-1.0], [None, -1.0]])
def test_logprobs_that_do_not_match_are_unknown(logprobs: list[Any]) -> None:
    nodes = graph()[:5]
    nodes[2]["logprobs"] = logprobs
    (got,) = read(episode(trace(*nodes)))
    assert [step.reasoning.logprobs for step in got.steps] == [None, [-1.125]]
    dropped = f"traces[0].nodes[2]: {len(logprobs)} log-probs for 2 sampled ids"
    assert json.loads(got.extra or "")["logprobs_dropped"] == dropped


def test_agents_are_compared_among_their_own() -> None:
    judge = trace(node(None, "user", "q"), turn(0, "b", [], []))
    judge["agent"]["name"] = "judge"
    solver = trace(node(None, "user", "q"), turn(0, "a", [], []))
    silent = trace(node(None, "user", "q"))
    rows = read(episode(solver, judge, silent))
    assert [row.task_id for row in rows] == ["sums/add-3/solver", "sums/add-3/judge"]
    assert len({row.group_id for row in rows}) == len({row.trajectory_id for row in rows}) == 2
    assert json.loads(rows[0].extra or "")["episode"]["traces_without_a_turn"] == [silent]


@pytest.mark.parametrize(
    ("task", "name"),
    [
        ({"data": {"id": "x", "idx": 0}, "key": "k"}, "sums/x"),
        ({"data": {"idx": 0}, "key": "k", "hash": "h"}, "sums/k"),
        ({"data": {"idx": 0}, "hash": "h"}, "sums/h"),
        ({"data": {"idx": 0}}, "sums/0"),
        ({"data": None}, "traces.jsonl#2"),
    ],
)
def test_the_most_lasting_task_name(task: dict[str, Any], name: str) -> None:
    made = trace(node(None, "user", "q"), turn(0, "a", [], []))
    made["task"] = task
    assert read(episode(made))[0].task_id == name


@pytest.mark.parametrize(
    ("stopped", "called", "finish"),
    [
        ("agent_completed", "stop", "stop"),
        ("agent_completed", "length", "length"),
        ("max_total_tokens", "tool_calls", "length"),
        ("sandbox_error", "stop", "error"),
        ("agent_timeout", "stop", "error"),
        ("error", None, "error"),
        ("a_condition_of_the_task", "stop", "stop"),
        ("a_condition_of_the_task", "tool_calls", "unknown"),
        (None, None, "unknown"),
    ],
)
def test_finish_reason(stopped: str | None, called: str | None, finish: str) -> None:
    made = trace(node(None, "user", "q"), turn(0, "a", [], []), stop_condition=stopped)
    made["calls"] = [{"node": 1, "finish_reason": called}]
    assert read(episode(made))[0].finish_reason == finish


def test_what_stopped_the_trace_ended_its_last_path() -> None:
    calls = [{"node": 4, "finish_reason": "stop"}, {"node": 5, "finish_reason": "stop"}]
    rows = read(episode(trace(*graph(), calls=calls, stop_condition="max_turns")))
    assert [row.finish_reason for row in rows] == ["stop", "max_turns"]


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        (("nodes",), {}, "traces[0].nodes is an object, expected a list"),
        (("nodes", 1), 3, "traces[0].nodes[1] is a number, expected an object"),
        (("nodes", 1, "parent"), 1, "traces[0].nodes[1].parent is a number, expected null or the position of an"),
        (("nodes", 1, "message"), None, "traces[0].nodes[1].message is null, expected an object"),
        (("nodes", 1, "message", "role"), 3, "traces[0].nodes[1].message.role is a number, expected a string"),
        (("nodes", 2, "message", "tool_calls"), 3, "traces[0].nodes[2].message.tool_calls is a number, expected a li"),
        (("nodes", 2, "mask"), [True], "traces[0].nodes[2].mask must be 3 booleans, one for each token id"),
        (("nodes", 2, "mask"), [0, 1, 1], "traces[0].nodes[2].mask must be 3 booleans, one for each token id"),
        (("nodes", 2, "token_ids", 0), True, "traces[0].nodes[2].token_ids[0] is a boolean, expected a token id"),
        (("calls",), [3], "traces[0].calls[0] is a number, expected an object"),
        (("rewards",), {"r": {"score": "high"}}, "traces[0].rewards.r has no finite score and weight"),
        (("task",), None, "traces[0].task is null, expected an object"),
    ],
)
def test_rejected_records_name_the_place(path: tuple[Any, ...], value: object, reason: str) -> None:
    made = episode(trace(*graph()))
    put(made, ("traces", 0, *path), value)
    with pytest.raises(RejectedRecordError) as error:
        read(made)
    assert str(error.value).startswith(reason)


def test_records_of_other_formats_are_not_recognised() -> None:
    assert Verifiers().recognise(episode(trace(*graph()))) == "verifiers episode: task and traces with nodes"
    others: list[dict[str, Any]] = [
        {"traces": [{"nodes": []}]},
        {"task": {}, "traces": [{"spans": []}]},
        {"task": {}, "nodes": []},
        {"task": "add", "nodes": [], "agent": {}},
        {"prompt": [], "completion": [], "reward": 1.0},
        {},
    ]
    assert not any(Verifiers().recognise(record) for record in others)
    assert OpenAIMessages().recognise(episode(trace(*graph()))) is None


BASE = episode(
    trace(
        *graph(),
        rewards={"r": {"score": 1.0, "weight": 1.0}},
        calls=[{"node": 2, "model": "m", "sampling": {"temperature": 1.0}, "finish_reason": "stop"}],
        tools=[{"type": "function", "name": "python"}],
        stop_condition="max_turns",
    ),
    run={"work": {"step": 1}},
)


@settings(deadline=None)
@given(st.data())
def test_a_damaged_record_is_read_or_rejected(data: st.DataObject) -> None:
    outcome(Verifiers(), damaged(BASE, data), CONTEXT)


@settings(deadline=None)
@given(st.data())
def test_the_ids_of_a_row_are_those_of_its_path(data: st.DataObject) -> None:
    ids = st.lists(st.integers(0, 99), max_size=3)
    nodes = [node(None, "user", "q", data.draw(ids))]
    for index in range(data.draw(st.integers(1, 8))):
        parent = data.draw(st.integers(0, index))
        if data.draw(st.booleans()):
            nodes.append(
                turn(parent, f"a{index}", [7], data.draw(st.lists(st.integers(0, 99), min_size=1, max_size=3)))
            )
        else:
            nodes.append(node(parent, "user", f"u{index}", data.draw(ids)))
    leaves = [i for i in range(len(nodes)) if all(other.get("parent") != i for other in nodes)]
    expected = []
    for leaf in leaves:
        path: list[dict[str, Any]] = []
        at: int | None = leaf
        while at is not None:
            path.insert(0, nodes[at])
            at = nodes[at].get("parent")
        if any(one["sampled"] for one in path):
            expected.append(
                [(token, on) for one in path for token, on in zip(one["token_ids"], one["mask"], strict=True)]
            )
    if not expected:
        return
    rows = read(episode(trace(*nodes)))
    found = []
    for row in rows:
        tokens = [(token, False) for token in row.prompt_token_ids or []]
        for step in row.steps:
            tokens += [(token, True) for token in step.reasoning.token_ids or []]
            tokens += [(token, False) for token in step.observation.token_ids or []]
        found.append(tokens)
    assert found == expected
    assert list(from_table(to_table(rows))) == rows


def test_a_file_from_end_to_end(tmp_path: Path) -> None:
    lines = [episode(trace(*graph())), episode(trace(node(None, "user", "q"))), episode(trace(*graph()[:5]))]
    (tmp_path / "traces.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    report = import_dump(tmp_path / "traces.jsonl", tmp_path / "raw")
    assert [entry.format for entry in report.formats] == ["verifiers"]
    manifest = report.dataset.manifest
    assert (manifest.records_in, manifest.rejected, manifest.rows) == (3, 1, 3)
    assert {key: manifest.counts[key] for key in ("steps", "calls", "calls_error")} == {
        "steps": 5, "calls": 2, "calls_error": 2,
    }  # fmt: skip
