"""Peak memory of log-probs over growing vocabularies: the logits are never whole.

python -m benchmarks.train_memory
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys


def memory() -> None:
    """Peak memory of one pass, each vocabulary in a process of its own; the model's own weights are taken off."""
    print("peak memory of a forward and backward pass over 4,096 tokens, above that before it, without the head's own")
    for vocabulary in (8_000, 32_000, 128_000, 256_000):
        shown = subprocess.run(
            [sys.executable, "-m", "benchmarks.train_memory", "--one", str(vocabulary)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        found = json.loads(shown.stdout.splitlines()[-1])
        whole = vocabulary * 4096 * 4 / 2**20
        print(f"  vocabulary {vocabulary:8,}: {found['mib']:5,.0f} MiB; whole logits in float32: {whole:5,.0f} MiB")


def one_memory(vocabulary: int) -> None:
    import resource

    import torch

    from purify.lm.logprobs import Head, token_scores

    torch.manual_seed(0)
    width = 64
    hidden = torch.randn(4096, width, requires_grad=True)
    weight = torch.randn(vocabulary, width, requires_grad=True)
    weight.grad = torch.zeros_like(weight)
    targets = torch.randint(0, vocabulary, (4096,))
    # The gradient of the head is made once whatever the chunks; it and the head are counted before.
    spare = torch.zeros_like(weight)
    spare.fill_(1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    del spare
    token_scores(hidden, Head(weight), targets, entropy=True).logprobs.sum().backward()
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"mib": (after - before) / 1024}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        one_memory(given.one)
    else:
        memory()
