"""Data that does not fit the policy, and what else can go wrong: one line that says what, where and how to mend it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from purify.errors import PurifyError
from purify.saar import SaarConfig, purify_trajectory
from purify.training.config import TrainConfig
from purify_schemas import Scores, Segment, Trajectory
from tests.support import call, step, trajectory
from tests.tiny import tiny_model
from tests.training.support import draw_rows, with_scores, write

ROOT = Path(__file__).parents[2]
PATHS = os.pathsep.join([str(ROOT), str(ROOT / "cli"), str(ROOT / "schemas")])
ENVIRONMENT = {**os.environ, "PYTHONPATH": PATHS, "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("model"), scale=0.1)


@pytest.fixture(scope="module")
def rows(model: Path) -> list[Trajectory]:
    return with_scores(draw_rows(), model)


def run(tmp_path: Path, rows: Sequence[Trajectory], model: Path, **options: Any) -> Any:
    from purify.training import train

    if not (tmp_path / "data").exists():
        write(tmp_path / "data", rows)
    known = {"batch_size": 8, "pack_tokens": 128, "updates": 1, "save_every": 1}
    more = {name: options.pop(name) for name in ("resume", "overwrite", "progress") if name in options}
    return train(tmp_path / "data", tmp_path / "run", TrainConfig(model=str(model), **(known | options)), **more)


def changed(rows: Sequence[Trajectory], **scores: Any) -> list[Trajectory]:
    return [row.model_copy(update={"scores": row.scores and row.scores.model_copy(update=scores)}) for row in rows]


def purified(rows: Sequence[Trajectory]) -> list[Trajectory]:
    return [purify_trajectory(row, SaarConfig(gates=()))[0] for row in rows]


def test_unscored_data(tmp_path: Path, model: Path) -> None:
    rows = draw_rows()
    with pytest.raises(
        PurifyError, match=r"is not scored \(its log-probs are the sampler's\); run `purify score .*data"
    ):
        run(tmp_path, rows, model)
    report = run(tmp_path, rows, model, allow="unscored")
    assert report.updates == 1 and report.counts["without_logprobs"] == 0


def test_stale_logprobs(tmp_path: Path, model: Path) -> None:
    rows = purified(draw_rows())
    with pytest.raises(PurifyError, match=r"is not scored \(sampled log-probs are stale behind every edit\)"):
        run(tmp_path, rows, model)
    # Rows with an edit have no log-probs that hold; the others do.
    report = run(tmp_path, rows, model, allow="unscored")
    assert report.counts["without_logprobs"] == 8


def test_supervised_training_needs_no_scores(tmp_path: Path, model: Path) -> None:
    report = run(tmp_path, purified(draw_rows()), model, algorithm="rft")
    assert report.counts["not_above_min_reward"] == 10
    assert report.last["trajectories"] == 6


@pytest.mark.parametrize(
    ("name", "field", "told"),
    [
        ("policy", "revision", r"was scored with another policy \(other\).*run `purify score DATA -o SCORED"),
        ("tokenizer", "tokenizer_digest", r"was made with another tokenizer \(other\)"),
        ("template", "template_digest", r"was rendered with another chat template \(other\)"),
    ],
)
def test_another_policy_tokenizer_or_template(
    tmp_path: Path, rows: list[Trajectory], model: Path, name: str, field: str, told: str
) -> None:
    strange = changed(rows, **{field: "other"})
    with pytest.raises(PurifyError, match=f"{told}.*--allow {name}"):
        run(tmp_path, strange, model)
    assert run(tmp_path, strange, model, allow=name).updates == 1
    if name == "policy":  # what reads no scores does not care whose they are
        assert run(tmp_path, strange, model, algorithm="awr", overwrite=True).updates == 1


def test_ids_outside_the_vocabulary(tmp_path: Path, rows: list[Trajectory], model: Path) -> None:
    first = rows[0]
    strange = first.model_copy(update={"prompt_token_ids": [3, 100_000]})
    with pytest.raises(PurifyError, match=r"1 trajectories have ids outside the vocabulary .*--allow vocabulary"):
        run(tmp_path, [strange, *rows[1:]], model)
    report = run(tmp_path, rows, model, allow="vocabulary")
    assert report.counts["ids_outside_the_vocabulary"] == 1


def test_failures_that_were_never_corrected(tmp_path: Path, model: Path) -> None:
    def never(reward: float, sample: int) -> Trajectory:
        bad = step(call("print(1", status="error"), reasoning_ids=[20], action_ids=[21], observation_ids=[22])
        end = step(reasoning_ids=[23], action_ids=[])
        return trajectory(bad, end, id=f"t{sample}", reward=reward, prompt_ids=[24])

    rows = with_scores(purified([never(1.0, 0), never(0.0, 1)]), model)
    told = r"1 trajectories that would be reinforced hold .*first: t0.*--mask-failed winners.*--allow unresolved"
    with pytest.raises(PurifyError, match=told):
        run(tmp_path, rows, model)
    assert run(tmp_path, rows, model, allow="unresolved").last["trained_tokens"] == 6
    assert run(tmp_path, rows, model, mask_failed="winners", overwrite=True).last["trained_tokens"] == 4


def test_rows_that_could_not_be_scored_are_left_out(tmp_path: Path, rows: list[Trajectory], model: Path) -> None:
    broken = rows[0].model_copy(update={"scores": Scores(problem="too long")})
    report = run(tmp_path, [broken, *rows[1:]], model, batch_size=16)
    assert report.counts["without_logprobs"] == 1 and report.last["trajectories"] == 15


def test_groups_without_a_comparison(tmp_path: Path, rows: list[Trajectory], model: Path) -> None:
    equal = [row.model_copy(update={"reward": 1.0}) for row in rows]
    told = r"no trajectory is left to train on .*4 zero variance groups.*--group-size.*--algorithm rft"
    with pytest.raises(PurifyError, match=told):
        run(tmp_path / "equal", equal, model)
    assert run(tmp_path / "equal", equal, model, keep_zero_variance=True).last["loss"] == 0
    alone = [row.model_copy(update={"group_id": row.trajectory_id}) for row in rows]
    with pytest.raises(PurifyError, match="16 one sample groups"):
        run(tmp_path / "alone", alone, model)
    none = [row.model_copy(update={"reward": None}) for row in rows]
    with pytest.raises(PurifyError, match=r"grpo needs rewards, and no trajectory has one.*--algorithm sft"):
        run(tmp_path / "none", none, model)
    assert run(tmp_path / "none", none, model, algorithm="sft").updates == 1


def test_no_rows(tmp_path: Path, model: Path) -> None:
    with pytest.raises(PurifyError, match="the dataset has no rows"):
        run(tmp_path, [], model)


def test_no_ids(tmp_path: Path, rows: list[Trajectory], model: Path) -> None:
    textual = [row.model_copy(update={"prompt_token_ids": None, "steps": [], "scores": None}) for row in rows]
    with pytest.raises(PurifyError, match=r"no trajectory is left to train on .*16 without ids"):
        run(tmp_path, textual, model, algorithm="sft")


def test_ids_with_a_hole(tmp_path: Path, rows: list[Trajectory], model: Path) -> None:
    first = rows[0].steps[0]
    unseen = first.model_copy(update={"observation": first.observation.model_copy(update={"token_ids": None})})
    holed = rows[0].model_copy(update={"steps": [unseen, *rows[0].steps[1:]]})
    report = run(tmp_path, [holed, *rows[1:]], model, algorithm="sft", batch_size=16)
    assert report.counts["without_ids"] == 1 and report.last["trajectories"] == 15


def test_dpo_learns_from_edits(tmp_path: Path, rows: list[Trajectory], model: Path) -> None:
    with pytest.raises(PurifyError, match="dpo learns from what edits replaced"):
        run(tmp_path / "raw", rows, model, algorithm="dpo")
    report = run(
        tmp_path / "purified", purified(draw_rows()), model, algorithm="dpo", updates=6, learning_rate=1e-3, warmup=0
    )
    assert report.counts["pairs"] == 8
    from purify.training.metrics import read_metrics

    lines = read_metrics(tmp_path / "purified/run")
    assert lines[0]["loss"] == pytest.approx(0.693147, abs=1e-5) and lines[0]["margin"] == pytest.approx(0, abs=1e-5)
    assert lines[-1]["margin"] > 0 and lines[-1]["preferred_share"] == 1


def test_a_pair_has_the_failed_step_and_the_graft_after_one_context() -> None:
    from collections import Counter

    from purify.training.pairs import pairs_of
    from purify_schemas import PURIFIED_SCHEMA, to_table

    raw = trajectory(
        step(call("import math"), reasoning_ids=[10], action_ids=[11], observation_ids=[12]),
        step(call("print(6 * 8", status="error"), reasoning_ids=[20, 21], action_ids=[22], observation_ids=[23]),
        step(call("print(6 * 7)"), reasoning_ids=[30], action_ids=[31, 32], observation_ids=[33]),
        prompt_ids=[1, 2],
    )
    shallow, deep = (purify_trajectory(raw, SaarConfig(gamma=gamma))[0] for gamma in (0.5, 1.0))
    counts: Counter[str] = Counter()
    found = pairs_of(to_table([shallow, deep], PURIFIED_SCHEMA), [7, 9], counts).to_pylist()
    context = [1, 2, 10, 11, 12]
    assert [pair["ids"] for pair in found] == [
        [*context, 20, 21, 31, 32],
        [*context, 20, 21, 22],
        [*context, 30, 31, 32],
        [*context, 20, 21, 22],
    ]
    assert [pair["at"] for pair in found] == [[5, 6, 7, 8], [5, 6, 7], [5, 6, 7], [5, 6, 7]]
    assert [pair["row"] for pair in found] == [7, 7, 9, 9]
    assert counts == {"pairs": 2}
    textual = shallow.model_copy(
        update={"steps": [s.model_copy(update={"reasoning": Segment(text="a")}) for s in shallow.steps]}
    )
    assert len(pairs_of(to_table([textual], PURIFIED_SCHEMA), [0], counts)) == 0
    assert counts == {"pairs": 2, "pairs_without_ids": 1}


def test_a_loss_that_is_no_number(tmp_path: Path, rows: list[Trajectory], model: Path) -> None:
    with pytest.raises(
        PurifyError, match=r"(loss is (nan|inf)|gradient is not finite), in the pack of rows .*last checkpoint is kept"
    ):
        run(tmp_path, rows, model, updates=20, learning_rate=1e30, warmup=0)
    from purify.training.checkpoints import latest

    assert latest(tmp_path / "run") is not None


def test_out_of_memory_names_the_options(tmp_path: Path, rows: list[Trajectory], model: Path) -> None:
    """After the first update the process gets no more memory, and a pass over a long trajectory needs more."""
    write(tmp_path / "data", [*rows, *(row.model_copy(update={"steps": row.steps * 40}) for row in draw_rows(1, 2))])
    code = """
