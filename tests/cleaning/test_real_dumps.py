"""Every real dump: accounted for, purified, agreeing row by row, restored to the byte, the same with two workers."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest
from pydantic import ValidationError

from purify.cleaning import clean, restore
from purify.datasets import Dataset
from purify.datasets.verify import verify
from purify.errors import PurifyError, RejectedRecordError
from purify.failures import load_rules
from purify.importing import ImportConfig, import_dump
from purify.importing.base import RecordContext
from purify.importing.json_records import dump_record
from purify.importing.records import SUFFIXES, plan_units, read_segment
from purify.importing.registry import IMPORTERS
from purify.saar import SaarConfig, purify_trajectory
from purify_schemas import Trajectory
from tests.support import DUMPS, dump

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
    "adp/agenttuning_os__sample_std.json": 5,
    "adp/codeactinstruct__sample_std.json": 5,
    "adp/nebius_SWE-agent-trajectories__sample_std.json": 5,
    "swe-agent": 4,
    "mini-swe-agent": 2,
    "inspect": 16,
}
# Messages of tools, and no turn of a model.
REJECTED = {"inspect": 1}


def shards(dataset: Dataset) -> list[bytes]:
    return [(dataset.path / shard.path).read_bytes() for shard in dataset.manifest.shards]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_real_dump_from_end_to_end(family: str, tmp_path: Path) -> None:
    source = dump(family)
    raw = import_dump(source, tmp_path / "raw").dataset
    assert (raw.manifest.records_in, raw.manifest.rejected) == (FAMILIES[family], REJECTED.get(family, 0))
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


FILES = sorted(
    path.relative_to(DUMPS).as_posix() for path in DUMPS.rglob("*") if path.suffix in SUFFIXES and path.is_file()
)
RECORDS_A_FILE = 40


@pytest.mark.parametrize("name", FILES)
def test_no_importer_crashes_on_another_familys_file(name: str) -> None:
    """Whatever the format is said to be, a record becomes rows or has a reason, and is not changed."""
    segments = (segment for unit in plan_units(DUMPS, [name]) for segment in unit)
    reads = (read for segment in segments for read in read_segment(DUMPS, segment))
    for read in islice(reads, RECORDS_A_FILE):
        assert read.record is not None
        before = dump_record(read.record)
        for importer in IMPORTERS.values():
            context = RecordContext(name, read.row, load_rules(importer.default_rules))
            try:
                rows = importer.read(read.record, context)
            except (RejectedRecordError, ValidationError) as error:  # what the stage turns into a reason
                assert str(error)
            else:
                assert all(isinstance(row, Trajectory) for row in rows)
        assert dump_record(read.record) == before


@pytest.mark.parametrize("name", IMPORTERS)
def test_the_wrong_format_leaves_rejected_records_or_a_clear_error(name: str, tmp_path: Path) -> None:
    path = dump("mathcoder/gsm8k_debug.jsonl" if name != "tagged" else "nemo-gym/hermes_math.jsonl")
    try:
        manifest = import_dump(path, tmp_path / "raw", ImportConfig(format=name)).dataset.manifest
    except PurifyError as error:
        assert "records could be read" in str(error)
    else:
        assert manifest.rows >= manifest.records_in - manifest.rejected > 0
