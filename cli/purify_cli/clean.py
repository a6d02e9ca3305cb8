"""`purify clean` and its inverse, `purify restore`."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Annotated

import typer

from purify.saar.config import SaarConfig
from purify_cli.options import configured
from purify_cli.writing import (
    Out,
    Overwrite,
    Resume,
    Workers,
    progress_bar,
    say,
    summary,
    warn,
    warn_of_unknown_tools,
    write_mode,
)


@configured(SaarConfig)
def command(
    source: Annotated[Path, typer.Argument(help="A raw dataset.")],
    out: Out,
    config: SaarConfig,
    scored: Annotated[
        Path | None, typer.Option(help="An earlier purification of this dataset, scored; for --min-importance.")
    ] = None,
    workers: Workers = 1,
    overwrite: Overwrite = False,
    resume: Resume = False,
) -> None:
    """Replace failed tool calls by the model's own later corrections (SAAR), keeping all that is removed.

    Example: purify clean rollouts/ -o purified/
    """
    from purify.cleaning import clean

    with progress_bar("clean") as progress:
        dataset = clean(
            source,
            out,
            config,
            scored=scored,
            mode=write_mode(overwrite, resume),
            workers=workers,
            progress=progress,
        )
    counts = dataset.manifest.counts
    say(summary(dataset))
    warn_of_unknown_tools(dataset, config.tool_state)
    made = {name: counts.get(f"edits_{name}", 0) for name in ("shallow", "deep")}
    refused = {name.removeprefix("refused_"): n for name, n in counts.items() if name.startswith("refused_")}
    reasons = ", ".join(f"{name} {n:,}" for name, n in refused.items())
    say(
        f"{counts.get('failed_calls', 0):,} failed calls; edits: {made['shallow']:,} shallow, {made['deep']:,} deep; "
        f"refused: {sum(refused.values()):,}{f' ({reasons})' if reasons else ''}"
    )
    if config.min_importance is not None:
        say(f"importance ratio below {config.min_importance:g}: {counts.get('importance_refused', 0):,} edits refused")
    if unmeasured := counts.get("edits_importance_unknown", 0):
        warn(
            f"{unmeasured:,} edits were made without a measured importance ratio: {scored} was purified with other "
            "options, or scored without --both and without the sampled log-probs"
        )
    if left := counts.get("rows_mixed_in", 0):
        say(f"left raw on purpose (--fraction, --apply-to): {left:,} trajectories")
    if refused.get("gate"):
        say("the gate's reasons: purify inspect --reason gate; see --tool-state and --allow-external")
    if unknown := counts.get("edits_state_unknown", 0):
        warn(
            f"{unknown:,} edit(s) of tools whose state is not declared; if such a tool changes files or a session, "
            "say so with --tool-state NAME=external (or python_kernel, stateless)"
        )
    if not dataset.manifest.rows:
        warn("the dataset has no rows")
    elif not counts.get("failed_calls"):
        warn("no failed call in the dataset, so nothing was changed; see the failure rules (purify import --rules)")
    elif not sum(made.values()) and not refused:
        warn("nothing was edited: every trajectory with a failed call was left raw on purpose")
    elif not sum(made.values()):
        warn("nothing was edited: every failure was refused or never corrected; `purify inspect` shows the reasons")


def restore_command(
    source: Annotated[Path, typer.Argument(help="A purified dataset.")],
    out: Out,
    workers: Workers = 1,
    overwrite: Overwrite = False,
    resume: Resume = False,
) -> None:
    """Undo a purified dataset: give back the raw one, byte for byte.

    Example: purify restore purified/ -o raw-again/
    """
    from purify.cleaning import restore

    with progress_bar("restore") as progress:
        dataset = restore(source, out, mode=write_mode(overwrite, resume), workers=workers, progress=progress)
    say(summary(dataset))
    lineage = dataset.manifest.lineage
    cleaned = [index for index, ancestor in enumerate(lineage) if ancestor.stage == "clean" and index]
    raw = lineage[cleaned[-1] - 1] if cleaned else None
    if raw is not None and raw.digest == dataset.manifest.digest:
        say("identical to the raw dataset it was purified from")
    elif raw is not None and (left := raw.rows - dataset.manifest.rows):
        later = pairwise(lineage[cleaned[-1] - 1 :])
        stage = next((below.stage for above, below in later if below.rows < above.rows), "a later stage")
        by = "publish --drop-contaminated" if stage == "publish" else stage
        warn(
            f"rows are restored, but {left:,} of the {raw.rows:,} raw row(s) are not among them: {by} left them out; "
            "to get all, restore the purified dataset that still has them"
        )
    elif raw is not None:
        warn(
            f"rows are restored, but the bytes differ from the raw dataset's (digest {raw.digest}): "
            "it was written by other library versions or settings"
        )