import resource, sys
from purify.errors import PurifyError
from purify.training import TrainConfig, train

def told(step, total, values):
    resource.setrlimit(resource.RLIMIT_AS, (2**20, 2**20))

config = TrainConfig(model=sys.argv[1], algorithm="sft", batch_size=1, updates=30, save_every=1, logits_mb=1000)
try:
    train("data", "run", config, progress=told)
except PurifyError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(model)],
        cwd=tmp_path,
        # No large piece from what was freed before, nor from the 64 MiB that each thread reserves.
        env={**ENVIRONMENT, "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_ARENA_MAX": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert "out of memory: packs have up to" in done.stdout, done.stderr
    assert "--pack-tokens" in done.stdout and "the last checkpoint is kept, add --resume" in done.stdout


def test_a_run_that_is_there(tmp_path: Path, rows: list[Trajectory], model: Path) -> None:
    run(tmp_path, rows, model)
    with pytest.raises(PurifyError, match="already holds a run; add --overwrite"):
        run(tmp_path, rows, model)
    with pytest.raises(PurifyError, match="is complete, there is nothing to resume"):
        run(tmp_path, rows, model, resume=True)
    (tmp_path / "run/report.json").unlink()
    with pytest.raises(PurifyError, match="already holds an unfinished run; go on with --resume"):
        run(tmp_path, rows, model)
    with pytest.raises(PurifyError, match=r"had other options, data or weights \(learning_rate was 1e-06\)"):
        run(tmp_path, rows, model, resume=True, learning_rate=1e-5)
    # What only says how a pass fits into memory may change, as the message of one that does not fit advises.
    assert run(tmp_path, rows, model, resume=True, pack_tokens=64, activation_checkpointing=True).updates == 1
    (tmp_path / "run/notes.txt").write_text("mine")
    with pytest.raises(PurifyError, match=r"holds 'notes.txt', which is not a run's"):
        run(tmp_path, rows, model, overwrite=True)


def test_checkpoints_of_another_kind(tmp_path: Path, rows: list[Trajectory], model: Path) -> None:
    from transformers import BertConfig, BertForMaskedLM

    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    BertForMaskedLM(BertConfig(vocab_size=50, **small)).save_pretrained(tmp_path / "bert")
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (tmp_path / "bert" / name).write_bytes((model / name).read_bytes())
    with pytest.raises(PurifyError, match="BertForMaskedLM is not a causal language model"):
        run(tmp_path, rows, tmp_path / "bert", allow="policy")
    with pytest.raises(PurifyError, match="no such folder"):
        run(tmp_path, rows, tmp_path / "nothing")
    with pytest.raises(PurifyError, match="--lora-targets nowhere"):
        run(tmp_path, rows, model, lora=4, lora_targets="nowhere")
    with pytest.raises(PurifyError, match="--device gpu: no such device; give auto, cpu"):
        run(tmp_path, rows, model, device="gpu")
    with pytest.raises(PurifyError, match="--param-dtype bfloat16: passes in float32 need float32 weights"):
        run(tmp_path, rows, model, dtype="float32", param_dtype="bfloat16")


def test_options_without_a_reader() -> None:
    def refused(told: str, **options: Any) -> None:
        with pytest.raises(ValueError, match=told):
            TrainConfig(model="m", **options)

    refused("lora_alpha is not read with these options: add lora", lora_alpha=8)
    refused("correction_cap is not read with these options: add correction", correction_cap=3)
    refused(
        "correction_low is not read with these options: add correction mask", correction="truncate", correction_low=0.1
    )
    refused("kl is not read with these options: add kl_coef", kl="k1")
    refused("constant_length is not read with these options: add aggregation constant", constant_length=3)
    refused("correction_low is not below correction_cap", correction="mask", correction_low=3)
    refused("mask_failed is read only with", algorithm="dpo", mask_failed="all")
    refused("param_dtype is not read with these options: leave lora out", lora=4, param_dtype="bfloat16")
    refused("greater than or equal to 0", seed=-1)
    refused("'float32' or 'bfloat16'", param_dtype="float16")  # what GradScaler cannot unscale
    refused("updates and epochs both say when to stop", updates=3, epochs=2)
    refused("dual_clip is read only with grpo, dr_grpo, dapo; not with gspo", algorithm="gspo", dual_clip=3)
    refused("clip_low is read only with", algorithm="cispo", clip_low=0.1)
    refused("advantage is read only with", algorithm="oapl", advantage="mean")
    refused("aggregation is read only with", algorithm="dpo", aggregation="token_mean")
    # An advantage of 0 would raise awr's weight to 1, and shift the target of oapl.
    for algorithm in ("awr", "oapl", "rft", "sft", "dpo"):
        refused("spare_grafts is read only with", algorithm=algorithm, spare_grafts=True)
        refused("penalty_after_failure is read only with", algorithm=algorithm, penalty_after_failure=True)
    for algorithm in ("awr", "rft", "sft", "dpo"):
        refused("correction is read only with", algorithm=algorithm, correction="truncate")
    refused("beta is read only with awr, oapl, dpo", beta=3)
    refused("min_reward is read only with rft", min_reward=0.5)
    refused("reference is not read with these options: add kl_coef", reference="other")
    # What is written down in full can be read again.
    assert TrainConfig.model_validate(TrainConfig(model="m").model_dump()) == TrainConfig(model="m")


def test_killed_between_two_checkpoints_and_resumed(tmp_path: Path, rows: list[Trajectory], model: Path) -> None:
    import torch
    from safetensors.torch import load_file

    write(tmp_path / "data", rows)
    code = """
import os, signal, sys
from purify.training import TrainConfig, train
from purify.training.config import TrainConfig

def told(step, total, values):
    if step == 3 and sys.argv[1] == "killed":
        os.kill(os.getpid(), signal.SIGKILL)

config = TrainConfig(model=sys.argv[2], batch_size=8, pack_tokens=128, updates=5, save_every=2, learning_rate=1e-3)
train("data", sys.argv[1], config, resume=len(sys.argv) > 3, progress=told)
"""

    def launch(*arguments: str) -> int:
        command = [sys.executable, "-c", code, *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, check=False, timeout=120
        ).returncode

    assert launch("whole", str(model)) == 0
    assert launch("killed", str(model)) == -signal.SIGKILL
    (tmp_path / "killed").rename(tmp_path / "again")
    assert launch("again", str(model), "resume") == 0
    whole, again = (load_file(tmp_path / n / "checkpoints/step-000005/model.safetensors") for n in ("whole", "again"))
    assert all(torch.equal(whole[name], again[name]) for name in whole)
