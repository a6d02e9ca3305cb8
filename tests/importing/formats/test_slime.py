from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings

from purify.digests import digest
from purify.errors import RejectedRecordError
from purify.failures import Rules
from purify.importing import ImportConfig
from purify.importing.base import RecordContext
from purify.importing.formats.slime import Slime
from purify.importing.registry import recognise
from purify_schemas import Call, Message, Observation, Reward, Segment, Source, Step, ToolState, Trajectory
from tests.importing.damage import broken, outcome

RULES = Rules.load("tool")


def context(**config: Any) -> RecordContext:
    return RecordContext("dump/3.pt", 5, RULES, ImportConfig(**config))


def read(record: dict[str, Any], **config: Any) -> Trajectory:
    (row,) = Slime().read(record, context(**config))
    return row


def saved(**sample: Any) -> dict[str, Any]:
    """A sample of ReTool: prompt 1 2, a turn 3 4, the interpreter 5 6, a turn 7."""
    known = {
        "group_index": 2,
        "index": 9,
        "prompt": "<|im_start|>user\n1 + 1?<|im_end|>\n<|im_start|>assistant\n",
        "tokens": [1, 2, 3, 4, 5, 6, 7],
        "response": "Hm <code>1+1</code>\n\n<interpreter>\n2\n</interpreter>\n\nIt is 2.<|im_end|>",
        "response_length": 5,
        "label": "2",
        "reward": 1.0,
        "loss_mask": [1, 1, 0, 0, 1],
        "rollout_log_probs": [-0.5, 0.0, 0.0, 0.0, -1.0],
        "status": "completed",
        "metadata": {"tools": [{"name": "python", "parameters": {}}]},
        "weight_versions": ["4"],
    }
    return {"rollout_id": 3, "sample": known | sample}


def extra(row: Trajectory) -> dict[str, Any]:
    return dict(json.loads(row.extra or "{}"))


def test_a_sample() -> None:
    assert read(saved()) == Trajectory(
        trajectory_id=digest("slime", "dump/3.pt", "2", 3, 9),
        task_id="2",
        group_id=digest("slime", "dump/3.pt", "2", 3),
        sample_index=9,
        messages=[Message(role="user", content="1 + 1?")],
        tools='[{"type":"function","function":{"name":"python","parameters":{}}}]',
        tool_state=[ToolState(name="python", state="unknown")],
        prompt_token_ids=[1, 2],
        steps=[
            Step(
                reasoning=Segment(text="Hm ", token_ids=[3, 4], logprobs=[-0.5, 0.0]),
                action=Segment(text="<code>1+1</code>"),
                calls=[Call(name="python", arguments='{"code":"1+1"}', status="ok", status_source="no_rule")],
                observation=Observation(
                    token_ids=[5, 6],
                    messages=[
                        Message(
                            role="tool",
                            content="2",
                            extra='{"marks":["\\n\\n<interpreter>\\n","\\n</interpreter>\\n\\n"]}',
                        )
                    ],
                ),
                boundary="unknown",
            ),
            Step(
                reasoning=Segment(text="It is 2.", token_ids=[7], logprobs=[-1.0]),
                observation=Observation(token_ids=[]),
            ),
        ],
        reference="2",
        reward=1.0,
        finish_reason="stop",
        source=Source(framework="slime", format="slime", file="dump/3.pt", row=5, round=3),
        extra='{"metadata":{"tools":[{"name":"python","parameters":{}}]},"weight_versions":["4"],"template":"chatml"}',
    )


@pytest.mark.parametrize(
    ("sample", "reason"),
    [
        ({"loss_mask": None}, "the loss mask has 1 runs, the text has 2 turns"),
        ({"loss_mask": [0, 1, 0, 0, 1]}, "the response begins with tokens that the loss mask leaves out"),
        ({"loss_mask": [1, 1, 0]}, "3 mask values for 5 token ids"),
        ({"loss_mask": [1, 1, 2, 0, 1]}, "mask value 2 is 2, expected 0 or 1"),
        ({"rollout_log_probs": [-0.5]}, "1 log-probs for 5 token ids"),
    ],
)
def test_ids_that_do_not_fit_the_text_are_kept_aside_with_the_reason(sample: dict[str, Any], reason: str) -> None:
    given = saved(**sample)
    row = read(given)
    assert (row.prompt_token_ids, any(step.has_ids for step in row.steps)) == (None, False)
    assert [step.observation.token_ids for step in row.steps] == [None, None]
    kept = extra(row)
    assert kept["token_ids_dropped"] == reason
    assert [kept[key] for key in ("tokens", "loss_mask", "rollout_log_probs")] == [
        given["sample"][key] for key in ("tokens", "loss_mask", "rollout_log_probs")
    ]


