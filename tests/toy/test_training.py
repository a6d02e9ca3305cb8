"""A short training run: a model that loads, a loss that falls, the same weights for the same seed."""

from __future__ import annotations

import math
from itertools import islice, repeat
from typing import Any

import pytest

from purify.toy.config import DESIGNS, ToyConfig
from purify.toy.demonstrations import draw_demonstrations
from purify.toy.tokenizer import encode, train_tokenizer
from purify.toy.training import accumulate, learning_rate, new_policy, summed_loss, warm_start

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

DIALOGUES = [each.messages for each in islice(draw_demonstrations(DESIGNS["C"], frozenset(), 0), 100)]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return train_tokenizer(DIALOGUES)


def quiet(step: int, loss: float) -> None: ...


def test_the_policy_is_small(tokenizer: Any) -> None:
    policy = new_policy(tokenizer, 0)
    assert type(policy).__name__ == "Qwen3ForCausalLM"
    assert sum(parameter.numel() for parameter in policy.parameters()) == 869_760


def test_the_loss_falls(tokenizer: Any) -> None:
    batch = [encode(tokenizer, dialogue) for dialogue in DIALOGUES[:4]]
    policy = new_policy(tokenizer, 0)
    config = ToyConfig(steps=20, batch_size=4)
    again = (dialogue for dialogues in repeat(batch) for dialogue in dialogues)
    losses = warm_start(policy, again, config, quiet)
    assert losses[0] == pytest.approx(math.log(640), abs=0.3)
    assert losses[-1] < 3.0


def test_the_loss_is_that_of_the_assistants_tokens(tokenizer: Any) -> None:
    policy = new_policy(tokenizer, 0)
    short, long = sorted((encode(tokenizer, dialogue) for dialogue in DIALOGUES[:2]), key=lambda each: len(each.ids))
    together = summed_loss(policy, [short, long]).item()
    by_hand = 0.0
    for dialogue in (short, long):
        logits = policy(torch.tensor([dialogue.ids])).logits[0].log_softmax(-1)
        by_hand -= sum(
            logits[at - 1, token].item()
            for at, (token, mine) in enumerate(zip(dialogue.ids, dialogue.own, strict=True))
            if mine
        )
    assert together == pytest.approx(by_hand, rel=1e-5)


def test_the_same_seed_gives_the_same_weights(tokenizer: Any) -> None:
    def weights(seed: int) -> Any:
        policy = new_policy(tokenizer, seed)
        stream = (encode(tokenizer, dialogue) for dialogue in DIALOGUES)
        warm_start(policy, stream, ToyConfig(steps=2, batch_size=4, seed=seed), quiet)
        return torch.cat([parameter.flatten() for parameter in policy.parameters()])

    first = weights(0)
    assert torch.equal(first, weights(0))
    assert not torch.equal(first, weights(1))


def test_the_gradient_is_that_of_the_mean_over_the_whole_batch(tokenizer: Any) -> None:
    batch = [encode(tokenizer, dialogue) for dialogue in DIALOGUES[:6]]
    one, other = new_policy(tokenizer, 0), new_policy(tokenizer, 0)
    mean = accumulate(one, batch)
    whole = summed_loss(other, batch) / sum(sum(dialogue.own) for dialogue in batch)
    whole.backward()
    assert mean == pytest.approx(whole.item(), rel=1e-5)
    for mine, theirs in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.allclose(mine.grad, theirs.grad, atol=1e-6)


def test_the_schedule() -> None:
    config = ToyConfig(steps=300, learning_rate=1.0)
    assert [round(learning_rate(step, config), 3) for step in (0, 9, 19, 20, 160, 299)] == [
        0.05,
        0.5,
        1.0,
        1.0,
        0.525,
        0.05,
    ]
