"""Tokens a second of `train` beside TRL on the same model, data and loss, in one run on the CPU.

python -m benchmarks.train

Beside TRL's SFT trainer, with batches at random and of like length, and beside a loop around TRL's own GRPO loss, with
batches of like length. Only tokens of the data count, padding does not.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.drawn import SHAPES, Sequence, draw, new_model, ours, write


def seconds_of_trl_sft(
    folder: Path, sequences: list[Sequence], out: Path, batch: int, at_once: int, sampling: str
) -> float:
    """Seconds that TRL's SFT trainer takes for all sequences once, set-up left out."""
    import torch
    from datasets import Dataset as HuggingFaceDataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    class Clock(TrainerCallback):  # type: ignore[misc]
        began = ended = 0.0

        def on_train_begin(self, *_: Any, **__: Any) -> None:
            self.began = time.perf_counter()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            self.ended = time.perf_counter()

    columns = {
        "input_ids": [sequence.ids.tolist() for sequence in sequences],
        "labels": [np.where(sequence.own, sequence.ids, -100).tolist() for sequence in sequences],
    }
    clock = Clock()
    config = SFTConfig(
        output_dir=str(out),
        per_device_train_batch_size=at_once,
        gradient_accumulation_steps=batch // at_once,
        num_train_epochs=1,
        learning_rate=1e-6,
        lr_scheduler_type="constant",
        optim="adamw_torch_fused",
        max_length=None,
        dataset_kwargs={"skip_prepare_dataset": True},
        train_sampling_strategy=sampling,
        gradient_checkpointing=False,
        bf16=False,
        use_cpu=True,
        report_to=[],
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
    )
    trainer = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa"),
        args=config,
        train_dataset=HuggingFaceDataset.from_dict(columns),
        processing_class=AutoTokenizer.from_pretrained(folder),
        callbacks=[clock],
    )
    trainer.train()
    return clock.ended - clock.began


def seconds_of_trl_grpo(folder: Path, sequences: list[Sequence], out: Path, batch: int, at_once: int) -> float:
    """Seconds for all sequences once by TRL's GRPO loss: its padded batch, its `_compute_loss`, the same optimizer."""
    import torch
    from datasets import Dataset as HuggingFaceDataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import GRPOConfig, GRPOTrainer

    config = GRPOConfig(
        output_dir=str(out), per_device_train_batch_size=at_once, num_generations=at_once, loss_type="grpo", beta=0.0,
        use_cpu=True, bf16=False, report_to=[], gradient_checkpointing=False, disable_tqdm=True,
    )  # fmt: skip
    trainer = GRPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa"),
        reward_funcs=lambda completions, **_: [0.0] * len(completions),
        args=config,
        train_dataset=HuggingFaceDataset.from_dict({"prompt": ["t3"] * at_once}),
        processing_class=AutoTokenizer.from_pretrained(folder),
    )
    trainer.current_gradient_accumulation_steps = batch // at_once
    model = trainer.model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6, fused=True)
    began = time.perf_counter()
    for start in range(0, len(sequences), batch):
        # Of like length together, as packs have it: less padding.
        members = sorted(sequences[start : start + batch], key=lambda sequence: len(sequence.ids))
        for first in range(0, len(members), at_once):
            trainer._compute_loss(model, _grpo_inputs(members[first : first + at_once])).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    return time.perf_counter() - began


def _grpo_inputs(sequences: list[Sequence]) -> dict[str, Any]:
    import torch
    from torch.nn.utils.rnn import pad_sequence

    heads = [int(np.argmax(sequence.own)) for sequence in sequences]
    prompts = [torch.from_numpy(s.ids[:head]).long() for s, head in zip(sequences, heads, strict=True)]
    answers = [torch.from_numpy(s.ids[head:]).long() for s, head in zip(sequences, heads, strict=True)]
    own = [torch.from_numpy(s.own[head:]).long() for s, head in zip(sequences, heads, strict=True)]
    mask = pad_sequence(own, batch_first=True)
    return {
        "prompt_ids": pad_sequence(prompts, batch_first=True, padding_side="left"),
        "prompt_mask": pad_sequence([torch.ones_like(p) for p in prompts], batch_first=True, padding_side="left"),
        "completion_ids": pad_sequence(answers, batch_first=True),
        "completion_mask": pad_sequence([torch.ones_like(a) for a in answers], batch_first=True),
        "tool_mask": mask,
        "advantages": torch.tensor([1.0 if index % 2 else -1.0 for index in range(len(sequences))]),
        "old_per_token_logps": torch.full(mask.shape, -9.0),
        "num_items_in_batch": mask.sum(),
    }


def on_cpu(count: int, repeats: int) -> None:
    warnings.simplefilter("ignore")
    batch, shape = 64, "small"
    with tempfile.TemporaryDirectory() as scratch:
        folder = new_model(Path(scratch) / "model", shape, "float32")
        sequences = draw(count, 350, 2048, SHAPES[shape]["vocab_size"])
        data = write(Path(scratch) / "data", sequences).path
        tokens = sum(len(sequence.ids) for sequence in sequences)
        print(f"{shape} Qwen3, {count} trajectories, {tokens:,} tokens, float32, batches of {batch}")
        number = iter(range(1000))

        def run_ours(algorithm: str) -> float:
            out = Path(scratch) / f"run-{next(number)}"
            options = {"batch_size": batch, "pack_tokens": 4096}
            lines = ours(folder, data, out, algorithm=algorithm, **options)
            return sum(float(line["seconds"]) for line in lines)

        trl = (folder, sequences, Path(scratch) / "trl", batch)
        arms: dict[str, dict[str, Callable[[], float]]] = {
            "sft": {"purify": partial(run_ours, "sft")},
            "grpo": {"purify": partial(run_ours, "grpo")},
        }
        for at_once in (2, 4):
            arms["grpo"][f"TRL, {at_once} at once"] = partial(seconds_of_trl_grpo, *trl, at_once)
            for sampling in ("random", "group_by_length"):
                arms["sft"][f"TRL, {at_once} at once, {sampling}"] = partial(
                    seconds_of_trl_sft, *trl, at_once, sampling
                )
        for loss, ways in arms.items():
            taken: dict[str, list[float]] = {name: [] for name in ways}
            for _ in range(repeats):
                for name, way in ways.items():
                    taken[name].append(way())
            rates = {name: tokens / statistics.median(seconds) for name, seconds in taken.items()}
            best = max(rate for name, rate in rates.items() if name != "purify")
            for name, rate in rates.items():
                print(f"  {loss:5} {name:40} {rate:10,.0f} tokens/s")
            print(f"  {loss:5} purify beside the best of them: {rates['purify'] / best:.2f} x")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trajectories", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    on_cpu(given.trajectories, given.repeats)
