"""Does purifying help? The mean advantage of the trajectories that recovered from a failed call.

With zero-mean advantages, A = (R - mean) / (std + 1e-6) within a group, raw training pushes against failed calls by
-p E[A | first call failed], and purifying adds p r E[A | recovered] to that (p: share of trajectories whose first call
fails, r: share of those that recover). Where recovered trajectories score above their group, purifying gains; where a
failure already costs reward, it takes the penalty away (then: `clean --apply-to winners`).

Recovered: a failed step is directly followed by a successful step of the same tool, or was until an edit joined them.
"""

from __future__ import annotations

import polars as pl

from purify.reporting.columns import failed, steps, stored_calls
from purify.reporting.figures import AdvantageStats, MeanAdvantage


def recovered_rows(frame: pl.DataFrame) -> pl.Series:
    """Row numbers with a failed step and then a successful one of the same tool. Needs `STORED_CALLS` and `ROLES`.

    As in the rule: `infra`, `rejected` and a person's message in between break the pair, and a call that could not
    be parsed pairs with any tool. Unlike there, a run may be of any length.
    """
    calls = stored_calls(frame)
    turn = calls.group_by("row", "step").agg(
        broken=failed().any() & ~pl.col("status").is_in(["infra", "rejected"]).any(),
        succeeded=(pl.col("status") == "ok").all(),
        tool=pl.col("name").filter(failed()).first(),
        tools=pl.col("name"),
    )
    roles = pl.col("observation").struct.field("messages").list.eval(pl.element().struct.field("role"))
    interrupted = steps(frame).filter(roles.list.contains("user")).select("row", "step")
    before = turn.filter("broken").join(interrupted, on=["row", "step"], how="anti")
    after = turn.filter("succeeded").select("row", pl.col("step") - 1, "tools")
    same_tool = pl.col("tool").is_null() | pl.col("tools_right").list.contains(pl.col("tool"))
    return before.join(after, on=["row", "step"]).filter(same_tool)["row"].unique()


def advantages(rows: pl.DataFrame, subsets: dict[str, str]) -> AdvantageStats:
    """Mean advantages of subsets of the trajectories.

    `rows` has `group`, `reward` (null where unknown) and one boolean column a subset; `subsets` names them: column
    to description. The standard deviation is the sample's (n - 1), as in verl and TRL. Groups whose rewards are all
    equal have advantage 0 and count.
    """
    rewarded = rows.filter(pl.col("reward").is_not_null()).with_columns(pl.col("reward").cast(pl.Float64))
    if rewarded.is_empty():
        return AdvantageStats(trajectories=0, missing="no trajectory has a reward")
    shared = rewarded.filter(pl.len().over("group") > 1)
    if shared.is_empty():
        return AdvantageStats(
            trajectories=0, missing="no two trajectories with rewards share a group, so there is no group mean"
        )
    if not shared.select((pl.col("reward").n_unique().over("group") > 1).any()).item():
        return AdvantageStats(
            trajectories=len(shared), missing="within every group all rewards are equal, so every advantage is 0"
        )
    mean, spread = pl.col("reward").mean().over("group"), pl.col("reward").std().over("group")
    scored = shared.with_columns(advantage=(pl.col("reward") - mean) / (spread + 1e-6))
    return AdvantageStats(
        trajectories=len(scored),
        means=[_mean(scored.filter(column)["advantage"], column, text) for column, text in subsets.items()],
    )


def _mean(advantage: pl.Series, subset: str, of: str) -> MeanAdvantage:
    count = len(advantage)
    mean, spread = advantage.mean(), advantage.std()
    return MeanAdvantage(
        subset=subset,
        of=of,
        trajectories=count,
        mean=mean if isinstance(mean, float) else None,
        standard_error=spread / count**0.5 if isinstance(spread, float) else None,
    )