def test_without_a_mask_all_of_the_response_is_the_models() -> None:
    row = read(saved(response="2", loss_mask=None, rollout_log_probs=None))
    (step,) = row.steps
    assert step == Step(reasoning=Segment(text="2", token_ids=[3, 4, 5, 6, 7]), observation=Observation(token_ids=[]))
    assert row.prompt_token_ids == [1, 2]


def test_a_log_prob_that_is_no_number_is_unknown_for_its_turn() -> None:
    first, last = read(saved(rollout_log_probs=[-0.5, "NaN", 0.0, 0.0, -1.0])).steps
    assert (first.reasoning.logprobs, last.reasoning.logprobs) == (None, [-1.0])


@pytest.mark.parametrize("tools", [{"search": {"k": 3}}, ["python"], "python", '[{"name": "python"}]', 3, []])
def test_metadata_of_the_users_own_is_no_list_of_definitions(tools: object) -> None:
    row = read(saved(metadata={"tools": tools}))
    assert row.tools is None
    assert extra(row)["metadata"] == {"tools": tools}


def test_a_prompt_of_messages() -> None:
    asked = [{"role": "system", "content": "Be."}, {"role": "user", "content": "1 + 1?"}]
    row = read(saved(prompt=asked))
    assert row.messages == [Message(role="system", content="Be."), Message(role="user", content="1 + 1?")]
    assert row.prompt_token_ids == [1, 2]


@pytest.mark.parametrize(
    ("status", "finish", "kept"),
    [("truncated", "length", None), ("failed", "error", "failed"), ("aborted", "unknown", "aborted")],
)
def test_status(status: str, finish: str, kept: str | None) -> None:
    row = read(saved(status=status))
    assert (row.finish_reason, extra(row).get("status")) == (finish, kept)


@pytest.mark.parametrize(
    ("reward", "value", "parts"),
    [
        ({"score": 1.0, "acc": 0.5}, 1.0, [("score", 1.0), ("acc", 0.5)]),
        ({"acc": 1.0}, None, [("acc", 1.0)]),
        (None, None, []),
    ],
)
def test_rewards(reward: object, value: float | None, parts: list[tuple[str, float]]) -> None:
    row = read(saved(reward=reward))
    assert (row.reward, row.rewards) == (value, [Reward(name=name, value=part) for name, part in parts])


def test_a_reward_with_words_keeps_them() -> None:
    row = read(saved(reward={"score": 1.0, "pred": "2"}))
    assert (row.reward, row.rewards) == (1.0, [Reward(name="score", value=1.0)])
    assert extra(row)["reward"] == {"score": 1.0, "pred": "2"}


def test_samples_of_one_split_rollout_do_not_share_an_id() -> None:
    row = read(saved(rollout_id=9))
    assert (row.sample_index, row.trajectory_id) == (None, digest("dump/3.pt", 5, 0))
    assert row.group_id == read(saved()).group_id
    assert (extra(row)["index"], extra(row)["rollout_id"]) == (9, 9)


def test_an_evaluation_has_no_groups_but_those_of_its_prompts() -> None:
    row = read(saved(group_index=None))
    assert (row.task_id, row.sample_index) == ("dump/3.pt#5", 9)
    assert read(saved(group_index=None), task_by="prompt").task_id == digest(
        Message(role="user", content="1 + 1?").model_dump()
    )


def test_recognised_by_what_a_sample_holds() -> None:
    assert recognise(saved()) == ("slime", "has a sample with tokens, response, response_length, status")
    assert recognise({"sample": saved()["sample"]}) is None
    assert recognise({"rollout_id": 1, "sample": {"response": "a"}}) is None


@pytest.mark.parametrize(
    ("sample", "reason"),
    [
        ({"tokens": [1, -2]}, "sample.tokens[1] is a number, expected a token id"),
        ({"response_length": 9}, "sample.response_length is a number, expected a number of tokens up to 7"),
        ({"response": None}, "sample.response is null, expected a string"),
        ({"prompt": [{"content": "a"}]}, "sample.prompt[0].role is missing"),
        ({"prompt": 3}, "sample.prompt is a number, expected a list"),
    ],
)
def test_rejected_records_name_the_place(sample: dict[str, Any], reason: str) -> None:
    with pytest.raises(RejectedRecordError) as error:
        read(saved(**sample))
    assert str(error.value) == reason


@settings(deadline=None)
@given(broken([saved(), saved(prompt=[{"role": "user", "content": "a"}], response="b", loss_mask=None)]))
def test_a_broken_record_is_read_or_rejected(damaged: dict[str, Any]) -> None:
    outcome(Slime(), damaged, context())
