"""`purify import`: foreign records in, trajectories out. Every record becomes rows or a rejected record with a reason.

purify import dump.jsonl -o rollouts/
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import orjson
from pydantic import ValidationError

from purify.datasets import Dataset, Progress, ShardSink, Stage, WriteMode, run_stage
from purify.digests import config_digest, digest, file_sha256
from purify.errors import PurifyError, RejectedRecordError, first_problem
from purify.failures import load_rules
from purify.failures.loading import locate, rule_files
from purify.importing.base import Importer, RecordContext
from purify.importing.config import ImportConfig
from purify.importing.json_records import Read, dump_record
from purify.importing.records import Segment, Unit, find_files, plan_units, read_segment, unit_identity
from purify.importing.registry import IMPORTERS, importer_named, recognise
from purify_schemas import RAW_SCHEMA, Trajectory, to_table

BATCH_ROWS = 256
BATCH_BYTES = 16 * 2**20
UNSIZED_BYTES = 2**19
"""What an element of a JSON array or a Parquet row counts as: its bytes are not known any more."""
SAMPLED_RECORDS = 20
"""How many records of a file are looked at to recognise its format."""
UNREADABLE = "no readable record in it"


@dataclass(frozen=True)
class Recognised:
    """What `--format auto` made of one file. Without a format its records are put aside, with `why` as the reason."""

    file: str
    format: str | None
    why: str


@dataclass(frozen=True)
class ImportReport:
    """The dataset, what `--format auto` made of each file, and how many files have no readable suffix."""

    dataset: Dataset
    formats: list[Recognised]
    passed_over: int


@dataclass(frozen=True)
class _Import:
    """What a worker needs besides its unit. Picklable: it crosses to other processes."""

    root: Path
    formats: Mapping[str, Recognised]
    config: ImportConfig

    def __call__(self, unit: Unit, sink: ShardSink) -> None:
        for segment in unit:
            recognised = self.formats[segment.name]
            if recognised.format is None:
                for read in read_segment(self.root, segment):
                    _put_aside(read, segment.name, read.problem or recognised.why, sink)
            else:
                self._import(segment, importer_named(recognised.format), sink)

    def _import(self, segment: Segment, importer: Importer, sink: ShardSink) -> None:
        batch: list[Trajectory] = []
        records = size = 0
        for read in read_segment(self.root, segment):
            suited = self._suited(importer, read)
            rules = load_rules(self.config.rules or suited.default_rules)
            rows = _convert(suited, read, RecordContext(segment.name, read.row, rules, self.config, self.root), sink)
            if rows is None:
                continue
            batch += rows
            records += 1
            size += len(read.raw) if read.raw is not None else UNSIZED_BYTES
            if len(batch) >= BATCH_ROWS or size >= BATCH_BYTES:
                sink.append(to_table(batch), records=records)
                batch, records, size = [], 0, 0
        if records:
            sink.append(to_table(batch), records=records)

    def _suited(self, importer: Importer, read: Read) -> Importer:
        """The file's importer; another one for a record that only that one recognises (plain answers between calls)."""
        if self.config.format != "auto" or self.config.preset or read.record is None or importer.recognise(read.record):
            return importer
        try:
            match = recognise(read.record)
        except PurifyError:  # several claim it: the file's importer says what is wrong with it
            return importer
        return importer if match is None else importer_named(match[0])


