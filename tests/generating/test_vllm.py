"""The whole stage on a real vLLM engine. Runs where vLLM is installed (`make test-vllm`)."""

from __future__ import annotations

import asyncio
import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from purify.engines.loading import load_engine
from purify.generating import GenerateConfig, generate
from purify.generating.agent import response_ids
from tests.engines.test_vllm import ENVIRONMENT
from tests.tiny import tiny_model

pytestmark = [
    pytest.mark.skipif(find_spec("vllm") is None, reason="needs vLLM; make test-vllm"),
    pytest.mark.filterwarnings("ignore"),
]


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_rollouts_and_their_logprobs(tmp_path: Path, temperature: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole groups, and every stored log-prob is what transformers gives for the stored sequence (fp32)."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    model = tiny_model(tmp_path / "model", max_length=512)
    tasks = tmp_path / "tasks.jsonl"
    tasks.write_text("".join(json.dumps({"prompt": f"What is {n} + {n}?"}) + "\n" for n in range(6)))
    config = GenerateConfig(
        engine="vllm",
        model=str(model),
        dtype="float32",
        kv_cache_gb=0.25,
        group_size=4,
        temperature=temperature,
        max_turns=3,
        max_turn_tokens=24,
        max_response_tokens=60,
        tool="none",
    )
    rows = list(generate(tasks, tmp_path / "out", config, concurrency=8))
    assert len({(row.task_id, row.sample_index) for row in rows}) == 24
    assert rows[0].source.logprobs_mode == "processed_logprobs"

    async def scores() -> list[list[float | None]]:
        engine = await load_engine(config.model_copy(update={"engine": "transformers"}))
        try:
            whole = [[*(row.prompt_token_ids or []), *response_ids(row.steps)] for row in rows]
            return await asyncio.gather(*(engine.score(ids, temperature) for ids in whole))
        finally:
            await engine.close()

    for row, scored in zip(rows, asyncio.run(scores()), strict=True):
        stored = [p for step in row.steps for p in (step.reasoning.logprobs or []) + (step.action.logprobs or [])]
        assert scored[len(row.prompt_token_ids or []) :] == pytest.approx(stored, abs=1e-4)
