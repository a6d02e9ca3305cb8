"""Packed scoring equals the plain model: values and gradients, whatever the packs, chunks and temperature."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from purify.errors import PurifyError
from tests.tiny import tiny_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("policy"))


@pytest.fixture(scope="module")
def rows() -> list[Any]:
    random = np.random.default_rng(0)
    return [random.integers(5, 300, length) for length in (2, 17, 5, 40)]


def plain(model: Any, rows: list[Any], temperature: float) -> Any:
    """Log-probs and entropies of every token but the first, one sequence at a time, by the model's own forward."""
    import torch

    found, entropies = [], []
    for row in rows:
        ids = torch.tensor(row)[None]
        logp = (model(input_ids=ids).logits[0, :-1] / temperature).log_softmax(-1)
        found.append(logp.gather(1, ids[0, 1:, None])[:, 0])
        entropies.append(-(logp.exp() * logp).sum(-1))
    return torch.cat(found), torch.cat(entropies)


def positions(rows: list[Any]) -> Any:
    import torch

    starts = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    return torch.tensor([at for at in range(starts[-1]) if at not in starts])


@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("chunk_bytes", [1, 4 * 400 * 7, 2**30])
def test_packed_equals_plain_in_value_and_gradient(
    folder: Path, rows: list[Any], temperature: float, chunk_bytes: int
) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    from purify.lm.loading import load_policy
    from purify.lm.packing import pack

    policy = load_policy(str(folder), dtype="float32")
    policy.chunk_bytes = chunk_bytes
    scores = policy(pack(rows), positions(rows), temperature, entropy=True, self_certainty=True)
    model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="sdpa")
    expected, entropy = plain(model, rows, temperature)
    torch.testing.assert_close(scores.logprobs, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(scores.entropy, entropy, atol=1e-5, rtol=1e-5)

    weights = torch.linspace(-1, 2, len(expected))
    (scores.logprobs * weights).sum().backward()
    (expected * weights).sum().backward()
    for (name, ours), theirs in zip(policy.base.named_parameters(), model.parameters(), strict=True):
        assert (ours.grad - theirs.grad).abs().max() <= 1e-5 * theirs.grad.abs().max().clamp(min=1), name


def test_a_temperature_for_each_token(folder: Path, rows: list[Any]) -> None:
    import torch

    from purify.lm.loading import load_policy
    from purify.lm.packing import pack

    policy = load_policy(str(folder), dtype="float32")
    packed, at = pack(rows), positions(rows)
    mixed = torch.where(torch.arange(len(at)) % 2 == 0, 0.5, 1.5)
    with torch.no_grad():
        found = policy(packed, at, mixed).logprobs
        cold, warm = policy(packed, at, 0.5).logprobs, policy(packed, at, 1.5).logprobs
    assert torch.equal(found, torch.where(mixed == 0.5, cold, warm))


def test_self_certainty_is_the_divergence_from_uniform() -> None:
    import math

    import torch

    from purify.lm.logprobs import Head, token_scores

    # Two tokens of probability 0.8 and 0.2: mean log p = (log 0.8 + log 0.2) / 2.
    weight = torch.tensor([[math.log(0.8)], [math.log(0.2)]])
    scores = token_scores(torch.ones(1, 1), Head(weight), torch.tensor([0]), entropy=True, self_certainty=True)
    assert scores.logprobs.item() == pytest.approx(math.log(0.8), abs=1e-6)
    assert scores.entropy is not None and scores.self_certainty is not None
    assert scores.entropy.item() == pytest.approx(-0.8 * math.log(0.8) - 0.2 * math.log(0.2), abs=1e-6)
    assert scores.self_certainty.item() == pytest.approx(-math.log(2) - (math.log(0.8) + math.log(0.2)) / 2, abs=1e-6)


@pytest.mark.parametrize("softcap", [None, 3.0])
@pytest.mark.parametrize("bias", [False, True])
def test_the_chunked_head_has_the_exact_gradient(softcap: float | None, bias: bool) -> None:
    import torch

    from purify.lm.logprobs import Head, token_scores

    torch.manual_seed(0)
    inputs = [
        torch.randn(5, 4, dtype=torch.float64, requires_grad=True),
        torch.randn(7, 4, dtype=torch.float64, requires_grad=True),
        torch.randn(7, dtype=torch.float64, requires_grad=True),
    ]
    targets, temperature = torch.tensor([0, 6, 3, 3, 1]), torch.tensor([1.0, 0.7, 1.3, 1.0, 2.0])
    upstream = torch.tensor([1.0, -2.0, 0.5, 3.0, 0.0])

    def whole(hidden: Any, weight: Any, offset: Any) -> Any:
        z = hidden @ weight.T + (offset if bias else 0)
        if softcap is not None:
            z = softcap * (z / softcap).tanh()
        return (z / temperature[:, None]).log_softmax(-1).gather(1, targets[:, None])[:, 0]

    (whole(*inputs) * upstream).sum().backward()
    expected = [value.grad for value in inputs]
    singles = [value.detach().float().requires_grad_() for value in inputs]
    hidden, weight, offset = singles
    head = Head(weight, offset if bias else None, softcap)
    found = token_scores(hidden, head, targets, temperature, chunk_bytes=2 * 4 * 7).logprobs
    torch.testing.assert_close(found, whole(*inputs).float(), atol=1e-5, rtol=1e-5)
    (found * upstream).sum().backward()
    for ours, theirs in zip(singles[: 3 if bias else 2], expected, strict=False):
        torch.testing.assert_close(ours.grad, theirs.float(), atol=1e-5, rtol=1e-4)


def test_a_model_with_a_sliding_window(tmp_path: Path, rows: list[Any]) -> None:
    import torch
    from transformers import MistralConfig, MistralForCausalLM

    from purify.lm.loading import load_policy
    from purify.lm.packing import pack

    torch.manual_seed(0)
    config = MistralConfig(
        vocab_size=300,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        sliding_window=6,
        initializer_range=0.3,
    )
    model = MistralForCausalLM(config).eval()
    model.save_pretrained(tmp_path)
    policy = load_policy(str(tmp_path), dtype="float32")
    with torch.no_grad():
        found = policy(pack(rows), positions(rows)).logprobs
        model.set_attn_implementation("eager")
        torch.testing.assert_close(found, plain(model, rows, 1.0)[0], atol=1e-5, rtol=1e-5)


def test_under_autocast_attention_is_in_its_precision() -> None:
    """Norms and rotations leave query and key in float32, for which CUDA has no variable-length kernel."""
    import torch

    from purify.lm.attention import alike

    mixed = [torch.ones(1, dtype=kind) for kind in (torch.float32, torch.float32, torch.bfloat16)]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert [value.dtype for value in alike(*mixed)] == [torch.bfloat16] * 3
    assert alike(mixed[0])[0] is mixed[0]


def test_what_is_no_causal_language_model_is_refused(tmp_path: Path) -> None:
    from transformers import BertConfig, BertForMaskedLM

    from purify.lm.loading import load_policy

    config = BertConfig(vocab_size=50, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2)
    BertForMaskedLM(config).save_pretrained(tmp_path)
    with pytest.raises(PurifyError, match="BertForMaskedLM is not a causal language model"):
        load_policy(str(tmp_path))


def test_a_model_whose_packs_differ_is_refused(tmp_path: Path) -> None:
    import torch
    from transformers import CohereConfig, CohereForCausalLM

    from purify.lm.loading import load_policy

    torch.manual_seed(0)
    config = CohereConfig(
        vocab_size=60,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        logit_scale=3.0,  # the model multiplies its logits; the head here does not
        initializer_range=0.3,
    )
    CohereForCausalLM(config).save_pretrained(tmp_path)
    with pytest.raises(PurifyError, match=r"packed, its log-probs are .* nats off"):
        load_policy(str(tmp_path))
