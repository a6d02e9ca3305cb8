"""Does training on purified shards teach? RFT and GRPO, 30 updates each, measured on held-out tasks with SAAR off.

python -m benchmarks.learning --toy toy --seeds 3        # `purify toy -o toy` first; five minutes a seed on one core

Each seed samples rollouts of tasks of its own, purifies and scores them, and trains from the same checkpoint.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import purify
from purify.evaluating import EvaluateConfig, Metrics, evaluate
from purify.scoring import ScoreConfig, score
from purify.training import TrainConfig, train

TASKS, GROUP = 250, 8
LIMITS: dict[str, Any] = {"max_response_tokens": 1024, "max_turn_tokens": 512}
ARMS: dict[str, dict[str, Any]] = {
    "rft": {"algorithm": "rft", "learning_rate": 3e-4},
    "grpo": {"algorithm": "grpo", "learning_rate": 1e-4},
}
SHOWN = ("tool_error_rate", "correct_without_failed_call", "recovery_rate", "reward")


def one_seed(toy: Path, folder: Path, seed: int) -> Iterator[tuple[str, Metrics]]:
    """(arm, metrics) of the checkpoint before training, and after each arm."""
    model = str(toy / "model")
    lines = (toy / "train.jsonl").read_text().splitlines()[seed * TASKS : (seed + 1) * TASKS]
    (folder / "tasks.jsonl").write_text("\n".join(lines) + "\n")
    options = purify.GenerateConfig(model=model, group_size=GROUP, seed=seed, **LIMITS)
    purify.generate(folder / "tasks.jsonl", folder / "rollouts", options)
    purify.clean(folder / "rollouts", folder / "purified")
    score(folder / "purified", folder / "scored", ScoreConfig(model=model))
    yield "before", measured(model, toy, folder / "before", seed)
    for name, arm in ARMS.items():
        config = TrainConfig(model=model, updates=30, batch_size=128, warmup=3, seed=seed, allow=("unresolved",), **arm)
        train(folder / "scored", folder / name, config)
        yield name, measured(str(folder / name), toy, folder / f"{name}-evaluation", seed)


def measured(model: str, toy: Path, out: Path, seed: int) -> Metrics:
    config = EvaluateConfig(seed=seed, group_size=1, **LIMITS)
    return evaluate(model, toy / "held_out.jsonl", config, out=out).rollouts


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--toy", type=Path, default=Path("toy"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    given = parser.parse_args()
    print("seed arm     accuracy ", *(f"{name.replace('_', ' '):>28}" for name in SHOWN))
    for seed in given.seeds:
        with tempfile.TemporaryDirectory() as scratch:
            for arm, found in one_seed(given.toy, Path(scratch), seed):
                figures = (getattr(found, name).value for name in SHOWN)
                values = " ".join(f"{value:28.3f}" for value in figures)
                print(f"{seed:4} {arm:7} {found.pass_at[1].value:8.3f}  {values}", flush=True)
