"""`purify train`: epochs over a scored dataset, one folder a run.

purify train scored/ -o run/ --model checkpoint/ --algorithm grpo

run/
  run.json         options, dataset, policy: what a resumed run must repeat
  metrics.jsonl    one line an update; tensorboard/ has the same
  checkpoints/     step-000050/, ... in Hugging Face format
  report.json      written last: the run is complete
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from functools import partial
from itertools import islice
from math import cos, pi
from pathlib import Path
from typing import Any, Protocol

import torch
from pydantic import BaseModel

from purify.chat.identity import template_digest, tokenizer_digest
from purify.datasets import Dataset
from purify.datasets.sink import write_atomically
from purify.engines.config import EngineConfig
from purify.engines.loading import load_tokenizer, local_or_hub, revision_of
from purify.errors import PurifyError
from purify.lm.loading import load_policy
from purify.lm.policy import Policy
from purify.training.batches import updates_in, updates_of
from purify.training.checkpoints import step_of
from purify.training.checks import check_dataset, check_digests
from purify.training.config import OptimizerConfig, TrainConfig
from purify.training.flops import shape_of
from purify.training.loop import Loop
from purify.training.lora import add_lora
from purify.training.losses.algorithms import ALGORITHMS
from purify.training.metrics import MetricsWriter, read_metrics
from purify.training.parallel import World, open_world, shard
from purify.training.prepare import Limits, Prepared, prepare
from purify.training.reference import Reference, find_reference
from purify.training.run_folder import REPORT, SCRATCH, claim, held, identity_of, portable
from purify.training.state import TrainerState


class Progress(Protocol):
    """Told of every update; the CLI draws it."""

    def __call__(self, step: int, total: int, values: Mapping[str, float | None]) -> None: ...


class TrainReport(BaseModel):
    """What `report.json` holds."""

    config: TrainConfig
    dataset: str
    """Digest of the dataset."""
    policy: str | None
    """Who the policy was that training began with: digest or commit of its weights."""
    updates: int
    checkpoint: str
    """The last one, inside the run's folder."""
    counts: dict[str, int]
    """Trajectories and groups, and those that were left out, by reason."""
    last: dict[str, float | None]
    """Metrics of the last update."""


