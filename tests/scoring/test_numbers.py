"""Scores are the numbers that a plain forward pass gives, and ratios are sums that a hand can make."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from purify.cleaning import clean
from purify.datasets import Dataset
from purify.engines.loading import revision_of
from purify.generating import GenerateConfig, generate
from purify.saar import SaarConfig
from purify.saar.rows import restore_trajectory
from purify.scoring import ScoreConfig, score
from purify_schemas import PURIFIED_SCHEMA, Trajectory, to_table
from tests.engines.reference import ROUNDING
from tests.scoring.rollouts import places, reference, rollouts, sampled, update, without_ids
from tests.support import write_dataset
from tests.tiny import tiny_model

RATIO = pytest.approx


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("tiny"), max_length=512)


def by_id(dataset: Dataset) -> dict[str, Trajectory]:
    return {row.trajectory_id: row for row in dataset}


@pytest.mark.parametrize(("sampled_at", "scored_at"), [(1.0, 1.0), (0.7, 0.7), (0.0, 1.0), (None, 1.0)])
def test_scores_are_those_of_the_plain_model(
    model: Path, tmp_path: Path, sampled_at: float | None, scored_at: float
) -> None:
    """At the temperature of the sampling; greedy and unknown count as 1."""
    write_dataset(tmp_path / "raw", rollouts(model, sampled_at), shards=2)
    config = ScoreConfig(model=str(model), entropy=True, self_certainty=True)
    scored = score(tmp_path / "raw", tmp_path / "scored", config)
    assert (scored.manifest.kind, scored.scored, scored.manifest.rows) == ("raw", True, 3)
    for before, row in zip(Dataset.open(tmp_path / "raw"), scored, strict=True):
        assert row.model_copy(update={"scores": None}) == before
        assert row.scores is not None and row.scores.problem is None and not row.scores.rendered
        expected = reference(model, row, scored_at)
        assert row.scores.temperature == scored_at
        assert row.scores.logprobs == pytest.approx(expected.logprobs, abs=ROUNDING)
        assert row.scores.entropy == pytest.approx(expected.entropy, abs=ROUNDING)
        assert row.scores.self_certainty == pytest.approx(expected.self_certainty, abs=5 * ROUNDING)
        assert row.scores.revision == revision_of(str(model))
        assert row.scores.tokenizer_digest == row.source.tokenizer_digest
    unknown = scored.manifest.counts.get("rows_unknown_temperature", 0)
    assert unknown == (3 if sampled_at is None else 0)


def test_a_temperature_of_ones_own(model: Path, tmp_path: Path) -> None:
    write_dataset(tmp_path / "raw", rollouts(model))
    for row in score(tmp_path / "raw", tmp_path / "scored", ScoreConfig(model=str(model), temperature=1.5)):
        assert row.scores is not None and row.scores.entropy is None
        assert row.scores.logprobs == pytest.approx(reference(model, row, 1.5).logprobs, abs=ROUNDING)


@pytest.mark.parametrize("pack_tokens", [1, 300])
def test_packs_change_nothing(model: Path, tmp_path: Path, pack_tokens: int) -> None:
    write_dataset(tmp_path / "raw", rollouts(model) * 3)
    config = ScoreConfig(model=str(model), pack_tokens=pack_tokens)
    for row in score(tmp_path / "raw", tmp_path / "scored", config):
        assert row.scores is not None
        assert row.scores.logprobs == pytest.approx(reference(model, row).logprobs, abs=ROUNDING)


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_an_unedited_rollout_scores_as_it_was_sampled(model: Path, tmp_path: Path, temperature: float) -> None:
    tasks = tmp_path / "tasks.jsonl"
    tasks.write_text("".join(json.dumps({"prompt": f"What is {n} + {n}?"}) + "\n" for n in range(4)))
    config = GenerateConfig(model=str(model), tool="none", group_size=3, max_turn_tokens=24, temperature=temperature)
    generate(tasks, tmp_path / "raw", config)
    for row in score(tmp_path / "raw", tmp_path / "scored", ScoreConfig(model=str(model))):
        assert row.scores is not None and row.scores.temperature == temperature
        stored = [p for step in row.steps for p in (step.reasoning.logprobs or []) + (step.action.logprobs or [])]
        assert row.scores.logprobs == pytest.approx(stored, abs=ROUNDING)


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_both_contexts_and_the_ratio_between_them(model: Path, tmp_path: Path, temperature: float) -> None:
    write_dataset(tmp_path / "raw", rollouts(model, temperature))
    clean(tmp_path / "raw", tmp_path / "purified")
    rows = by_id(score(tmp_path / "purified", tmp_path / "scored", ScoreConfig(model=str(model), both=True)))
    assert [len(row.steps) for row in rows.values()] == [2, 2, 2]
    for row in rows.values():
        assert row.scores is not None
        stored = reference(model, row, temperature).logprobs
        raw = reference(model, restore_trajectory(row), temperature).logprobs
        assert row.scores.logprobs == pytest.approx(stored, abs=ROUNDING)
        assert row.scores.raw_logprobs == pytest.approx(raw, abs=ROUNDING)

    def edit(id: str, raw_step: int, *sides: str) -> tuple[list[int], int, float]:
        """The graft is step 0 of the purified row and step `raw_step` of the raw one."""
        row, back = rows[id], restore_trajectory(rows[id])
        now = reference(model, row, temperature).logprobs[places(row, 0, *sides)]
        then = reference(model, back, temperature).logprobs[places(back, raw_step, *sides)]
        assert np.abs(now - then).max() > 0.1, "the context makes a difference"
        return list(range(raw_step + 1)), len(now), float(now.sum() - then.sum())

    for id, expected in (("shallow", edit("shallow", 1, "action")), ("deep", edit("deep", 2, "reasoning", "action"))):
        (found,) = rows[id].scores.edits  # type: ignore[union-attr]
        assert (found.raw_steps, found.tokens) == expected[:2]
        assert found.log_ratio == pytest.approx(expected[2], abs=1e-3)
    assert rows["plain"].scores is not None and rows["plain"].scores.edits == []
    assert rows["plain"].scores.raw_logprobs == rows["plain"].scores.logprobs


def ratios(model: Path, folder: Path, rows: list[Trajectory], **options: float) -> dict[str, list[float]]:
    write_dataset(folder / "raw", rows)
    clean(folder / "raw", folder / "purified")
    scored = score(folder / "purified", folder / "scored", ScoreConfig(model=str(model), **options))
    return {row.trajectory_id: [edit.log_ratio for edit in row.scores.edits] for row in scored if row.scores}


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_the_stored_logprobs_stand_in_for_the_raw_context(model: Path, tmp_path: Path, temperature: float) -> None:
    plain = rollouts(model, temperature)
    with_logprobs = [sampled(model, row, temperature) for row in plain]
    stored = ratios(model, tmp_path / "stored", with_logprobs)
    both = ratios(model, tmp_path / "both", plain, both=True)
    assert [len(found) for found in stored.values()] == [1, 1, 0]
    for id, found in both.items():
        assert stored[id] == pytest.approx(found, abs=1e-3)


@pytest.mark.parametrize(
    ("source", "options"),
    [
        ({"revision": "another"}, {}),
        ({"revision": None}, {}),
        ({"temperature": None}, {}),
        ({}, {"temperature": 0.5}),
        ({"sampling": '{"top_p": 0.9, "top_k": 0}'}, {}),
        ({"sampling": '{"top_p": 1.0, "top_k": 5}'}, {}),
        ({"temperature": 0.7, "logprobs_mode": "raw_logprobs"}, {}),
    ],
)
def test_logprobs_of_another_distribution_give_no_ratio(
    model: Path, tmp_path: Path, source: dict[str, str], options: dict[str, float]
) -> None:
    rows = [update(sampled(model, row), **source) for row in rollouts(model)]
    assert ratios(model, tmp_path, rows, **options) == {"shallow": [], "deep": [], "plain": []}
    assert Dataset.open(tmp_path / "scored").manifest.counts.get("edits_scored", 0) == 0


def test_rows_edited_while_generating_have_only_the_stored_logprobs(model: Path, tmp_path: Path) -> None:
    from purify.datasets import Stage, run_stage
    from tests.cleaning.test_clean import WriteOnline

    write_dataset(tmp_path / "raw", [sampled(model, row) for row in rollouts(model)])
    purified = list(clean(tmp_path / "raw", tmp_path / "purified"))
    online = [
        row.model_copy(update={"provenance": row.provenance.model_copy(update={"online": True})})
        for row in purified
        if row.provenance is not None
    ]
    stage = Stage("generate", "purified", PURIFIED_SCHEMA, {}, ["one"], config_digest="c")
    run_stage(stage, [online], WriteOnline(), tmp_path / "online")
    assert to_table(online, PURIFIED_SCHEMA).num_rows == 3
    config = ScoreConfig(model=str(model), both=True)
    rows = by_id(score(tmp_path / "online", tmp_path / "scored", config))
    offline = by_id(score(tmp_path / "purified", tmp_path / "again", config))
    for id, row in rows.items():
        assert row.scores is not None and offline[id].scores is not None
        known = offline[id].scores.edits  # type: ignore[union-attr]
        assert (row.scores.raw_logprobs is None) == (id != "plain")
        assert [edit.log_ratio for edit in row.scores.edits] == pytest.approx(
            [edit.log_ratio for edit in known], abs=1e-3
        )


def test_text_alone_is_rendered_and_scored(model: Path, tmp_path: Path) -> None:
    """Both contexts of a purified import; the ids are those that the rollouts had."""
    rows = rollouts(model)
    write_dataset(tmp_path / "raw", [without_ids(row) for row in rows])
    clean(tmp_path / "raw", tmp_path / "purified")
    scored = score(tmp_path / "purified", tmp_path / "scored", ScoreConfig(model=str(model), both=True))
    write_dataset(tmp_path / "with-ids", rows)
    clean(tmp_path / "with-ids", tmp_path / "with-ids-purified")
    known = score(tmp_path / "with-ids-purified", tmp_path / "known", ScoreConfig(model=str(model), both=True))
    assert scored.manifest.counts["rows_rendered"] == 3
    for mine, theirs in zip(scored, known, strict=True):
        assert mine.scores is not None and theirs.scores is not None and mine.scores.rendered
        assert [step.action.token_ids for step in mine.steps] == [step.action.token_ids for step in theirs.steps]
        assert mine.scores.logprobs == pytest.approx(theirs.scores.logprobs, abs=ROUNDING)
        assert mine.scores.raw_logprobs == pytest.approx(theirs.scores.raw_logprobs, abs=ROUNDING)
        assert [edit.tokens for edit in mine.scores.edits] == [edit.tokens for edit in theirs.scores.edits]


def test_another_way_of_cleaning_is_another_graft(model: Path, tmp_path: Path) -> None:
    """With gamma 1 every edit is deep: the reasoning is part of what is compared."""
    write_dataset(tmp_path / "raw", rollouts(model))
    clean(tmp_path / "raw", tmp_path / "purified", SaarConfig(gamma=1.0))
    rows = by_id(score(tmp_path / "purified", tmp_path / "scored", ScoreConfig(model=str(model), both=True)))
    row = rows["shallow"]
    assert row.scores is not None
    assert row.scores.edits[0].tokens == len(places(row, 0, "reasoning", "action"))
