"""`purify import`: foreign records in, trajectories out. Every record becomes rows or a rejected record with a reason.

purify import dump.jsonl -o rollouts/
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
from purify.importing.json_records import HALF_PAIR, Read, dump_record
from purify.importing.recognising import Recognised, beside_digests, recognise_files
from purify.importing.records import Segment, Unit, find_files, plan_units, read_segment, unit_identity
from purify.importing.registry import importer_named, recognise
from purify_schemas import RAW_SCHEMA, Trajectory, to_table

BATCH_ROWS = 256
BATCH_BYTES = 16 * 2**20
UNSIZED_BYTES = 2**19
"""What an element of a JSON array or a Parquet row counts as: its bytes are not known any more."""


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
                    put_aside(read, segment.name, read.problem or recognised.why, sink)
            else:
                self._import(segment, importer_named(recognised.format), sink)

    def _import(self, segment: Segment, importer: Importer, sink: ShardSink) -> None:
        batch: list[tuple[Read, list[Trajectory]]] = []
        rows = size = 0
        for read in read_segment(self.root, segment):
            suited = self._suited(importer, read)
            rules = load_rules(self.config.rules or suited.default_rules)
            context = RecordContext(segment.name, read.row, rules, self.config, self.root)
            made = convert(suited, read, context)
            if isinstance(made, str):
                put_aside(read, segment.name, made, sink)
                continue
            sink.counts.update(f"unheeded_{option}" for option in context.unheeded)
            batch.append((read if read.raw is None else replace(read, record=None), made))
            rows += len(made)
            size += len(read.raw) if read.raw is not None else UNSIZED_BYTES
            if rows >= BATCH_ROWS or size >= BATCH_BYTES:
                _append(batch, segment.name, sink)
                batch, rows, size = [], 0, 0
        if batch:
            _append(batch, segment.name, sink)

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
    formats = recognise_files(root, names, config)
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
            digest(*((entry.file, entry.format) for entry in formats), *beside_digests(root, formats)),
            *(unit_identity(root, unit) for unit in units),
        ],
    )
    work = _Import(root, {entry.file: entry for entry in formats}, config)
    run_stage(stage, units, work, Path(out), mode=mode, workers=workers, progress=progress)
    return ImportReport(Dataset.open(out), formats, passed_over)


def convert(importer: Importer, read: Read, context: RecordContext) -> list[Trajectory] | str:
    """The rows of one record, or the reason why there are none."""
    if read.record is None:
        return read.problem or "unreadable"
    try:
        return importer.read(read.record, context) or "holds no trajectory"
    except RejectedRecordError as error:
        return str(error)
    except ValidationError as error:
        return first_problem(error)
    except RecursionError:
        return "nested too deeply"
    except UnicodeEncodeError:
        return HALF_PAIR
    except TypeError as error:
        if "surrogates not allowed" not in str(error):  # orjson's words for it
            raise
        return HALF_PAIR


def _append(batch: Sequence[tuple[Read, list[Trajectory]]], file: str, sink: ShardSink) -> None:
    """Write the rows of these records. Text that JSON inside a record hid shows only here that it is no text."""
    try:
        table = to_table([row for _, rows in batch for row in rows])
    except UnicodeEncodeError:
        if len(batch) == 1:
            put_aside(batch[0][0], file, HALF_PAIR, sink)
            return
        for one in batch:
            _append([one], file, sink)
        return
    for _, rows in batch:
        _count(rows, sink.counts)
    sink.append(table, records=len(batch))


def put_aside(read: Read, file: str, reason: str, sink: ShardSink) -> None:
    raw = read.raw if read.raw is not None or read.record is None else dump_record(read.record)
    # A reason may quote a name out of the record, which need not be text.
    sink.reject(file=file, row=read.row, reason=reason.encode(errors="backslashreplace").decode(), raw=raw)


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
