"""The importance gate: decisions by hand, in both forms of the pass, and over a scored dataset."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from purify.cleaning import clean, restore
from purify.datasets import Dataset
from purify.errors import PurifyError
from purify.saar import SaarConfig, purify_trajectory
from purify.saar.batch import purify_table
from purify.saar.gates import EditKey, Importance, importance_gate
from purify.saar.similarity import Difflib
from purify.scoring import ScoreConfig, score
from purify_schemas import GateResult, Trajectory, from_table, to_table
from tests.scoring.rollouts import rollouts
from tests.support import call, step, trajectory, write_dataset
from tests.tiny import tiny_model

HALF = SaarConfig(min_importance=0.5)
SHALLOW = EditKey((0, 1), 0)


def failing() -> Trajectory:
    """Two edits that are shallow: [0, 1] and [2, 3, 4]."""
    return trajectory(
        step(call("abcd", "error")),
        step(call("abce")),
        step(call("efgh", "error")),
        step(call("efgi", "error")),
        step(call("efgj")),
    )


@pytest.mark.parametrize(
    ("log_ratios", "expected"),
    [
        ({SHALLOW: math.log(0.5)}, ("pass", "importance ratio 0.5")),
        ({SHALLOW: math.log(0.49)}, ("refuse", "importance ratio 0.49 is below 0.5")),
        ({SHALLOW: 1000.0}, ("pass", "importance ratio 1.01e+304")),
        ({SHALLOW: -1000.0}, ("refuse", "importance ratio 0 is below 0.5")),
        ({}, ("unknown", "no ratio of this edit was measured")),
        ({EditKey((0, 1), 1): 0.0}, ("unknown", "no ratio of this edit was measured")),
        ({EditKey((0, 1, 2), 0): 0.0}, ("unknown", "no ratio of this edit was measured")),
    ],
)
def test_verdicts(log_ratios: dict[EditKey, float], expected: tuple[str, str]) -> None:
    result = importance_gate(SHALLOW, Importance(0.5, log_ratios))
    assert (result.name, result.verdict, result.detail) == ("importance", *expected)


def test_one_edit_is_refused_and_the_other_stands() -> None:
    log_ratios = {EditKey((0, 1), 0): math.log(0.2), EditKey((2, 3, 4), 2): math.log(0.8)}
    purified, provenance = purify_trajectory(failing(), HALF, log_ratios=log_ratios)
    refused, made = provenance.edits
    assert (refused.accepted, refused.reason, refused.detail) == (False, "gate", "importance ratio 0.2 is below 0.5")
    assert (made.accepted, made.reason) == (True, None)
    passed = GateResult(name="state", verdict="pass")
    assert made.gates == [passed, GateResult(name="importance", verdict="pass", detail="importance ratio 0.8")]
    assert len(purified.steps) == 3


def test_without_a_ratio_the_edit_is_made() -> None:
    _, provenance = purify_trajectory(failing(), HALF, log_ratios={})
    assert [(edit.accepted, edit.gates[-1].verdict) for edit in provenance.edits] == [(True, "unknown")] * 2


def test_a_refused_state_stays_the_reason() -> None:
    row = failing().model_copy(update={"tool_state": trajectory(states={"python": "external"}).tool_state})
    _, provenance = purify_trajectory(row, HALF, log_ratios={SHALLOW: -5.0})
    assert provenance.edits[0].detail == "python changes external state"
    assert [gate.verdict for gate in provenance.edits[0].gates] == ["refuse", "refuse"]


def test_ratios_are_needed() -> None:
    with pytest.raises(ValueError, match="min_importance needs the edits' measured log-ratios"):
        purify_trajectory(failing(), HALF)


def test_rows_and_columns_agree() -> None:
    other = failing().model_copy(update={"trajectory_id": "t1"})
    log_ratios: list[dict[EditKey, float]] = [{SHALLOW: -3.0, EditKey((2, 3, 4), 2): 0.1}, {}]
    table, counts = purify_table(
        to_table([failing(), other]), HALF, Difflib(), parent_digest=None, log_ratios=log_ratios
    )
    expected = [
        purify_trajectory(row, HALF, log_ratios=known)[0]
        for row, known in zip((failing(), other), log_ratios, strict=True)
    ]
    assert list(from_table(table)) == expected
    assert counts["edits_shallow"] == 3
    assert (counts["refused_gate"], counts["importance_refused"], counts["edits_importance_unknown"]) == (1, 1, 2)
    assert counts["edits_state_unknown"] == 0


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("tiny"), max_length=512)


@pytest.fixture(scope="module")
def chain(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """raw, purified and scored datasets of two shards."""
    folder = tmp_path_factory.mktemp("chain")
    rows = [
        row.model_copy(update={"trajectory_id": f"{row.trajectory_id}{n}"}) for n in range(2) for row in rollouts(model)
    ]
    write_dataset(folder / "raw", rows, shards=2)
    clean(folder / "raw", folder / "purified")
    score(folder / "purified", folder / "scored", ScoreConfig(model=str(model), both=True))
    return folder


def measured(chain: Path) -> dict[str, float]:
    return {
        row.trajectory_id: row.scores.edits[0].log_ratio
        for row in Dataset.open(chain / "scored")
        if row.scores and row.scores.edits
    }


def shards(dataset: Dataset) -> list[bytes]:
    return [(dataset.path / shard.path).read_bytes() for shard in dataset.manifest.shards]


def test_edits_below_the_threshold_are_refused(chain: Path, tmp_path: Path) -> None:
    log_ratios = measured(chain)
    assert len(log_ratios) == 4
    between = math.exp(sum(sorted(log_ratios.values())[1:3]) / 2)
    config = SaarConfig(min_importance=between)
    again = clean(chain / "raw", tmp_path / "again", config, scored=chain / "scored")
    for row in again:
        assert row.provenance is not None
        for edit in row.provenance.edits:
            assert edit.accepted == (log_ratios[row.trajectory_id] >= math.log(between))
    counts = again.manifest.counts
    assert (counts["importance_refused"], counts["refused_gate"], counts["rows_edited"]) == (2, 2, 2)
    assert again.manifest.config["scored"] == Dataset.open(chain / "scored").manifest.digest
    two = clean(chain / "raw", tmp_path / "two", config, scored=chain / "scored", workers=2)
    assert shards(two) == shards(again)
    assert shards(restore(tmp_path / "again", tmp_path / "back")) == shards(Dataset.open(chain / "raw"))


def test_rows_of_one_id_keep_their_own_ratios(model: Path, tmp_path: Path) -> None:
    """Dumps repeat a sample now and then; importing warns, and keeps both."""
    shallow, deep, _ = (row.model_copy(update={"trajectory_id": "same"}) for row in rollouts(model))
    asked_otherwise = shallow.model_copy(update={"prompt_token_ids": (shallow.prompt_token_ids or [])[3:]})
    write_dataset(tmp_path / "raw", [shallow, deep, asked_otherwise])
    clean(tmp_path / "raw", tmp_path / "purified")
    scored = score(tmp_path / "purified", tmp_path / "scored", ScoreConfig(model=str(model), both=True))
    expected = [row.scores.edits[0].log_ratio for row in scored if row.scores]
    again = clean(tmp_path / "raw", tmp_path / "again", HALF, scored=tmp_path / "scored")
    details = [row.provenance.edits[0].gates[-1].detail or "" for row in again if row.provenance]
    ratios = [f"importance ratio {math.exp(value):.3g}" for value in expected]
    assert len(set(ratios)) == 3
    assert [detail.partition(" is")[0] for detail in details] == ratios


def test_edits_made_in_another_way_are_unknown(chain: Path, tmp_path: Path) -> None:
    """With gamma 1 all edits are deep; those that were deep before keep their ratio."""
    config = SaarConfig(gamma=1.0, min_importance=1e300)
    again = clean(chain / "raw", tmp_path / "again", config, scored=chain / "scored")
    counts = again.manifest.counts
    assert (counts["edits_deep"], counts["edits_importance_unknown"], counts["importance_refused"]) == (2, 2, 2)


@pytest.mark.parametrize(
    ("options", "scored", "message"),
    [
        ({"min_importance": 0.5}, None, "--min-importance needs --scored"),
        ({}, "scored", "--scored is read only with --min-importance"),
        ({"min_importance": 0.5}, "purified", "purified: is not scored; run `purify score` on it"),
        ({"min_importance": 0.5}, "raw", "raw: is not purified, so it has no edits"),
        ({"min_importance": 0.5}, "nothing", "nothing: no such directory"),
    ],
)
def test_what_does_not_go_together(
    chain: Path, tmp_path: Path, options: dict[str, Any], scored: str | None, message: str
) -> None:
    with pytest.raises(PurifyError, match=message):
        clean(chain / "raw", tmp_path / "out", SaarConfig(**options), scored=None if scored is None else chain / scored)
    assert not (tmp_path / "out").exists()


def test_scores_of_another_dataset_are_refused(chain: Path, tmp_path: Path) -> None:
    write_dataset(tmp_path / "other", [failing()])
    with pytest.raises(PurifyError, match=r"scored: does not descend from .*other \(digest [0-9a-f]+\)"):
        clean(tmp_path / "other", tmp_path / "out", HALF, scored=chain / "scored")
