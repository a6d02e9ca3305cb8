"""`purify generate`: sample tool-using rollouts from a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from purify.generating.config import GenerateConfig
from purify_cli.options import configured
from purify_cli.writing import Out, Overwrite, Resume, progress_bar, say, summary, warn, write_mode

if TYPE_CHECKING:
    from purify.datasets import Dataset


@configured(GenerateConfig)
def command(
    tasks: Annotated[
        Path, typer.Argument(help="A .jsonl, .json or .parquet file with prompts, answers and verifiers.")
    ],
    out: Out,
    config: GenerateConfig,
    concurrency: Annotated[
        int, typer.Option("--concurrency", "-j", min=1, help="Sequences that the engine decodes at once.")
    ] = 64,
    overwrite: Overwrite = False,
    resume: Resume = False,
) -> None:
    """Let a model solve tasks with tools, and keep every rollout: text, token ids, log-probs, results, rewards.

    Example: purify generate tasks.jsonl -o rollouts/ --engine vllm --model Qwen/Qwen3-4B-Instruct-2507
    """
    from purify.generating import generate

    mode = write_mode(overwrite, resume)
    with progress_bar("generate", units="trajectories", rows="tokens") as progress:
        dataset = generate(tasks, out, config, mode=mode, concurrency=concurrency, progress=progress)
    _print(dataset, config)


def _print(dataset: Dataset, config: GenerateConfig) -> None:
    manifest, counts = dataset.manifest, dataset.manifest.counts
    failed = sum(counts.get(f"calls_{status}", 0) for status in ("error", "timeout", "malformed"))
    say(summary(dataset))
    say(f"{counts.get('steps', 0):,} turns, {counts.get('calls', 0):,} calls, {failed:,} failed; {_endings(counts)}")
    if config.saar:
        say(
            f"rolled back: {counts.get('edits_shallow', 0):,} shallow, {counts.get('edits_deep', 0):,} deep; "
            f"retries exhausted: {counts.get('retries_exhausted', 0):,}; left alone: {counts.get('edits_refused', 0):,}"
        )
    if rewarded := counts.get("rewarded", 0):
        say(f"{counts.get('reward_positive', 0):,} of {rewarded:,} rewarded trajectories have a positive reward")
    if problems := counts.get("reward_problems", 0):
        warn(f"{problems:,} trajectories could not be rewarded; the reason is `reward_problem` in their `extra`")
    elif manifest.rows and not rewarded:
        warn("no trajectory has a reward: no task names an answer and a verifier (see --verifier)")
    if manifest.rejected:
        warn(f"{manifest.rejected:,} task(s) could not be used; they are in {dataset.path}/rejected/ with the reason")
    if _drops_reasoning(dataset):
        warn(
            "the chat template drops earlier thinking when it renders a conversation again; "
            "here every turn was sampled with it in view, as it is stored"
        )
    if infra := counts.get("calls_infra", 0):
        warn(f"{infra:,} call(s) failed in the sandbox itself, not by the model's code; see `purify doctor`")


def _drops_reasoning(dataset: Dataset) -> bool:
    table = next(dataset.tables(["source"]))
    return len(table) > 0 and bool(
        json.loads(table.column("source")[0]["sampling"].as_py())["template_drops_reasoning"]
    )


def _endings(counts: dict[str, int]) -> str:
    ended = {name.removeprefix("finish_"): n for name, n in counts.items() if name.startswith("finish_")}
    return "ended by " + ", ".join(f"{name} {n:,}" for name, n in sorted(ended.items()))