def train(
    source: str | Path,
    out: str | Path,
    config: TrainConfig,
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> TrainReport:
    """Train `config.model` on a dataset and write a run's folder; under torchrun, all processes call this.

    Raises `PurifyError` if the data does not fit the policy (see `checks.py`), if `out` is taken or a resume does not
    fit, if the loss is not a number, and if memory or disk do not suffice. The last checkpoint stays.
    """
    out = Path(out)
    dataset = Dataset.open(source)
    check_dataset(dataset, config, needs_old=ALGORITHMS[config.algorithm].needs_old)
    tokenizer = load_tokenizer(EngineConfig(model=config.model, revision=config.revision))
    revision = revision_of(config.model, config.revision)
    check_digests(
        dataset,
        config,
        revision=revision,
        tokenizer=tokenizer_digest(tokenizer),
        template=template_digest(tokenizer),
    )
    identity = identity_of(config, dataset.manifest.digest, revision)
    with open_world(config.device) as world, held(out, world):
        checkpoint = claim(out, identity, world, resume=resume, overwrite=overwrite)
        policy, loaded_dtype = _load(config, checkpoint, world)
        data, reference = _data(dataset, config, policy, out / SCRATCH, world, revision)
        shape = shape_of(policy)
        state = _new_state(policy, config, len(data.units), world)
        if checkpoint is not None:
            state.load(checkpoint, step_of(checkpoint), world)
        loop = Loop(data, config, reference, world, shape)
        _run(loop, state, out, tokenizer, loaded_dtype, progress)
        report = TrainReport(
            config=portable(config),
            dataset=dataset.manifest.digest,
            policy=revision,
            updates=state.step,
            checkpoint=f"checkpoints/step-{state.step:06d}",
            counts=data.counts,
            last=read_metrics(out)[-1],
        )
        if world.first:
            write_atomically(out / REPORT, report.model_dump_json(indent=2).encode() + b"\n")
            shutil.rmtree(out / SCRATCH, ignore_errors=True)
        world.barrier()
    return report


def _run(
    loop: Loop, state: TrainerState, out: Path, tokenizer: Any, dtype: torch.dtype, progress: Progress | None
) -> None:
    """All updates from `state.step` on."""
    config, data = loop.config, loop.data
    total = _total(config, len(data.units))
    with MetricsWriter(out, state.step) if loop.world.first else _Silent() as writer:
        plan = updates_of(data.units, data.groups, config.batch_size, config.seed)
        for epoch, units in islice(plan, state.step, total):
            values = loop.update(state, units, epoch)
            writer.write(state.step, values)
            if state.step % config.save_every == 0 or state.step == total:
                state.save(out, tokenizer, dtype, config, loop.world)
            if progress and loop.world.first:
                progress(state.step, total, values)


class _Silent:
    """The metrics writer of a process that is not the first."""

    def write(self, step: int, values: Mapping[str, float | None]) -> None:
        pass

    def __enter__(self) -> _Silent:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def _total(config: TrainConfig, units: int) -> int:
    return config.updates or config.epochs * updates_in(units, config.batch_size)


def rate_after(config: OptimizerConfig, total: int, done: int) -> float:
    """The learning rate after `done` of `total` updates, as a share of the full one.

    The first update of a warm-up learns, too: transformers' schedules begin at 0, where a run of one update is none.
    """
    if done < config.warmup:
        return (done + 1) / config.warmup
    past = min(1.0, (done - config.warmup) / max(1, total - config.warmup))
    return {"constant": 1.0, "linear": 1 - past, "cosine": (1 + cos(pi * past)) / 2}[config.schedule]


def _load(config: TrainConfig, checkpoint: Path | None, world: World) -> tuple[Policy, torch.dtype]:
    """The policy, ready to be trained, and the type that the model's own weights have."""
    from transformers import AutoConfig

    compute = config.dtype or ("bfloat16" if world.device.type == "cuda" else "float32")
    if config.lora is None and config.param_dtype == "bfloat16" != compute:
        raise PurifyError(f"--param-dtype bfloat16: passes in {compute} need float32 weights; add --dtype bfloat16")
    whole = checkpoint is not None and config.lora is None
    policy = load_policy(
        str(checkpoint) if whole else config.model,
        revision=None if whole else config.revision,
        dtype=compute if config.lora is not None else config.param_dtype,
        compute_dtype=compute,
        device=str(world.device),
    )
    policy.chunk_bytes = config.logits_mb * 2**20
    settings = AutoConfig.from_pretrained(local_or_hub(config.model), revision=config.revision)
    if config.lora is not None:
        add_lora(policy, config)
    if config.activation_checkpointing:
        # Renamed in transformers 5.2x; either takes what `torch.utils.checkpoint` takes.
        name = "activation_checkpointing_enable"
        getattr(policy.base, name if hasattr(policy.base, name) else "gradient_checkpointing_enable")(
            {"use_reentrant": False}
        )
    if config.compile:
        for layer in policy.base.get_decoder().layers:
            layer.compile(dynamic=True)
    policy.train()
    return policy, settings.dtype or torch.float32


def _data(
    dataset: Dataset, config: TrainConfig, policy: Policy, folder: Path, world: World, revision: str | None
) -> tuple[Prepared, Reference | None]:
    """The trajectories, and the reference's log-probs where the loss has use for them."""
    limits = Limits(policy.vocabulary, policy.max_length)
    failed: PurifyError | None = None
    data: Prepared | None = None
    for mine in (world.first, not world.first):  # the first process writes, then the others read
        if mine:
            try:
                data = prepare(dataset, config, limits, folder, write=world.first)
            except PurifyError as error:
                failed = error
        if world.agree(failed is not None):
            raise failed or PurifyError("the first process could not prepare the data; its message says why")
    assert data is not None
    if not config.kl_coef and config.algorithm != "dpo":
        return data, None
    tempered = ALGORITHMS[config.algorithm].needs_old
    if config.reference is None and tempered and _scored_by(dataset, revision) and "unscored" not in config.allow:
        return data, Reference(data.examples, None)
    if config.reference is None:
        judge = (
            policy
            if config.lora is not None
            else load_policy(config.model, revision=config.revision, device=str(world.device))
        )
    else:
        judge = load_policy(config.reference, device=str(world.device))
        if judge.vocabulary < policy.vocabulary:
            raise PurifyError(f"--reference {config.reference}: its vocabulary is smaller than the policy's")
    training = judge.training
    judge.eval()
    found = find_reference(judge, data.examples, folder, world, pack_tokens=config.pack_tokens, tempered=tempered)
    judge.train(training)
    return data, found


def _scored_by(dataset: Dataset, revision: str | None) -> bool:
    import polars as pl

    if not dataset.scored or revision is None:
        return False
    names = dataset.scan().select(pl.col("scores").struct.field("revision").unique()).collect().to_series()
    return names.drop_nulls().to_list() == [revision]


def _new_state(policy: Policy, config: TrainConfig, units: int, world: World) -> TrainerState:
    """Optimizer and schedule of a policy, which is sharded here if there are several processes."""
    shard(policy, world)
    optimizer = torch.optim.AdamW(
        [parameter for parameter in policy.parameters() if parameter.requires_grad],
        lr=config.learning_rate,
        betas=(config.beta1, config.beta2),
        weight_decay=config.weight_decay,
        fused=True,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, partial(rate_after, config, _total(config, units)))
    scaler = torch.amp.GradScaler(world.device.type, enabled=policy.compute_dtype == torch.float16)
    torch.manual_seed(config.seed)
    return TrainerState(policy, optimizer, schedule, scaler)
