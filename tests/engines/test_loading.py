"""Options to engines: what is wrong with a model is one line, and its name in data is the same everywhere."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from purify.engines.config import EngineConfig
from purify.engines.loading import load_engine, load_tokenizer, portable_name, revision_of
from purify.engines.report import engine_report
from purify.errors import PurifyError


@pytest.fixture
def copy(tiny: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny, tmp_path / "copy"))


def load(model: object, **options: Any) -> None:
    async def run() -> None:
        await (await load_engine(EngineConfig(model=str(model), **options))).close()

    asyncio.run(run())


def refusal(model: object, **options: Any) -> str:
    with pytest.raises(PurifyError) as caught:
        load(model, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def edit_config(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    file = folder / "config.json"
    settings = json.loads(file.read_text())
    change(settings)
    file.write_text(json.dumps(settings))


def test_a_path_to_nothing(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    assert refusal(gone) == f"{gone}: no such folder; give a model's folder or its Hugging Face name"
    assert refusal("./gone").startswith("./gone: no such folder")
    assert refusal("gone/below/here").startswith("gone/below/here: no such folder")
    (tmp_path / "run/checkpoints/step-000010").mkdir(parents=True)
    (tmp_path / "run/checkpoints/step-000005").mkdir()
    told = "is a run of `purify train`, not a model; give its checkpoint, "
    assert refusal(tmp_path / "run") == f"{tmp_path}/run: {told}{tmp_path}/run/checkpoints/step-000010"


def test_a_file_is_no_folder(copy: Path) -> None:
    assert "is a file; give the folder" in refusal(copy / "config.json")


def test_a_folder_without_a_model(tmp_path: Path, copy: Path) -> None:
    assert "the folder has no config.json" in refusal(tmp_path)
    (copy / "model.safetensors").unlink()
    assert r"the folder has no weights (*.safetensors)" in refusal(copy)


def test_a_folder_without_a_tokenizer(copy: Path) -> None:
    (copy / "tokenizer.json").unlink()
    assert "the folder has no tokenizer (tokenizer.json)" in refusal(copy)


def test_a_tokenizer_of_its_own_folder(tiny: Path, copy: Path) -> None:
    (copy / "tokenizer.json").unlink()
    load(copy, tokenizer=str(tiny))


def test_damaged_files(copy: Path) -> None:
    (copy / "model.safetensors").write_bytes(b"no weights")
    assert "the model cannot be loaded" in refusal(copy)
    (copy / "config.json").write_text("{")
    assert refusal(copy).startswith(f"{copy}: ")


def test_a_model_that_does_not_generate(copy: Path) -> None:
    edit_config(copy, lambda settings: settings.update(architectures=["Qwen3ForSequenceClassification"]))
    assert "Qwen3ForSequenceClassification is not a causal language model" in refusal(copy)


def test_a_context_above_the_models(tiny: Path) -> None:
    assert refusal(tiny, max_model_len=4096) == f"{tiny}: --max-model-len 4096 is above the model's 2048"


def test_a_hub_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert refusal("nobody/no-such-model").startswith("nobody/no-such-model: its tokenizer cannot be loaded (")


def test_vllm_where_it_is_missing(tiny: Path) -> None:
    try:
        import vllm  # type: ignore[import-not-found,unused-ignore]  # noqa: F401
    except ImportError:
        assert refusal(tiny, engine="vllm").endswith("pip install 'purify-trajectories[vllm]'")


def test_options_that_nothing_reads() -> None:
    with pytest.raises(ValidationError, match="url is read only with engine server"):
        EngineConfig(model="tiny", url="http://localhost:8000/v1")
    with pytest.raises(ValidationError, match="Extra inputs"):
        EngineConfig(model="tiny", nonsense=1)  # type: ignore[call-arg]


def test_a_sliding_window_is_seen(tiny: Path, copy: Path) -> None:
    """Layers of both kinds, as in Gemma: scores equal those of a plain pass, beyond the window too."""
    import torch

    from tests.engines.reference import ROUNDING, plain_model

    edit_config(
        copy,
        lambda settings: settings.update(
            use_sliding_window=True, sliding_window=24, layer_types=["full_attention", "sliding_attention"]
        ),
    )
    ids = [(7 * place) % 400 for place in range(200)]

    async def score() -> list[float | None]:
        engine = await load_engine(EngineConfig(model=str(copy)))
        scores = await engine.score(ids)
        await engine.close()
        return scores

    def plain(folder: Path) -> list[float]:
        with torch.inference_mode():
            logprobs = plain_model(folder)(torch.tensor([ids])).logits[0].log_softmax(-1)
        return [float(row[token]) for row, token in zip(logprobs, ids[1:], strict=False)]

    scores = asyncio.run(score())[1:]
    assert scores == pytest.approx(plain(copy), abs=ROUNDING)
    assert scores[:23] == pytest.approx(plain(tiny)[:23], abs=ROUNDING)
    assert scores[100:] != pytest.approx(plain(tiny)[100:], abs=0.1)


def test_layers_that_are_not_attention_are_refused(copy: Path) -> None:
    edit_config(copy, lambda settings: settings.update(layer_types=["full_attention", "linear_attention"]))
    assert "it has linear_attention layers" in refusal(copy)


def test_names_are_portable_and_weights_are_known(tiny: Path, copy: Path) -> None:
    revision = revision_of(str(tiny))
    assert revision is not None
    assert len(revision) == 24
    assert portable_name(str(tiny)) == f"{tiny.name}@{revision[:12]}"
    assert revision_of(str(copy)) == revision
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\1\2\3\4")
    assert revision_of(str(copy)) != revision
    assert portable_name("Qwen/Qwen3-0.6B") == "Qwen/Qwen3-0.6B"
    assert revision_of("nobody/no-such-model", "abc123") == "abc123"
    assert revision_of("nobody/no-such-model") is None


def test_what_the_doctor_sees() -> None:
    found = {name: (usable, detail) for name, usable, detail in asyncio.run(engine_report())}
    assert list(found) == ["transformers", "vllm", "server"]
    usable, detail = found["transformers"]
    assert usable
    assert "torch " in detail
    assert "cpu (" in detail
    if not found["vllm"][0]:
        assert "pip install 'purify-trajectories[vllm]'" in found["vllm"][1]


def test_the_tokenizer_is_the_models(tiny: Path) -> None:
    tokenizer = load_tokenizer(EngineConfig(model=str(tiny)))
    assert tokenizer.decode(tokenizer("print(84)")["input_ids"]) == "print(84)"
    assert tokenizer.convert_tokens_to_ids("<|im_end|>") == tokenizer.eos_token_id
