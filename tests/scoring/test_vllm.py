"""Scores of the vllm engine are those of the transformers engine. Runs where vLLM is installed (`make test-vllm`)."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from purify.cleaning import clean
from purify.scoring import ScoreConfig, score
from purify_schemas import Trajectory
from tests.engines.test_vllm import ENVIRONMENT
from tests.scoring.rollouts import rollouts
from tests.support import write_dataset
from tests.tiny import tiny_model

pytestmark = [
    pytest.mark.skipif(find_spec("vllm") is None, reason="needs vLLM; make test-vllm"),
    pytest.mark.filterwarnings("ignore"),
]


def filled(row: Trajectory, length: int) -> Trajectory:
    """The row with so many tokens: its last turn goes on."""
    *steps, last = row.steps
    parts = [part for one in row.steps for part in (one.reasoning, one.action, one.observation)]
    room = length - len(row.prompt_token_ids or ()) - sum(len(part.token_ids or ()) for part in parts)
    longer = last.reasoning.model_copy(update={"token_ids": [*(last.reasoning.token_ids or ()), *[7] * room]})
    steps.append(last.model_copy(update={"reasoning": longer}))
    return row.model_copy(update={"trajectory_id": "filled", "steps": steps})


def test_both_engines_give_the_same_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Raw and purified rows of several steps, and a row as long as the context, to 1e-4 (fp32)."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    model = tiny_model(tmp_path / "model", max_length=256)
    rows = rollouts(model)
    rows.append(filled(rows[2], 256))
    write_dataset(tmp_path / "raw", rows)
    clean(tmp_path / "raw", tmp_path / "purified")
    shared: dict[str, Any] = {"model": str(model), "dtype": "float32", "both": True}
    vllm = ScoreConfig(engine="vllm", kv_cache_gb=0.25, max_batch=4, **shared)
    by_vllm = score(tmp_path / "purified", tmp_path / "vllm", vllm)
    by_transformers = score(tmp_path / "purified", tmp_path / "transformers", ScoreConfig(**shared))
    assert by_vllm.manifest.counts["rows_scored"] == 4
    for one, other in zip(by_vllm, by_transformers, strict=True):
        assert one.scores is not None and other.scores is not None
        assert one.scores.logprobs == pytest.approx(other.scores.logprobs, abs=1e-4)
        assert one.scores.raw_logprobs == pytest.approx(other.scores.raw_logprobs, abs=1e-4)
        assert [edit.log_ratio for edit in one.scores.edits] == pytest.approx(
            [edit.log_ratio for edit in other.scores.edits], abs=2e-3
        )
