"""The loop on a tiny model: what must be equal is equal, to the last bit where nothing else is calculated."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from purify.training.config import TrainConfig
from tests.tiny import tiny_model
from tests.training.support import draw_rows, flat, with_scores, write

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("model"), scale=0.1)


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Path:
    path = tmp_path_factory.mktemp("data") / "scored"
    write(path, with_scores(draw_rows(), model))
    return path


def options(model: Path, **given: Any) -> TrainConfig:
    known = {"batch_size": 8, "pack_tokens": 128, "learning_rate": 1e-3, "warmup": 1, "updates": 4, "save_every": 2}
    return TrainConfig(model=str(model), **(known | given))


def run(source: Path, out: Path, config: TrainConfig, **more: Any) -> Any:
    from purify.training import train

    return train(source, out, config, **more)


def weights(run_folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    from purify.training.checkpoints import latest

    checkpoint = latest(run_folder)
    assert checkpoint is not None
    return dict(load_file(checkpoint / "model.safetensors"))


def assert_close(one: dict[str, Any], other: dict[str, Any], tolerance: float) -> None:
    assert one.keys() == other.keys()
    for name in one:
        assert (one[name] - other[name]).abs().max() <= tolerance, name


def metrics(run_folder: Path) -> list[dict[str, Any]]:
    from purify.training.metrics import read_metrics

    return read_metrics(run_folder)


@pytest.mark.parametrize("algorithm", ["grpo", "dr_grpo", "dapo", "gspo"])
def test_accumulation_equals_one_big_batch(tmp_path: Path, model: Path, scored: Path, algorithm: str) -> None:
    for name, tokens in (("big", 8192), ("small", 64), ("single", 16)):
        run(scored, tmp_path / name, options(model, algorithm=algorithm, pack_tokens=tokens, max_grad_norm=100))
    big = metrics(tmp_path / "big")
    for name in ("small", "single"):
        other = metrics(tmp_path / name)
        for key in ("loss", "grad_norm", "entropy", "approx_kl", "ratio_mean", "effective_sample_size"):
            assert [line[key] for line in other] == pytest.approx([line[key] for line in big], rel=1e-3, abs=1e-5), key
        assert_close(weights(tmp_path / "big"), weights(tmp_path / name), 2e-4)


def test_the_first_update_is_that_of_a_padded_batch(tmp_path: Path, model: Path, scored: Path) -> None:
    """Loss and gradient, written out with the plain model: padding, whole logits, a dense mask."""
    import torch
    from transformers import AutoModelForCausalLM

    from purify.datasets import Dataset

    run(scored, tmp_path / "run", options(model, algorithm="dapo", batch_size=16, updates=1, warmup=0))
    first = metrics(tmp_path / "run")[0]

    rows = list(Dataset.open(scored))
    groups: dict[str, list[float]] = {}
    for row in rows:
        groups.setdefault(row.group_id, []).append(float(row.reward or 0))
    plain = AutoModelForCausalLM.from_pretrained(model, attn_implementation="eager")
    length = max(len(flat(row)[0]) for row in rows)
    ids = torch.zeros(len(rows), length, dtype=torch.int64)
    attention, mask, advantages = torch.zeros_like(ids), torch.zeros(len(rows), length), torch.zeros(len(rows))
    old = torch.zeros(len(rows), length)
    for index, row in enumerate(rows):
        sequence, own = flat(row)
        ids[index, : len(sequence)] = torch.tensor(sequence)
        attention[index, : len(sequence)] = 1
        mask[index, : len(sequence)] = torch.tensor(own).float()
        assert row.scores is not None and row.scores.logprobs is not None
        old[index, [at for at, mine in enumerate(own) if mine]] = torch.tensor(row.scores.logprobs)
        rewards = torch.tensor(groups[row.group_id])
        advantages[index] = (float(row.reward or 0) - rewards.mean()) / (rewards.std() + 1e-6)
    logits = plain(input_ids=ids, attention_mask=attention).logits[:, :-1]
    logprobs = logits.log_softmax(-1).gather(2, ids[:, 1:, None])[..., 0]
    mask, old = mask[:, 1:], old[:, 1:]
    ratio = torch.exp(logprobs - old)
    token_loss = -torch.min(ratio * advantages[:, None], ratio.clamp(0.8, 1.28) * advantages[:, None])
    loss = (token_loss * mask).sum() / mask.sum()
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(plain.parameters(), 1e9)
    assert first["loss"] == pytest.approx(loss.item(), abs=1e-5)
    assert first["grad_norm"] == pytest.approx(norm.item(), rel=1e-5)
    assert first["trained_tokens"] == mask.sum().item()


def test_resumed_equals_uninterrupted_bit_for_bit(tmp_path: Path, model: Path, scored: Path) -> None:
    import torch

    class StopError(Exception):
        pass

    def stop(step: int, total: int, values: Any) -> None:
        if step == 3:
            raise StopError

    config = options(model, updates=6, kl_coef=0.1)
    run(scored, tmp_path / "whole", config)
    with pytest.raises(StopError):
        run(scored, tmp_path / "cut", config, progress=stop)
    assert [line["step"] for line in metrics(tmp_path / "cut")] == [1, 2, 3]
    run(scored, tmp_path / "cut", config, resume=True)
    whole, cut = weights(tmp_path / "whole"), weights(tmp_path / "cut")
    assert all(torch.equal(whole[name], cut[name]) for name in whole)
    clocks = ("seconds", "tokens_per_s")
    first, second = (
        [{key: value for key, value in line.items() if key not in clocks} for line in metrics(tmp_path / name)]
        for name in ("whole", "cut")
    )
    assert first == second


def test_a_lora_resumes_bit_for_bit_and_its_checkpoint_is_a_plain_model(
    tmp_path: Path, model: Path, scored: Path
) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    config = options(model, lora=4, updates=4, learning_rate=1e-2, lora_dropout=0.1)

    class StopError(Exception):
        pass

    def stop(step: int, total: int, values: Any) -> None:
        if step == 3:
            raise StopError

    run(scored, tmp_path / "whole", config)
    with pytest.raises(StopError):
        run(scored, tmp_path / "cut", config, progress=stop)
    run(scored, tmp_path / "cut", config, resume=True)
    whole, cut = weights(tmp_path / "whole"), weights(tmp_path / "cut")
    assert all(torch.equal(whole[name], cut[name]) for name in whole)
    before = AutoModelForCausalLM.from_pretrained(model).state_dict()
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "whole/checkpoints/step-000004").state_dict()
    assert loaded.keys() == before.keys()
    changed = {name for name in before if not torch.equal(before[name], loaded[name])}
    assert changed == {name for name in before if "_proj.weight" in name}


def test_the_folded_lora_scores_as_the_adapter_does(tmp_path: Path, model: Path, scored: Path) -> None:
    import numpy as np
    import torch
    from peft import LoraConfig, PeftModel, get_peft_model
    from transformers import AutoModelForCausalLM

    run(scored, tmp_path / "run", options(model, lora=4, updates=2, learning_rate=1e-2))
    folder = tmp_path / "run/checkpoints/step-000002"
    state = torch.load(folder / "trainer/state.pt", weights_only=True)["adapter"]
    base = AutoModelForCausalLM.from_pretrained(model)
    adapted: PeftModel = get_peft_model(base, LoraConfig.from_pretrained(str(folder / "adapter")))
    missing = adapted.load_state_dict(state, strict=False).unexpected_keys
    assert missing == []
    ids = torch.from_numpy(np.arange(20, 60))[None]
    with torch.no_grad():
        folded = AutoModelForCausalLM.from_pretrained(folder)(input_ids=ids).logits
        torch.testing.assert_close(adapted.eval()(input_ids=ids).logits, folded, atol=1e-4, rtol=1e-4)


def test_half_precision_and_checkpointing_come_close(tmp_path: Path, model: Path, scored: Path) -> None:
    plain = options(model, algorithm="rft", updates=2)
    run(scored, tmp_path / "plain", plain)
    variants: dict[str, dict[str, Any]] = {
        "checkpointing": {"activation_checkpointing": True},
        "bfloat16": {"dtype": "bfloat16"},
        "float16": {"dtype": "float16"},
    }
    for name, given in variants.items():
        run(scored, tmp_path / name, options(model, algorithm="rft", updates=2, **given))
        tolerance = 1e-5 if name == "checkpointing" else 5e-2
        expected = [line["loss"] for line in metrics(tmp_path / "plain")]
        assert [line["loss"] for line in metrics(tmp_path / name)] == pytest.approx(expected, rel=tolerance), name


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # the compiler's own
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_compiled_layers_are_compiled_once(tmp_path: Path, model: Path, scored: Path) -> None:
    """Packs differ in tokens and in sequences; neither may cost another compilation."""
    import torch

    given: dict[str, Any] = {"algorithm": "rft", "pack_tokens": 256, "batch_size": 3}
    run(scored, tmp_path / "plain", options(model, **given))
    with torch._dynamo.config.patch(error_on_recompile=True):
        run(scored, tmp_path / "compiled", options(model, compile=True, **given))
    expected = [line["loss"] for line in metrics(tmp_path / "plain")]
    assert [line["loss"] for line in metrics(tmp_path / "compiled")] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [0.5, 1, 1, 1, 1, 1]),
        ("linear", [0.5, 1, 1, 0.75, 0.5, 0.25]),
        ("cosine", [0.5, 1, 1, 0.853553, 0.5, 0.146447]),
    ],
)
def test_every_update_has_a_learning_rate(schedule: Any, expected: list[float]) -> None:
    from purify.training.config import OptimizerConfig
    from purify.training.stage import rate_after

    config = OptimizerConfig(schedule=schedule, warmup=2)
    assert [rate_after(config, 6, done) for done in range(6)] == pytest.approx(expected, abs=1e-6)
    assert rate_after(OptimizerConfig(), 1, 0) == 0.05  # the usual warm-up, in a run of one update


def test_a_kl_to_the_first_policy_needs_no_second_model(tmp_path: Path, model: Path, scored: Path) -> None:
    """The scores are the reference; naming the same model as one gives the same run, from a pass of its own."""
    run(scored, tmp_path / "scores", options(model, kl_coef=0.5))
    run(scored, tmp_path / "named", options(model, kl_coef=0.5, reference=str(model)))
    for one, other in zip(metrics(tmp_path / "scores"), metrics(tmp_path / "named"), strict=True):
        assert one["loss"] == pytest.approx(other["loss"], abs=1e-5)
        assert one["grad_norm"] == pytest.approx(other["grad_norm"], rel=1e-3)


def test_checkpoints_say_what_the_model_came_in(tmp_path: Path, scored: Path, model: Path) -> None:
    import orjson
    import torch
    from transformers import AutoModelForCausalLM

    half = AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16)
    half.save_pretrained(tmp_path / "half")
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (tmp_path / "half" / name).write_bytes((model / name).read_bytes())
    run(scored, tmp_path / "run", options(tmp_path / "half", algorithm="sft", updates=1))
    folder = tmp_path / "run/checkpoints/step-000001"
    assert orjson.loads((folder / "config.json").read_bytes())["dtype"] == "bfloat16"
    assert weights(tmp_path / "run")["model.norm.weight"].dtype == torch.float32
    assert AutoModelForCausalLM.from_pretrained(folder, dtype="auto").dtype == torch.bfloat16
