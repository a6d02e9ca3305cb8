"""Every real dump: accounted for, purified, agreeing row by row, restored to the byte, the same with two workers."""

from __future__ import annotations

from pathlib import Path

import pytest

from purify.cleaning import clean, restore
from purify.datasets import Dataset
from purify.datasets.verify import verify
from purify.errors import PurifyError
from purify.importing import ImportConfig, import_dump
from purify.saar import SaarConfig, purify_trajectory
from tests.support import dump

FAMILIES = {
    "mathcoder": 1020,
    "mint": 191,
    "tora": 230,
    "tau-bench": 80,
    "nemo-gym": 25,
    "sharegpt": 350,
    "adp/agenttuning_os__sample_sft.json": 5,
    "adp/codeactinstruct__sample_sft.json": 5,
    "adp/nebius_SWE-agent-trajectories__sample_sft.json": 5,
}


def shards(dataset: Dataset) -> list[bytes]:
    return [(dataset.path / shard.path).read_bytes() for shard in dataset.manifest.shards]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_real_dump_from_end_to_end(family: str, tmp_path: Path) -> None:
    source = dump(family)
    raw = import_dump(source, tmp_path / "raw").dataset
    assert (raw.manifest.records_in, raw.manifest.rejected) == (FAMILIES[family], 0)
    again = import_dump(source, tmp_path / "again", ImportConfig(), workers=2).dataset
    assert shards(again) == shards(raw)

    purified = clean(tmp_path / "raw", tmp_path / "purified")
    assert shards(clean(tmp_path / "raw", tmp_path / "two", workers=2)) == shards(purified)
    assert shards(restore(tmp_path / "purified", tmp_path / "restored")) == shards(raw)
    assert verify(tmp_path / "raw").findings == []
    assert verify(tmp_path / "purified", tmp_path / "raw").findings == []

    expected = [purify_trajectory(row, parent_digest=raw.manifest.digest)[0] for row in raw]
    assert list(purified) == expected


@pytest.mark.parametrize("family", ["mathcoder", "mint"])
@pytest.mark.parametrize(
    "options",
    [
        {"chain": "cascade", "compare": "call"},
        {"gates": "off", "fraction": 0.5, "seed": 3},
        {"min_similarity": 0.4, "gamma": 0.8, "max_retries": 1, "allow_external": True},
    ],
)
def test_other_options_agree_and_are_undone_too(family: str, options: dict[str, object], tmp_path: Path) -> None:
    source = dump(family)
    config = SaarConfig.model_validate(options)
    raw = import_dump(source, tmp_path / "raw").dataset
    purified = clean(tmp_path / "raw", tmp_path / "purified", config)
    assert shards(restore(tmp_path / "purified", tmp_path / "restored")) == shards(raw)
    assert list(purified) == [purify_trajectory(row, config, parent_digest=raw.manifest.digest)[0] for row in raw]


def test_no_importer_crashes_on_another_familys_file(tmp_path: Path) -> None:
    """The wrong --format gives rejected records with reasons, or a clear error if none is left, never a crash."""
    folder = dump("sharegpt").parent
    files = sorted(path for path in folder.rglob("*") if path.suffix in {".json", ".jsonl", ".traj"})
    for number, path in enumerate(files):
        if path.stat().st_size > 300_000:
            continue
        for name in ("openai", "tagged", "responses", "sharegpt"):
            try:
                manifest = import_dump(path, tmp_path / f"{number}-{name}", ImportConfig(format=name)).dataset.manifest
            except PurifyError as error:
                assert "records could be read" in str(error)
            else:
                assert manifest.rows >= manifest.records_in - manifest.rejected > 0