def import_dump(
    dump: str | Path,
    out: str | Path,
    config: ImportConfig | None = None,
    *,
    mode: WriteMode = "new",
    workers: int = 1,
    progress: Progress | None = None,
) -> ImportReport:
    """Turn a dump (a file, or a folder of files) into a dataset.

    Raises `PurifyError` if there is nothing to read, a format is unknown or not recognised, or a rule file is wrong;
    and for everything that `run_stage` refuses.
    """
    config = config or ImportConfig()
    if Path(dump).is_dir() and Path(out).resolve().is_relative_to(Path(dump).resolve()):
        raise PurifyError(
            f"{out}: lies inside the dump {dump}, where a later import would read it; choose another place"
        )
    root, names, passed_over = find_files(Path(dump))
    formats = _formats(root, names, config)
    if config.rules:
        load_rules(config.rules)  # a wrong rule file must fail here, not in a worker
    # A file's name and digest stand for it: data and manifests hold no path of a machine.
    files = {key: Path(value).name for key in ("rules", "preset") if (value := getattr(config, key))}
    named = config.model_copy(update=files)
    units = plan_units(root, [entry.file for entry in formats])
    stage = Stage(
        name="import",
        kind="raw",
        schema=RAW_SCHEMA,
        config=named.model_dump(mode="json"),
        config_digest=digest(config_digest(named), *_contents(config)),
        inputs=[
            digest(*((entry.file, entry.format) for entry in formats)),
            *(unit_identity(root, unit) for unit in units),
        ],
    )
    work = _Import(root, {entry.file: entry for entry in formats}, config)
    run_stage(stage, units, work, Path(out), mode=mode, workers=workers, progress=progress)
    return ImportReport(Dataset.open(out), formats, passed_over)


def _formats(root: Path, names: list[str], config: ImportConfig) -> list[Recognised]:
    chosen = "tagged" if config.preset and config.format == "auto" else config.format
    if chosen != "auto":
        importer_named(chosen)
        return [Recognised(name, chosen, "as told") for name in names]
    found = [_recognise_file(root, name) for name in names]
    unknown = [entry for entry in found if entry.format is None and entry.why != UNREADABLE]
    if unknown and not any(entry.format for entry in found):
        raise PurifyError(f"{root / unknown[0].file}: {unknown[0].why}")
    return found


def _recognise_file(root: Path, name: str) -> Recognised:
    """The format of a file by its first records; none where they tell nothing, and its records are put aside then."""
    records = [read.record for read in islice(_reads(root, name), SAMPLED_RECORDS) if read.record is not None]
    for record in records:
        try:
            match = recognise(record)
        except PurifyError as error:
            raise PurifyError(f"{root / name}: {error}") from None
        if match is not None:
            return Recognised(name, *match)
    if not records:
        return Recognised(name, None, UNREADABLE)
    keys = ", ".join(sorted(records[0])[:8])
    known = ", ".join(sorted(IMPORTERS))
    return Recognised(name, None, f"format not recognised (a record has the keys {keys}); known with --format: {known}")


def _reads(root: Path, name: str) -> Iterator[Read]:
    for unit in plan_units(root, [name]):
        for segment in unit:
            yield from read_segment(root, segment)


def _convert(importer: Importer, read: Read, context: RecordContext, sink: ShardSink) -> list[Trajectory] | None:
    """The rows of one record; None after putting it aside with its reason."""
    reason = read.problem
    if read.record is not None:
        try:
            rows = importer.read(read.record, context)
        except RejectedRecordError as error:
            reason = str(error)
        except ValidationError as error:
            reason = first_problem(error)
        except RecursionError:
            reason = "nested too deeply"
        else:
            if rows:
                _count(rows, sink.counts)
                return rows
            reason = "holds no trajectory"
    _put_aside(read, context.file, reason or "unreadable", sink)
    return None


def _put_aside(read: Read, file: str, reason: str, sink: ShardSink) -> None:
    raw = read.raw if read.raw is not None or read.record is None else dump_record(read.record)
    sink.reject(file=file, row=read.row, reason=reason, raw=raw)


def _count(rows: list[Trajectory], counts: Counter[str]) -> None:
    for row in rows:
        counts["steps"] += len(row.steps)
        for step in row.steps:
            for call in step.calls:
                counts["calls"] += 1
                counts[f"calls_{call.status}"] += 1


def _contents(config: ImportConfig) -> list[str]:
    """Digests of the user's YAML files: a changed one is another configuration."""
    files = [file.path for file in rule_files(locate(config.rules))] if config.rules else []
    if config.preset and Path(config.preset).is_file():
        files.append(Path(config.preset))
    return [file_sha256(path) for path in files]


def rejection_reasons(dataset: Dataset) -> Counter[str]:
    """How often each reason stands among the rejected records."""
    reasons: Counter[str] = Counter()
    for file in dataset.manifest.rejected_files:
        with (dataset.path / file.path).open("rb") as lines:
            reasons.update(orjson.loads(line)["reason"] for line in lines)
    return reasons
