"""`purify diff`: what differs between two datasets, or two versions of one.

    purify diff purified/ purified-gamma-0.8/

Rows are matched by trajectory_id (where a source names one sample twice: the first with the first, and so on) and
compared by digests, one for each column, so that memory does not grow with what the rows hold. Provenance counts by its
edits: an unedited row of a purified dataset equals the raw one.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import orjson
from pydantic import BaseModel, ConfigDict, Field

from purify.datasets import Dataset
from purify.reporting.figures import Stats
from purify.reporting.stats import stats
from purify_schemas import Manifest

Relation = Literal["same data", "A is an ancestor of B", "B is an ancestor of A", "common ancestor", "unrelated"]
Change = Literal["appeared", "vanished", "changed"]
_BATCH = 256
_MISSING = "(not an option)"


class _Report(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Figure(_Report):
    name: str
    a: float | int | None
    b: float | int | None


class EditChange(_Report):
    """One run of failures that the two datasets treat differently."""

    trajectory_id: str
    raw_steps: list[int]
    change: Change
    a: str | None = Field(description="shallow, deep or refused: REASON; null where A has no such edit.")
    b: str | None


class Side(_Report):
    path: str
    kind: str
    stage: str
    digest: str
    rows: int


class Diff(_Report):
    """`equal` is about rows and their order alone: options and lineage are told, and do not count."""

    a: Side
    b: Side
    equal: bool
    relation: Relation
    ancestor: str | None = Field(
        description="Data digest of the youngest common ancestor, where that is another dataset."
    )
    options: dict[str, tuple[Any, Any]] = Field(description="Options of the last stage that differ: A's and B's.")
    only_a: list[str] = Field(description="trajectory_id of rows that only A has, in its order.")
    only_b: list[str]
    changed: dict[str, list[str]] = Field(description="trajectory_id to the columns that differ, in A's order.")
    same: int = Field(description="Rows that are equal.")
    reordered: bool = Field(description="Whether rows that both have stand in another order.")
    figures: list[Figure]
    edits: list[EditChange]


class _Key(NamedTuple):
    trajectory_id: str
    occurrence: int
    """How many rows before this one have the same id."""


class _Row(NamedTuple):
    columns: dict[str, bytes]
    edits: dict[tuple[int, ...], str]


def diff(a: str | Path, b: str | Path) -> Diff:
    """Compare two datasets. Raises `PurifyError` if one is none, or damaged: a shard's bytes are not the manifest's."""
    first, second = Dataset.open(a), Dataset.open(b)
    for dataset in (first, second):
        for shard in dataset.manifest.shards:
            dataset.check_shard(shard)
    old, new = _read(first), _read(second)
    common = [key for key in old if key in new]
    changed = {key: columns for key in common if (columns := _differing(old[key], new[key]))}
    only_a = [key.trajectory_id for key in old if key not in new]
    only_b = [key.trajectory_id for key in new if key not in old]
    reordered = common != [key for key in new if key in old]
    relation, ancestor = _relation(first.manifest, second.manifest)
    return Diff(
        a=_side(first),
        b=_side(second),
        equal=not (changed or only_a or only_b or reordered),
        relation=relation,
        ancestor=ancestor,
        options=_options(first.manifest, second.manifest),
        only_a=only_a,
        only_b=only_b,
        changed={_name(key): columns for key, columns in changed.items()},
        same=len(common) - len(changed),
        reordered=reordered,
        figures=list(_figures(stats(a), stats(b))),
        edits=[change for key in changed for change in _edits(key, old[key], new[key])],
    )


def _name(key: _Key) -> str:
    return key.trajectory_id if not key.occurrence else f"{key.trajectory_id} (row {key.occurrence + 1} of that id)"


def _side(dataset: Dataset) -> Side:
    manifest = dataset.manifest
    return Side(
        path=str(dataset.path), kind=manifest.kind, stage=manifest.stage, digest=manifest.digest, rows=manifest.rows
    )


def _read(dataset: Dataset) -> dict[_Key, _Row]:
    """Every row in order: eight bytes a column, and how each of its edits ended."""
    rows: dict[_Key, _Row] = {}
    seen: Counter[str] = Counter()
    for table in dataset.tables():
        for batch in table.to_batches(max_chunksize=_BATCH):
            for row in batch.to_pylist():
                key = _Key(row["trajectory_id"], seen[row["trajectory_id"]])
                seen[key.trajectory_id] += 1
                edits = (row.pop("provenance", None) or {}).get("edits") or []
                columns = {name: _digest(value) for name, value in row.items() if value is not None}
                if edits:
                    columns["provenance"] = _digest([_judged(edit) for edit in edits])
                rows[key] = _Row(columns, {tuple(edit["raw_steps"]): _outcome(edit) for edit in edits})
    return rows


def _digest(value: object) -> bytes:
    return hashlib.blake2b(orjson.dumps(value), digest_size=8).digest()


def _judged(edit: dict[str, Any]) -> dict[str, Any]:
    """An edit without the options it was judged by, which are told once."""
    return {name: value for name, value in edit.items() if name not in ("threshold", "backend")}


def _outcome(edit: dict[str, Any]) -> str:
    """As `Edit.granularity`, or why it was refused."""
    if not edit["accepted"]:
        return f"refused: {edit['reason']}"
    return "shallow" if edit["reasoning_from"] == edit["raw_steps"][0] else "deep"


def _differing(old: _Row, new: _Row) -> list[str]:
    names = [*old.columns, *(name for name in new.columns if name not in old.columns)]
    return [name for name in names if old.columns.get(name) != new.columns.get(name)]


def _edits(key: _Key, old: _Row, new: _Row) -> Iterator[EditChange]:
    for steps in sorted({*old.edits, *new.edits}):
        a, b = old.edits.get(steps), new.edits.get(steps)
        if a != b:
            change: Change = "appeared" if a is None else "vanished" if b is None else "changed"
            yield EditChange(trajectory_id=_name(key), raw_steps=list(steps), change=change, a=a, b=b)


def _relation(a: Manifest, b: Manifest) -> tuple[Relation, str | None]:
    if a.digest == b.digest:
        return "same data", None
    above_a, above_b = [one.digest for one in a.lineage], [one.digest for one in b.lineage]
    if a.digest in above_b:
        return "A is an ancestor of B", None
    if b.digest in above_a:
        return "B is an ancestor of A", None
    shared = next((digest for digest in reversed(above_a) if digest in above_b), None)
    return ("common ancestor", shared) if shared else ("unrelated", None)


def _options(a: Manifest, b: Manifest) -> dict[str, tuple[Any, Any]]:
    """Differing options, where the same stages wrote both; those of two others have nothing to do with each other."""
    (stages_a, one), (stages_b, other) = _written_by(a), _written_by(b)
    if stages_a[0] != stages_b[0]:
        return {}
    names = [*one, *(name for name in other if name not in one)]
    if stages_a != stages_b:  # one is published, the other is not
        names = [name for name in names if name in one and name in other]
    pairs = {name: (one.get(name, _MISSING), other.get(name, _MISSING)) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _written_by(manifest: Manifest) -> tuple[list[str], dict[str, Any]]:
    """The stage that wrote a dataset and its options; of a published copy, those of what was published come first."""
    if manifest.stage != "publish":
        return [manifest.stage], manifest.config
    rest = dict(manifest.config)
    of = rest.pop("of")
    return [of["stage"], "publish"], of["config"] | rest


def _figures(a: Stats, b: Stats) -> Iterator[Figure]:
    """The figures of `purify stats` that tell versions apart; as stored, where before and after differ."""
    for name, one, other in zip(_NAMES, _numbers(a), _numbers(b), strict=True):
        yield Figure(name=name, a=one, b=other)


_NAMES = (
    "trajectories",
    "groups",
    "mean reward",
    "assistant turns",
    "calls",
    "failed calls",
    "failure rate",
    "failure rate as sampled",
    "shallow edits",
    "deep edits",
    "refused edits",
    "turns removed",
    "tokens removed",
)


def _numbers(of: Stats) -> list[float | int | None]:
    stored, edits = of.after or of.before, of.edits
    found = [of.rows, of.groups, of.reward_mean, stored.steps, stored.calls, stored.failed, stored.failure_rate]
    found.append(of.before.failure_rate)
    if edits is None:
        return [*found, *[None] * 5]
    made, refused = edits.accepted, sum(edits.refused.values())
    return [*found, made["shallow"], made["deep"], refused, edits.turns_removed, edits.tokens_removed]
