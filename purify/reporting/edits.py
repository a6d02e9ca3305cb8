"""Count edits, refusals, gates, similarities and what was taken out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

import polars as pl

from purify.reporting import columns
from purify.reporting.figures import EditStats
from purify_schemas.provenance import Verdict

BINS = 10


def edit_counts(frame: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    """The counts of one row group of a purified dataset, by name."""
    edits = columns.edits(frame)
    yield "edits", edits.group_by("accepted", "granularity", "reason", "threshold").len()
    gates = columns.elements(edits.select("accepted", "gates"), "gates")
    yield "gates", gates.group_by("accepted", "name", "verdict").len()
    # Similarity 1 belongs to the last bin.
    bin_of = (pl.col("similarity") * BINS).floor().clip(upper_bound=BINS - 1).cast(pl.Int64).alias("bin")
    yield "links", columns.elements(edits.select("links"), "links").group_by(bin_of).len()
    yield "removed_parts", written_text(columns.removed_parts(frame))
    yield "mixed_in", frame.select(pl.col("provenance").struct.field("mixed_in").sum().alias("len"))


def written_text(parts: pl.DataFrame) -> pl.DataFrame:
    """One row: turns, ids and characters of all these parts. `tokens` is null where no part has ids."""
    reasoning, action = pl.col("reasoning").struct, pl.col("action").struct
    observed = pl.col("observation").struct
    ids = [reasoning.field("token_ids"), action.field("token_ids"), observed.field("token_ids")]
    tokens = [listed.list.len().cast(pl.Int64) for listed in ids]
    # A source without raw text has the call only as arguments.
    arguments = pl.col("calls").list.eval(pl.element().struct.field("arguments").str.len_chars()).list.sum()
    results = observed.field("messages").list.eval(pl.element().struct.field("content").str.len_chars()).list.sum()
    written = pl.coalesce(action.field("text").str.len_chars(), arguments)
    texts = [reasoning.field("text").str.len_chars(), written, results]
    return parts.select(
        turns=(pl.col("part") != "reasoning").sum().cast(pl.Int64),
        tokens=pl.when(pl.any_horizontal(*(listed.is_not_null().any() for listed in ids))).then(
            pl.sum_horizontal(*(count.sum() for count in tokens))
        ),
        characters=pl.sum_horizontal(*(count.sum().cast(pl.Int64) for count in texts)),
    )


def edit_stats(counts: Mapping[str, pl.DataFrame], rows: pl.DataFrame) -> EditStats:
    """Add up `edit_counts`. `rows` has the flag `edited`."""
    edits, removed = counts["edits"], counts["removed_parts"]
    accepted = dict(columns.counted([edits.filter("accepted")], "granularity").iter_rows())
    gates: dict[str, dict[Verdict, int]] = defaultdict(dict)
    for name, verdict, count in columns.counted([counts["gates"]], "name", "verdict").iter_rows():
        gates[name][verdict] = count
    unknown = counts["gates"].filter("accepted", pl.col("name") == "state", pl.col("verdict") == "unknown")
    bins = dict(columns.counted([counts["links"]], "bin").iter_rows())
    has_ids = removed["tokens"].count() > 0
    return EditStats(
        rows_edited=int(rows["edited"].sum()),
        rows_mixed_in=int(counts["mixed_in"]["len"].sum()),
        accepted={"shallow": accepted.get("shallow", 0), "deep": accepted.get("deep", 0)},
        refused=dict(columns.counted([edits.filter(~pl.col("accepted"))], "reason").iter_rows()),
        gates=dict(gates),
        state_unknown=int(unknown["len"].sum()),
        similarity=[bins.get(index, 0) for index in range(BINS)],
        not_comparable=bins.get(None, 0),
        thresholds=edits["threshold"].drop_nulls().unique().sort().to_list(),
        turns_removed=int(removed["turns"].sum()),
        tokens_removed=int(removed["tokens"].sum()) if has_ids else None,
        characters_removed=int(removed["characters"].sum()),
    )
