"""Two datasets compared row by row."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from purify.cleaning import clean
from purify.datasets import Dataset
from purify.errors import PurifyError
from purify.importing import import_dump
from purify.publishing import PublishConfig, publish
from purify.reporting.diff import Diff, EditChange, diff
from purify.saar import SaarConfig
from purify_schemas import Trajectory
from tests.support import call, dump, step, trajectory, write_dataset

ROOT = Path(__file__).parents[2]


def rows(count: int) -> list[Trajectory]:
    """Each fails and corrects itself: the first by a letter, the others by something else altogether."""
    return [
        trajectory(
            step(call("prin(1)" if not number else "import numpy as np", "error")),
            step(call("print(1)")),
            id=f"t{number}",
        )
        for number in range(count)
    ]


def figures(found: Diff) -> dict[str, tuple[float | None, float | None]]:
    return {figure.name: (figure.a, figure.b) for figure in found.figures if figure.a != figure.b}


def test_a_dataset_equals_itself(tmp_path: Path) -> None:
    write_dataset(tmp_path / "a", rows(3))
    write_dataset(tmp_path / "b", rows(3), shards=3)
    found = diff(tmp_path / "a", tmp_path / "a")
    assert found.equal and found.relation == "same data" and found.same == 3
    other = diff(tmp_path / "a", tmp_path / "b")
    assert other.equal and other.relation == "unrelated" and other.figures == found.figures


def test_versions_of_one_dataset(tmp_path: Path) -> None:
    write_dataset(tmp_path / "raw", rows(3))
    clean(tmp_path / "raw", tmp_path / "a")
    clean(tmp_path / "raw", tmp_path / "b", SaarConfig(gamma=0.95, min_similarity=0.4))
    found = diff(tmp_path / "a", tmp_path / "b")
    assert found.options == {"gamma": (0.5, 0.95), "min_similarity": (0.0, 0.4)}
    assert found.relation == "common ancestor" and found.ancestor == Dataset.open(tmp_path / "raw").manifest.digest
    assert found.edits == [
        EditChange(trajectory_id="t0", raw_steps=[0, 1], change="changed", a="shallow", b="deep"),
        EditChange(trajectory_id="t1", raw_steps=[0, 1], change="changed", a="deep", b="refused: not_a_correction"),
        EditChange(trajectory_id="t2", raw_steps=[0, 1], change="changed", a="deep", b="refused: not_a_correction"),
    ]
    assert found.changed["t1"] == ["steps", "provenance"] and found.same == 0 and not found.equal
    assert figures(found) == {
        "assistant turns": (3, 5),
        "calls": (3, 5),
        "failed calls": (0, 2),
        "failure rate": (0.0, 0.4),
        "shallow edits": (1, 0),
        "deep edits": (2, 1),
        "refused edits": (0, 2),
        "turns removed": (3, 1),
    }


def test_raw_and_purified_differ_by_their_edits_alone(tmp_path: Path) -> None:
    untouched = trajectory(step(call("a")), id="clean")
    write_dataset(tmp_path / "raw", [*rows(1), untouched])
    clean(tmp_path / "raw", tmp_path / "a")
    found = diff(tmp_path / "raw", tmp_path / "a")
    assert found.relation == "A is an ancestor of B" and found.options == {}
    assert found.changed == {"t0": ["steps", "provenance"]} and found.same == 1
    assert found.edits == [EditChange(trajectory_id="t0", raw_steps=[0, 1], change="appeared", a=None, b="shallow")]
    back = diff(tmp_path / "a", tmp_path / "raw")
    assert back.relation == "B is an ancestor of A" and back.edits[0].change == "vanished"


def test_an_option_that_changed_nothing_leaves_rows_equal(tmp_path: Path) -> None:
    write_dataset(tmp_path / "raw", rows(2))
    clean(tmp_path / "raw", tmp_path / "a")
    clean(tmp_path / "raw", tmp_path / "b", SaarConfig(gamma=0.51))
    found = diff(tmp_path / "a", tmp_path / "b")
    assert found.equal and found.options == {"gamma": (0.5, 0.51)}


def test_rows_of_one_side_order_and_repeated_ids(tmp_path: Path) -> None:
    one, two, three, other = rows(4)
    write_dataset(tmp_path / "a", [one, two, two, three])
    write_dataset(tmp_path / "b", [three, two, one.model_copy(update={"reward": 1.0}), other])
    found = diff(tmp_path / "a", tmp_path / "b")
    assert (found.only_a, found.only_b, found.changed) == (["t1"], ["t3"], {"t0": ["reward"]})
    assert found.same == 2 and found.reordered and not found.equal
    write_dataset(tmp_path / "c", [three, two, two, one])
    moved = diff(tmp_path / "a", tmp_path / "c")
    assert moved.same == 4 and moved.reordered and not moved.equal
    write_dataset(tmp_path / "d", [one, two, two.model_copy(update={"answer": "x"}), three])
    assert diff(tmp_path / "a", tmp_path / "d").changed == {"t1 (row 2 of that id)": ["answer"]}


def test_null_and_empty_are_different(tmp_path: Path) -> None:
    write_dataset(tmp_path / "a", rows(1))
    write_dataset(tmp_path / "b", [rows(1)[0].model_copy(update={"prompt_token_ids": []})])
    assert diff(tmp_path / "a", tmp_path / "b").changed == {"t0": ["prompt_token_ids"]}


@pytest.mark.parametrize("damage", ["foreign", "changed", "missing"])
def test_shards_must_be_those_of_the_manifest(tmp_path: Path, damage: str) -> None:
    """Another dataset's shard is read without complaint, and gives rows that this dataset never had."""
    for name, found in (("a", rows(2)), ("b", rows(2)), ("other", rows(1))):
        write_dataset(tmp_path / name, found)
    (shard,), (foreign,) = (list((tmp_path / name / "data").iterdir()) for name in ("b", "other"))
    if damage == "foreign":
        shutil.copy(foreign, shard)
    elif damage == "changed":
        shard.write_bytes(shard.read_bytes() + b"\0")
    else:
        shard.unlink()
    for one, other in (("a", "b"), ("b", "a")):
        with pytest.raises(PurifyError, match=f"{shard}: (its bytes changed|missing)"):
            diff(tmp_path / one, tmp_path / other)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.sampled_from("abc"), max_size=5), st.lists(st.sampled_from("abc"), max_size=5))
