"""GRPO, DAPO, Dr.GRPO, GSPO and CISPO are TRL's: the same loss and the same gradient on the same batch.

The batch has prompts and answers of different lengths, tool results in the answers, both signs of advantage, and old
log-probs so far off that ratios are clipped. TRL pads it and calls the model; here it is packed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from purify.training.config import LossConfig
from tests.tiny import tiny_model

pytest.importorskip("trl", reason="TRL is the oracle; install it with: pip install trl")
# TRL's own default, which transformers renamed.
pytestmark = pytest.mark.filterwarnings("ignore:`gradient_checkpointing` is deprecated:FutureWarning")

LENGTH = 50
"""TRL's max_completion_length, which Dr.GRPO divides by."""


class Row(NamedTuple):
    prompt: list[int]
    answer: list[int]
    own: list[int]
    advantage: float
    old: list[float]
    reference: list[float]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("trl"), scale=0.1)


@pytest.fixture(scope="module")
def rows(folder: Path) -> list[Row]:
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    random = np.random.default_rng(0)
    found = []
    for prompt, answer, advantage in ((4, 9, 1.2), (2, 14, -0.7), (6, 5, -1.5), (3, 11, 0.4)):
        ids = random.integers(20, 300, prompt + answer)
        own = (random.random(answer) < 0.7).astype(int)
        own[0] = 1
        with torch.no_grad():
            logp = model(input_ids=torch.tensor(ids)[None]).logits[0, :-1].log_softmax(-1)
        now = logp.gather(1, torch.tensor(ids)[1:, None])[prompt - 1 :, 0].numpy()
        found.append(
            Row(
                ids[:prompt].tolist(),
                ids[prompt:].tolist(),
                own.tolist(),
                advantage,
                (now + random.normal(0.05, 0.4, answer)).tolist(),
                (now + random.normal(0, 0.3, answer)).tolist(),
            )
        )
    return found


def of_trl(folder: Path, rows: list[Row], out: Path, **options: Any) -> tuple[float, dict[str, Any]]:
    """The loss and the gradients that TRL's trainer computes."""
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import GRPOConfig, GRPOTrainer

    config = GRPOConfig(
        output_dir=str(out),
        per_device_train_batch_size=len(rows),
        num_generations=2,
        gradient_accumulation_steps=1,
        max_completion_length=LENGTH,
        use_cpu=True,
        bf16=False,
        report_to=[],
        gradient_checkpointing=False,
        **options,
    )
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    trainer = GRPOTrainer(
        model=model,
        reward_funcs=lambda completions, **_: [0.0] * len(completions),
        args=config,
        train_dataset=Dataset.from_dict({"prompt": ["a"] * 8}),
        processing_class=AutoTokenizer.from_pretrained(folder),
    )
    trainer.current_gradient_accumulation_steps = 1
    trainer.model.train()

    def padded(values: list[list[Any]], kind: torch.dtype, *, left: bool = False) -> torch.Tensor:
        width = max(map(len, values))
        return torch.tensor(
            [([0] * (width - len(v)) + v if left else v + [0] * (width - len(v))) for v in values], dtype=kind
        )

    own = padded([row.own for row in rows], torch.int64)
    inputs = {
        "prompt_ids": padded([row.prompt for row in rows], torch.int64, left=True),
        "prompt_mask": padded([[1] * len(row.prompt) for row in rows], torch.int64, left=True),
        "completion_ids": padded([row.answer for row in rows], torch.int64),
        "completion_mask": padded([[1] * len(row.answer) for row in rows], torch.int64),
        "tool_mask": own,
        "advantages": torch.tensor([row.advantage for row in rows]),
        "old_per_token_logps": padded([row.old for row in rows], torch.float32),
        "ref_per_token_logps": padded([row.reference for row in rows], torch.float32),
        "num_items_in_batch": own.sum(),
    }
    loss = trainer._compute_loss(trainer.model, inputs)
    loss.backward()
    return loss.item(), {name: value.grad for name, value in trainer.model.named_parameters()}


