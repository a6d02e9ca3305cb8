"""`purify score`: log-probs of stored tokens under a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from purify.scoring.config import ScoreConfig
from purify_cli.options import configured
from purify_cli.writing import Out, Overwrite, Resume, progress_bar, say, summary, warn, write_mode

if TYPE_CHECKING:
    from purify.datasets import Dataset

_PROBLEMS = {
    "too_long": "longer than the model's context",
    "not_rendered": "text that cannot be rendered",
    "ids_missing": "some ids missing",
    "outside_vocabulary": "ids outside the vocabulary",
    "no_context": "an empty prompt",
    "not_finite": "log-probs that are no finite numbers",
}


@configured(ScoreConfig)
def command(
    source: Annotated[Path, typer.Argument(help="A raw or purified dataset.")],
    out: Out,
    config: ScoreConfig,
    overwrite: Overwrite = False,
    resume: Resume = False,
) -> None:
    """Score every model token of a dataset under a checkpoint and the stored context.

    Example: purify score purified/ -o scored/ --model checkpoint/ --both
    """
    from purify.scoring import score

    with progress_bar("score", units="trajectories", rows="tokens") as progress:
        dataset = score(source, out, config, mode=write_mode(overwrite, resume), progress=progress)
    say(summary(dataset))
    _print_rows(dataset)
    _print_edits(dataset, config)


def _print_rows(dataset: Dataset) -> None:
    counts = dataset.manifest.counts
    say(f"{counts.get('rows_scored', 0):,} rows scored, {counts.get('tokens_scored', 0):,} model tokens")
    if left := counts.get("rows_not_scored", 0):
        reasons = ", ".join(f"{n:,} {said}" for name, said in _PROBLEMS.items() if (n := counts.get(f"problem_{name}")))
        warn(f"{left:,} rows could not be scored ({reasons}); each says why in `scores.problem`")
    if rendered := counts.get("rows_rendered", 0):
        by_template = counts.get("rendered_by_template", 0)
        say(f"{rendered:,} rows had only text and were rendered; {by_template:,} have turns in the template's words")
    if inexact := counts.get("rendered_inexact", 0):
        warn(f"{inexact:,} rendered rows decode to another text than was rendered: the tokenizer changes what it reads")
    if forgetting := counts.get("rendered_forgetting", 0):
        warn(
            f"{forgetting:,} rendered rows keep the thinking of earlier turns, which the chat template leaves out when "
            "it renders a conversation; their policy may not have seen it"
        )
    if other := counts.get("rows_other_revision", 0):
        say(f"{other:,} rows were sampled by another revision of the policy")
    for name, what in (("tokenizer", "tokenizer"), ("template", "chat template")):
        if drifted := counts.get(f"rows_other_{name}", 0):
            warn(f"{drifted:,} rows were sampled with another {what} than the checkpoint's")
    if unknown := counts.get("rows_unknown_tokenizer", 0):
        warn(f"{unknown:,} rows do not say which tokenizer made their token ids; they were taken as they are")
    if unknown := counts.get("rows_unknown_temperature", 0):
        warn(f"{unknown:,} rows do not say at which temperature they were sampled; scored at 1 (see --temperature)")


def _print_edits(dataset: Dataset, config: ScoreConfig) -> None:
    counts = dataset.manifest.counts
    if not dataset.purified:
        if config.both:
            say("--both: the dataset is raw, so there is only one context to score")
        return
    from purify.scoring.summary import LOW, ratios

    found = ratios(dataset)
    if found.mean_log_ratio is not None:
        say(
            f"importance ratios of {found.edits:,} edits: mean log-ratio {found.mean_log_ratio:.3f}, "
            f"median ratio {found.median_ratio:.3g}, below {LOW}: {found.share_low:.1%}"
        )
    if missing := counts.get("edits", 0) - found.edits:
        why = (
            "the row, or its raw trajectory, could not be scored"
            if config.both
            else "how likely they were as sampled is not known; add --both, which scores the raw trajectories too"
        )
        warn(f"{missing:,} edits have no importance ratio: {why}")
    if left := counts.get("raw_not_scored", 0):
        warn(f"{left:,} raw trajectories could not be scored (longer than the context, or not to be rendered)")