def test_every_row_is_accounted_for(
    tmp_path_factory: pytest.TempPathFactory, first: list[str], second: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("diff")
    for name, ids in (("a", first), ("b", second)):
        write_dataset(folder / name, [trajectory(step(call("x")), id=id) for id in ids])
    found = diff(folder / "a", folder / "b")
    assert found.same + len(found.only_a) == len(first) and found.same + len(found.only_b) == len(second)
    assert found.equal == (first == second)


def test_two_published_versions_of_a_real_dump(tmp_path: Path) -> None:
    import_dump(dump("mathcoder"), tmp_path / "raw")
    for name, gamma in (("a", 0.5), ("b", 0.8)):
        clean(tmp_path / "raw", tmp_path / name, SaarConfig(gamma=gamma))
        publish(tmp_path / name, tmp_path / f"published-{name}", PublishConfig(license="mit", near_duplicates=0))
    found = diff(tmp_path / "published-a", tmp_path / "published-b")
    assert found.options == {"gamma": (0.5, 0.8)} and found.relation == "common ancestor"
    assert (found.same, len(found.changed), len(found.edits)) == (992, 28, 13)
    assert {(edit.change, edit.a, edit.b) for edit in found.edits} == {("changed", "shallow", "deep")}
    assert diff(tmp_path / "a", tmp_path / "published-a").equal


def test_the_command(tmp_path: Path) -> None:
    write_dataset(tmp_path / "raw", rows(12))
    clean(tmp_path / "raw", tmp_path / "a")
    program = "import typer; from purify_cli import diff; app = typer.Typer(); app.command()(diff.command); app()"

    def run(*arguments: str | Path) -> tuple[int, str]:
        ended = subprocess.run(
            [sys.executable, "-c", program, *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=ROOT,
            env={"PYTHONPATH": f"{ROOT}:{ROOT / 'cli'}:{ROOT / 'schemas'}", "PATH": "/usr/bin:/bin"},
        )
        assert not ended.stderr
        return ended.returncode, ended.stdout

    assert run(tmp_path / "a", tmp_path / "a")[0] == 0
    code, said = run(tmp_path / "raw", tmp_path / "a", "--top", "2")
    assert code == 1
    assert "rows: 0 equal, 12 changed, 0 only in A, 0 only in B\n" in said
    assert "  edit: t1 steps [0, 1]: none -> deep\n  and 10 more (--top, --json)\n" in said
    assert "failure rate: 0.5 -> 0\n" in said
    code, said = run(tmp_path / "raw", tmp_path / "a", "--json")
    assert code == 1 and len(Diff.model_validate_json(said).edits) == 12
