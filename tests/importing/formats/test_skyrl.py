from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from purify.digests import digest
from purify.errors import RejectedRecordError
from purify.failures import Rules
from purify.importing import import_dump
from purify.importing.base import RecordContext
from purify.importing.formats.skyrl import SkyRL
from purify.importing.registry import recognise
from purify_schemas import Call, Message, Observation, Segment, Source, Step, ToolState, Trajectory
from tests.importing.damage import broken, outcome

CONTEXT = RecordContext("evals/nq.jsonl", 1, Rules.load("tool"))
ASKED = "<|im_start|>user\nWho?<|im_end|>\n<|im_start|>assistant\n"
EXTRAS = {"reward_spec": {"method": "rule", "ground_truth": {"target": ["Ada"]}}, "max_turns": 4}


def record(output: str, **more: Any) -> dict[str, Any]:
    return {
        "input_prompt": ASKED,
        "output_response": output,
        "score": 1.0,
        "stop_reason": "stop",
        "env_class": "search",
        "env_extras": EXTRAS,
        "data_source": "nq",
        **more,
    }


def read(given: dict[str, Any]) -> Trajectory:
    (row,) = SkyRL().read(given, CONTEXT)
    return row


# One assistant message with observations in it, and the same as a chat.
FLAT = record("Hm <search>ada</search>\n<information>A.</information>\n<answer>Ada</answer><|im_end|>")
CHAT = record(
    "Hm <search>ada</search><|im_end|>\n<|im_start|>user\n\n<information>A.</information>\n<|im_end|>\n"
    "<|im_start|>assistant\n<answer>Ada</answer><|im_end|>"
)


@pytest.mark.parametrize("given", [FLAT, CHAT])
def test_a_search(given: dict[str, Any]) -> None:
    task = digest("nq", ASKED)
    assert read(given) == Trajectory(
        trajectory_id=digest("evals/nq.jsonl", 1, 0),
        task_id=task,
        group_id=digest("SkyRL", "evals/nq.jsonl", task, None),
        messages=[Message(role="user", content="Who?")],
        tool_state=[ToolState(name="search", state="stateless")],
        steps=[
            Step(
                reasoning=Segment(text="Hm "),
                action=Segment(text="<search>ada</search>"),
                calls=[Call(name="search", arguments='{"query":"ada"}', status="ok", status_source="no_rule")],
                observation=Observation(
                    messages=[
                        Message(role="tool", content="A.", extra='{"marks":["\\n<information>","</information>\\n"]}')
                    ]
                ),
            ),
            Step(reasoning=Segment(text="<answer>Ada</answer>")),
        ],
        reference='{"target":["Ada"]}',
        reward=1.0,
        finish_reason="stop",
        source=Source(framework="SkyRL", format="skyrl", file="evals/nq.jsonl", row=1),
        extra=json.dumps(
            {"env_class": "search", "env_extras": EXTRAS, "data_source": "nq", "lossy": SkyRL.lossy}
            | {"template": "chatml"},
            separators=(",", ":"),
        ),
    )


def test_a_score_for_every_token_is_summed_and_kept() -> None:
    row = read(record("a", score=[0.0, 0.25, 0.5], stop_reason="length", env_metrics={"turns": 1}))
    assert (row.reward, row.finish_reason) == (0.75, "length")
    kept = json.loads(row.extra or "")
    assert (kept["score"], kept["env_metrics"]) == ([0.0, 0.25, 0.5], {"turns": 1})
    assert read(record("a", score=[0.0, None])).reward is None
    assert read(record("a", score=None)).reward is None


def test_other_environments_and_stop_reasons() -> None:
    row = read(record("<sql>x</sql>", env_class="text2sql", stop_reason=None, env_extras=None))
    assert row.tool_state == [ToolState(name="sql", state="unknown")]
    assert (row.finish_reason, row.reference) == ("unknown", None)
    assert json.loads(row.extra or "")["stop_reason"] is None
    assert read(record("a", env_extras={"reward_spec": {"ground_truth": 3}})).reference == "3"


def test_recognised_by_its_keys() -> None:
    assert recognise(FLAT) == ("skyrl", "has input_prompt, output_response, env_class, env_extras")
    assert recognise({key: value for key, value in FLAT.items() if key != "env_extras"}) is None


def test_a_folder_of_evaluations(tmp_path: Path) -> None:
    """The averages beside the rollouts are put aside with a reason."""
    evals = tmp_path / "evals"
    evals.mkdir()
    (evals / "nq.jsonl").write_text("".join(json.dumps(given) + "\n" for given in (FLAT, CHAT)))
    (evals / "aggregated_results.jsonl").write_text('{"eval/nq/avg_score": 1.0}\n')
    dataset = import_dump(evals, tmp_path / "out").dataset
    assert [len(row.steps) for row in dataset] == [2, 2]
    assert (dataset.manifest.records_in, dataset.manifest.rejected) == (3, 1)
    one, other = dataset
    assert one.group_id == other.group_id
    assert one.trajectory_id != other.trajectory_id


@pytest.mark.parametrize("key", ["input_prompt", "output_response"])
def test_rejected_records_name_the_place(key: str) -> None:
    with pytest.raises(RejectedRecordError, match=f"^record.{key} is a list, expected a string$"):
        read(FLAT | {key: []})


@settings(deadline=None)
@given(broken([FLAT, CHAT]))
def test_a_broken_record_is_read_or_rejected(damaged: dict[str, Any]) -> None:
    outcome(SkyRL(), damaged, CONTEXT)
