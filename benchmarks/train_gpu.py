"""`train` on one CUDA device: 8k packs in bfloat16, with tokens a second, MFU and peak memory, beside a padded loop.

python -m benchmarks.train_gpu Qwen3-0.6B
python -m benchmarks.train_gpu Qwen3-4B

Random weights of these shapes. MFU is as in `purify/training/flops.py`: tokens of the data alone count, no padding, and
nothing that is computed twice.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

from benchmarks.drawn import SHAPES, Sequence, draw, new_model, ours, write


def on_gpu(shape: str, count: int) -> None:
    """8k packs in bfloat16, activations recomputed where the shape needs it, beside a padded Hugging Face loop."""
    import torch

    warnings.simplefilter("ignore")
    if not torch.cuda.is_available():
        sys.exit("no CUDA device: nothing measured")
    print(torch.cuda.get_device_name(), "torch", torch.__version__, shape)
    with tempfile.TemporaryDirectory() as scratch:
        folder = new_model(Path(scratch) / "model", shape, "bfloat16")
        sequences = draw(count, 2000, 8192, SHAPES[shape]["vocab_size"])
        data = write(Path(scratch) / "data", sequences).path
        for options in ({"activation_checkpointing": False}, {"activation_checkpointing": True}):
            for compiled in (False, True):
                torch.cuda.reset_peak_memory_stats()
                try:
                    lines = ours(
                        folder, data, Path(scratch) / f"run-{options}-{compiled}", algorithm="grpo", batch_size=64,
                        pack_tokens=8192, dtype="bfloat16", param_dtype="bfloat16", keep_zero_variance=True,
                        compile=compiled, **options,
                    )[1:]  # fmt: skip
                except Exception as error:
                    print(f"  {options} compiled {compiled}: {str(error)[:200]}")
                    continue
                rate, mfu = (statistics.median(line[name] for line in lines) for name in ("tokens_per_s", "mfu"))
                peak = torch.cuda.max_memory_allocated() / 2**30
                print(
                    f"  purify {options} compiled {compiled}: {rate:,.0f} tokens/s, MFU {mfu:.3f}, peak {peak:.1f} GiB"
                )
        for at_once in (1, 2, 4):
            try:
                print(f"  padded, {at_once} at once: {padded_rate(folder, sequences, at_once):,.0f} tokens/s")
            except torch.OutOfMemoryError:
                print(f"  padded, {at_once} at once: out of memory")


def padded_rate(folder: Path, sequences: list[Sequence], at_once: int) -> float:
    """Tokens a second of the usual loop: padded batches, `model(...)` with whole logits, cross-entropy, AdamW."""
    import torch
    from torch.nn.utils.rnn import pad_sequence
    from transformers import AutoModelForCausalLM

    model = (
        AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16, attn_implementation="sdpa").cuda().train()
    )
    model.gradient_checkpointing_enable()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6, fused=True)
    chosen, began = sequences[: 16 * at_once], 0.0
    for number, start in enumerate(range(0, len(chosen), at_once)):
        if number == 2:  # the first ones warm up
            torch.cuda.synchronize()
            began = time.perf_counter()
        members = chosen[start : start + at_once]
        ids = pad_sequence([torch.from_numpy(s.ids).long() for s in members], batch_first=True).cuda()
        labels = [torch.from_numpy(np.where(s.own, s.ids, -100)).long() for s in members]
        mask = pad_sequence([torch.ones(len(s.ids), dtype=torch.long) for s in members], batch_first=True).cuda()
        targets = pad_sequence(labels, batch_first=True, padding_value=-100).cuda()
        model(input_ids=ids, attention_mask=mask, labels=targets).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    torch.cuda.synchronize()
    return sum(len(s.ids) for s in chosen[2 * at_once :]) / (time.perf_counter() - began)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shape", choices=[name for name in SHAPES if name != "small"])
    parser.add_argument("--trajectories", type=int, default=256)
    given = parser.parse_args()
    on_gpu(given.shape, given.trajectories)