def of_ours(folder: Path, rows: list[Row], config: LossConfig, packs: list[list[int]]) -> tuple[float, dict[str, Any]]:
    """The same by our losses, the rows spread over some packs."""
    import torch

    from purify.lm.loading import load_policy
    from purify.lm.packing import pack
    from purify.training.losses.aggregate import Norm
    from purify.training.losses.algorithms import pack_loss
    from purify.training.losses.tokens import Tokens

    policy = load_policy(str(folder), dtype="float32")
    norm = Norm(sum(sum(row.own) for row in rows), len(rows), LENGTH)
    total = 0.0
    for members in packs:
        chosen = [rows[index] for index in members]
        joined = pack([np.array(row.prompt + row.answer) for row in chosen])
        starts = [0, *np.cumsum(joined.lengths)[:-1]]
        at = [
            start + len(row.prompt) + place
            for row, start in zip(chosen, starts, strict=True)
            for place, own in enumerate(row.own)
            if own
        ]

        def kept(name: str, chosen: list[Row] = chosen) -> torch.Tensor:
            values = [v for row in chosen for v, own in zip(getattr(row, name), row.own, strict=True) if own]
            return torch.tensor(values)

        counts = torch.tensor([sum(row.own) for row in chosen])
        tokens = Tokens(
            logprobs=policy(joined, torch.tensor(at)).logprobs,
            old=kept("old"),
            advantages=torch.tensor([row.advantage for row in chosen]).repeat_interleave(counts),
            sequence=torch.arange(len(chosen)).repeat_interleave(counts),
            trajectories=len(chosen),
            reference=kept("reference"),
        )
        loss, _ = pack_loss(tokens, torch.full_like(tokens.old, float("nan")), config, norm)
        loss.backward()
        total += loss.item()
    return total, {name: value.grad for name, value in policy.base.named_parameters()}


CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "grpo": ({"loss_type": "grpo", "epsilon": 0.2, "epsilon_high": 0.2}, {"clip_low": 0.2, "clip_high": 0.2}),
    "grpo with clip-higher, dual clip and a KL": (
        {
            "loss_type": "grpo",
            "epsilon": 0.1,
            "epsilon_high": 0.3,
            "delta": 1.5,
            "beta": 0.05,
            "use_bias_correction_kl": False,
        },
        {"algorithm": "grpo", "clip_low": 0.1, "clip_high": 0.3, "dual_clip": 1.5, "kl_coef": 0.05},
    ),
    "dapo": (
        {"loss_type": "dapo", "epsilon": 0.2, "epsilon_high": 0.28},
        {"clip_low": 0.2, "clip_high": 0.28},
    ),
    "dr_grpo": (
        {"loss_type": "dr_grpo", "epsilon": 0.2, "epsilon_high": 0.2},
        {"clip_low": 0.2, "clip_high": 0.2, "constant_length": LENGTH},
    ),
    "gspo": (
        {"loss_type": "grpo", "importance_sampling_level": "sequence", "epsilon": 0.02, "epsilon_high": 0.03},
        {"clip_low": 0.02, "clip_high": 0.03},
    ),
    "cispo": ({"loss_type": "cispo", "epsilon_high": 1.3}, {"clip_high": 0.3}),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("packs", [[[0, 1, 2, 3]], [[2], [0, 3], [1]]])
def test_loss_and_gradient_are_those_of_trl(
    folder: Path, rows: list[Row], tmp_path: Path, name: str, packs: list[list[int]]
) -> None:
    theirs, ours = CASES[name]
    loss, gradient = of_trl(folder, rows, tmp_path, **({"beta": 0.0} | theirs))
    config = LossConfig.model_validate({"algorithm": name} | ours)
    found, own_gradient = of_ours(folder, rows, config, packs)
    assert found == pytest.approx(loss, abs=1e-5)
    assert gradient.keys() == own_gradient.keys()
    for parameter, value in gradient.items():
        assert (value - own_gradient[parameter]).abs().max() < 1e-5 * max(1.0, float(value.abs().max())), parameter
