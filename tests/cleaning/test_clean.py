"""`clean` and `restore` as library calls: winners, refusals, and the public API."""

from __future__ import annotations

from pathlib import Path

import pytest

import purify
from purify.datasets import Dataset, ShardSink, Stage, run_stage
from purify.errors import PurifyError
from purify_schemas import PURIFIED_SCHEMA, Trajectory, to_table
from tests.support import call, step, trajectory, write_dataset


def recovered(id: str, group: str, reward: float | None) -> Trajectory:
    return trajectory(step(call("abcd", "error")), step(call("abce")), id=id, group=group, reward=reward)


def edited(dataset: Dataset) -> dict[str, bool]:
    return {row.trajectory_id: len(row.steps) == 1 for row in dataset}


def test_only_winners_are_purified(tmp_path: Path) -> None:
    rows = [
        recovered("win", "a", 1.0),
        recovered("lose", "a", 0.0),
        recovered("tie1", "b", 1.0),
        recovered("tie2", "b", 1.0),
        recovered("alone", "c", 1.0),
        recovered("unrewarded", "a", None),
    ]
    write_dataset(tmp_path / "raw", rows, shards=3)
    config = purify.SaarConfig(apply_to="winners")
    dataset = purify.clean(tmp_path / "raw", tmp_path / "out", config, workers=2)
    assert edited(dataset) == {
        "win": True,
        "lose": False,
        "tie1": False,
        "tie2": False,
        "alone": False,
        "unrewarded": False,
    }
    assert dataset.manifest.counts["rows_mixed_in"] == 5


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([recovered("a", "g", None)], "needs rewards, and no row has one"),
        ([recovered("a", "g", 1.0), recovered("b", "h", 0.0)], "every group has one trajectory"),
    ],
)
def test_winners_without_anything_to_compare_are_an_error(tmp_path: Path, rows: list[Trajectory], message: str) -> None:
    write_dataset(tmp_path / "raw", rows)
    with pytest.raises(PurifyError, match=message):
        purify.clean(tmp_path / "raw", tmp_path / "out", purify.SaarConfig(apply_to="winners"))
    assert not (tmp_path / "out").exists()


def test_fraction_is_a_reproducible_share(tmp_path: Path) -> None:
    write_dataset(tmp_path / "raw", [recovered(f"t{n}", "g", 1.0) for n in range(400)])

    def chosen(name: str, **options: float) -> set[str]:
        config = purify.SaarConfig.model_validate(options)
        return {id for id, done in edited(purify.clean(tmp_path / "raw", tmp_path / name, config)).items() if done}

    seven, again, other = chosen("a", fraction=0.7), chosen("b", fraction=0.7), chosen("c", fraction=0.7, seed=1)
    assert seven == again != other
    assert 240 < len(seven) < 320, "0.7 of 400, give or take four standard deviations"
    assert chosen("d", fraction=0.3) < seven, "a smaller share is part of a larger one"
    assert chosen("e", fraction=0.0) == set()


def test_purified_data_is_not_purified_again_and_raw_data_not_restored(tmp_path: Path) -> None:
    write_dataset(tmp_path / "raw", [recovered("t", "g", 1.0)])
    purify.clean(tmp_path / "raw", tmp_path / "out")
    with pytest.raises(PurifyError, match="is purified already"):
        purify.clean(tmp_path / "out", tmp_path / "twice")
    with pytest.raises(PurifyError, match="nothing to restore"):
        purify.restore(tmp_path / "raw", tmp_path / "back")


class WriteOnline:
    def __call__(self, rows: list[Trajectory], sink: ShardSink) -> None:
        sink.append(to_table(rows, PURIFIED_SCHEMA), records=len(rows))


def test_rows_edited_while_generating_cannot_be_restored(tmp_path: Path) -> None:
    purified, provenance = purify.purify_trajectory(recovered("t", "g", 1.0))
    online = purified.model_copy(update={"provenance": provenance.model_copy(update={"online": True})})
    stage = Stage("generate", "purified", PURIFIED_SCHEMA, {}, ["one"], config_digest="c")
    run_stage(stage, [[online]], WriteOnline(), tmp_path / "online")
    with pytest.raises(PurifyError, match="no raw rollout ever existed"):
        purify.restore(tmp_path / "online", tmp_path / "back")


def test_the_public_names_are_there() -> None:
    for name in purify.__all__:
        assert callable(getattr(purify, name))
    with pytest.raises(AttributeError, match="no attribute 'polish'"):
        _ = purify.polish


def test_a_missing_extra_is_one_clear_line(tmp_path: Path) -> None:
    try:
        import sentence_transformers  # noqa: F401
    except ImportError:
        pass
    else:
        pytest.skip("sentence-transformers is installed here")
    write_dataset(tmp_path / "raw", [recovered("t", "g", 1.0)])
    with pytest.raises(PurifyError, match=r"pip install 'purify-trajectories\[embed\]'"):
        purify.clean(tmp_path / "raw", tmp_path / "out", purify.SaarConfig(similarity="embedding"))
    assert not (tmp_path / "out").exists()
