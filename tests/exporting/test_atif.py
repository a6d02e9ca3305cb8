"""Format `atif`: valid for the package, back as it was up to its losses, also on every real dump."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from atif import Trajectory as AtifTrajectory
from datasets import load_dataset
from hypothesis import given, settings
from typer.testing import CliRunner

from purify.cleaning import clean
from purify.datasets import Dataset
from purify.exporting import ExportConfig, export
from purify.importing import import_dump
from purify_cli.main import app
from purify_schemas import Call, Message, Provenance, Scores, StaleFrom, Trajectory
from purify_schemas.carried import Carried
from tests.exporting.round_trip import exported, imported, plain, rows, unedited
from tests.support import call, dump, step, trajectory, write_dataset


def example() -> Trajectory:
    turns = (
        step(
            call("1/0", "error", error_type="ZeroDivisionError"),
            think="hm, so:",
            result="boom",
            raw="<call>",
            reasoning_ids=[7, 8],
            action_ids=[9],
            observation_ids=[4],
        ),
        step(think="42", reasoning_ids=[10], human="Thanks.", observation_ids=[11]),
    )
    row = trajectory(*turns, prompt_ids=[5, 6], reward=1.0)
    first = row.steps[0].model_copy(update={"thinking_chars": 3})
    return row.model_copy(update={"steps": [first, row.steps[1]], "tools": '[{"type":"function"}]'})


def single(*values: float) -> list[float]:
    return [Scores(logprobs=[value]).logprobs[0] for value in values]  # type: ignore[index]


def test_the_document() -> None:
    ((document,), tally) = exported("atif", example())
    AtifTrajectory.model_validate(document)
    carried = Carried.of(example(), "atif", document).members()
    assert document == {
        "schema_version": "ATIF-v1.8",
        "trajectory_id": "t0",
        "agent": {"name": "unknown", "version": "unknown", "tool_definitions": [{"type": "function"}]},
        "steps": [
            {"step_id": 1, "source": "user", "message": "What is 6 times 7?"},
            {
                "step_id": 2,
                "source": "agent",
                "message": " so:",
                "reasoning_content": "hm,",
                "tool_calls": [
                    {
                        "tool_call_id": "purify_call_0_0",
                        "function_name": "python",
                        "arguments": {"code": "1/0"},
                        "extra": {"status": "error", "error_type": "ZeroDivisionError"},
                    }
                ],
                "observation": {"results": [{"source_call_id": "purify_call_0_0", "content": "boom"}]},
                "metrics": {
                    "prompt_tokens": 2,
                    "completion_tokens": 3,
                    "prompt_token_ids": [5, 6],
                    "completion_token_ids": [7, 8, 9],
                    "logprobs": single(-0.07, -0.08, -0.09),
                },
                "extra": {"purify": {"action": "<call>", "tokens": [2, 1], "with_logprobs": [True, True]}},
            },
            {
                "step_id": 3,
                "source": "agent",
                "message": "42",
                "metrics": {
                    "prompt_tokens": 6,
                    "completion_tokens": 1,
                    "prompt_token_ids": [5, 6, 7, 8, 9, 4],
                    "completion_token_ids": [10],
                    "logprobs": single(-0.1),
                },
                "extra": {
                    "purify": {"tokens": [1, None], "with_logprobs": [True, False], "observation_token_ids": [11]}
                },
            },
            {"step_id": 4, "source": "user", "message": "Thanks."},
        ],
        "final_metrics": {"total_steps": 4},
        "extra": {"task_id": "g0", "group_id": "g0", "reward": 1.0, "purify": carried},
    }
    assert not tally.lost
    assert imported("atif", [document]) == [example()]


def test_calls_without_an_object_are_text_and_come_back() -> None:
    bad = step(Call(name="f", arguments="{oops", status="malformed"), think="so", raw="<tool_call>{oops")
    row = trajectory(bad, step(call("1"), Call(id="x", name="g", arguments=""), think="then", result="1"))
    ((document,), tally) = exported("atif", row)
    AtifTrajectory.model_validate(document)
    assert document["steps"][1]["message"] == "so<tool_call>{oops" and "tool_calls" not in document["steps"][1]
    assert [made["tool_call_id"] for made in document["steps"][2]["tool_calls"]] == ["purify_call_1_0", "x"]
    assert tally.lost == {"malformed_calls": 1} and imported("atif", [document]) == [row]


@pytest.mark.parametrize("arguments", ['{"a": 123456789012345678901}', r'{"a": "\ud800"}', '{"a": 1e400}', " "])
def test_arguments_come_back_as_they_were_sampled(arguments: str) -> None:
    row = trajectory(step(Call(name="f", arguments=arguments), result="1"))
    (records, tally) = exported("atif", row)
    half = "\\ud800" in arguments
    assert imported("atif", records) == [row] and tally.lost == ({"surrogates": 1} if half else {})


def test_stale_log_probs_are_not_given_as_valid() -> None:
    stale = Provenance(method="saar", config_digest="c", stale_from=StaleFrom(step=0, part="action"))
    ((document,), tally) = exported("atif", example().model_copy(update={"provenance": stale}))
    assert all("logprobs" not in agent["metrics"] for agent in document["steps"] if "metrics" in agent)
    assert document["extra"]["provenance"] == stale.model_dump(mode="json", exclude_defaults=True)
    assert tally.lost == {"logprobs": 1}

    scores = Scores(logprobs=[-1.0, -2.0, -3.0, -4.0])
    ((document,), tally) = exported("atif", example().model_copy(update={"provenance": stale, "scores": scores}))
    told = [agent["metrics"] for agent in document["steps"] if "metrics" in agent]
    assert [metrics["logprobs"] for metrics in told] == [[-1.0, -2.0, -3.0], [-4.0]]
    assert all(metrics["extra"] == {"logprobs_of": "score"} for metrics in told)
    (back,) = imported("atif", [document])
    assert back.steps[0].reasoning.token_ids == [7, 8] and back.steps[0].reasoning.logprobs is None


def test_demonstrations_are_copied_context() -> None:
    row = trajectory(step(think="4"))
    asked = [Message(role="assistant", content="2", tool_calls="[]"), Message(role="tool", content="r", call_id="z")]
    row = row.model_copy(update={"messages": [*asked, *row.messages]})
    ((document,), _) = exported("atif", row)
    AtifTrajectory.model_validate(document)
    assert document["steps"][0]["is_copied_context"] is True and document["steps"][1]["source"] == "system"
    assert imported("atif", [document]) == [row]


def without_losses(row: Trajectory) -> Trajectory:
    """What ATIF loses: all ids if they make no sequence, log-probs that are stale or not there for a whole turn."""
    whole = bool(row.prompt_token_ids)
    for index, turn in enumerate(row.steps):
        back = turn.observation.token_ids is not None or index == len(row.steps) - 1
        whole = whole and back and bool((turn.reasoning.token_ids or []) + (turn.action.token_ids or []))
    stale = row.provenance.stale_from if row.provenance is not None else None
    steps = []
    for index, turn in enumerate(row.steps):
        sides = {"reasoning": turn.reasoning, "action": turn.action}
        known = all(
            side.logprobs is not None
            and not (stale is not None and (index, name == "action") >= (stale.step, stale.part == "action"))
            for name, side in sides.items()
            if side.token_ids
        )
        gone: dict[str, Any] = {"logprobs": None} if whole else {"logprobs": None, "token_ids": None}
        keep = {name: whole and (known or not side.token_ids) for name, side in sides.items()}
        update: dict[str, Any] = {
            name: side if keep[name] else side.model_copy(update=gone) for name, side in sides.items()
        }
        if not whole:
            update["observation"] = turn.observation.model_copy(update={"token_ids": None})
        steps.append(turn.model_copy(update=update))
    return plain(row.model_copy(update={"steps": steps} | ({} if whole else {"prompt_token_ids": None})))


@pytest.mark.parametrize("keys", [("ls\n", "python t.py\n"), ("", "python t.py\n")])
def test_a_screen_that_answers_several_calls_comes_back(keys: tuple[str, str]) -> None:
    screen = "$ ls\nt.py\n$ python t.py\nTraceback (most recent call last):\nNameError: name 'x' is not defined"
    calls = [
        {"tool_call_id": f"c{at}", "function_name": "bash_command", "arguments": {"keystrokes": typed}}
        for at, typed in enumerate(keys)
    ]
    (row,) = imported("atif", [terminal({"tool_calls": calls}, screen)])
    assert [made.status for made in row.steps[0].calls] == ["ok" if keys[0] else "unknown", "error"]
    assert imported("atif", exported("atif", row)[0]) == [row]


def test_a_turn_that_the_agent_could_not_parse_comes_back() -> None:
    (row,) = imported("atif", [terminal({}, "Previous response had parsing errors:\nERROR: No valid JSON found")])
    assert [made.status for made in row.steps[0].calls] == ["malformed"]
    assert imported("atif", exported("atif", row)[0]) == [row]


def terminal(said: dict[str, Any], screen: str) -> dict[str, Any]:
    """A document of Terminus 2 with one turn."""
    answered = {"observation": {"results": [{"content": screen}]}}
    return {
        "schema_version": "ATIF-v1.6",
        "session_id": "s",
        "agent": {"name": "terminus-2", "version": "2.0.0", "model_name": "m"},
        "steps": [
            {"step_id": 1, "source": "user", "message": "Mend t.py."},
            {"step_id": 2, "source": "agent", "message": "I look.", **said, **answered},
        ],
    }


@settings(deadline=None, max_examples=100)
@given(rows())
def test_an_exported_row_is_valid_and_comes_back(row: Trajectory) -> None:
    records, tally = exported("atif", row)
    if not row.steps:
        assert records == [] and tally.skipped == {"no turn of the model": 1}
        return
    AtifTrajectory.model_validate(records[0])
    assert imported("atif", records) == [without_losses(row)]
    assert tally.lost or without_losses(row) == unedited(row), "a loss that is not told"


@pytest.mark.parametrize("name", ["mathcoder", "mint", "tau-bench", "nemo-gym", "sharegpt", "tora"])
def test_real_dumps_come_back(name: str, tmp_path: Path) -> None:
    raw = import_dump(dump(name), tmp_path / "raw").dataset
    clean(tmp_path / "raw", tmp_path / "purified")
    report = export(tmp_path / "purified", tmp_path / "out", ExportConfig(to="atif"))
    assert report.records + sum(report.skipped.values()) == report.rows == len(raw)
    for path in sorted((tmp_path / "out/data").iterdir()):
        for line in path.read_bytes().splitlines():
            AtifTrajectory.model_validate_json(line)
    data = load_dataset(str(tmp_path / "out"), split="train", cache_dir=str(tmp_path / "c"))
    assert len(data) == report.records
    back = import_dump(tmp_path / "out/data", tmp_path / "back").dataset
    expected = [without_losses(row) for row in Dataset.open(tmp_path / "purified") if row.steps]
    assert list(back) == expected


def test_through_the_command_line_and_load_dataset(tmp_path: Path) -> None:
    rows = [example().model_copy(update={"trajectory_id": f"t{number}"}) for number in range(4)]
    write_dataset(tmp_path / "raw", rows, shards=2)
    run = CliRunner().invoke(app, ["export", str(tmp_path / "raw"), "-o", str(tmp_path / "out"), "--to", "atif"])
    assert run.exit_code == 0, run.output
    data = load_dataset(str(tmp_path / "out"), split="train", cache_dir=str(tmp_path / "cache"))
    assert data["trajectory_id"][:] == ["t0", "t1", "t2", "t3"]
    again = export(tmp_path / "raw", tmp_path / "again", ExportConfig(to="atif"), workers=2)
    written = json.loads((tmp_path / "out/export.json").read_text())["files"]
    assert [file.sha256 for file in again.files] == [file["sha256"] for file in written]


def test_a_file_of_a_harbor_run_is_read_beside_others(tmp_path: Path) -> None:
    ((document,), _) = exported("atif", example())
    trial = tmp_path / "job/hello-world__x1/agent"
    trial.mkdir(parents=True)
    (trial / "trajectory.json").write_text(json.dumps(document, indent=2))
    (trial.parent / "result.json").write_text(json.dumps({"task_name": "hello-world", "trial_name": "x1"}, indent=2))
    report = import_dump(tmp_path / "job", tmp_path / "raw")
    assert list(report.dataset) == [example()] and report.dataset.manifest.rejected == 1
