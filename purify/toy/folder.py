"""Make the tiny policy and its task files, as one folder. Its `toy.json` is there once all of it is.

toy/
  model/           Hugging Face format: transformers and vLLM load it
  train.jsonl      tasks to sample from
  held_out.jsonl   tasks to evaluate on
  README.md        what this is, and what it is not
  toy.json         the options, and what the training measured
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from string import Template
from typing import Any

import orjson
from pydantic import BaseModel

from purify.engines.models import save_model
from purify.errors import PurifyError
from purify.toy.config import DESIGNS, ToyConfig
from purify.toy.demonstrations import draw_demonstrations
from purify.toy.tasks import Split, draw_split, task_lines
from purify.toy.tokenizer import Encoded, encode, train_tokenizer
from purify.toy.training import Progress, new_policy, require_torch, warm_start

CARD = Path(__file__).with_name("card.md")
NAMES = ("toy.json", "README.md", "held_out.jsonl", "train.jsonl", "model")
SCRATCH = ".toy-"
TOKENIZER_DIALOGUES = 500
_LAST = 10


class ToyReport(BaseModel):
    """What `toy.json` holds."""

    config: ToyConfig
    parameters: int
    train_tasks: int
    held_out_tasks: int
    demonstrations: int
    tokens: int
    """Of the assistant, in all updates."""
    first_loss: float
    """Mean cross-entropy of the first update, in nats a token."""
    last_loss: float
    """The same over the last ten updates."""


def make_toy(out: Path, config: ToyConfig, progress: Progress, *, overwrite: bool = False) -> ToyReport:
    """Train the tiny policy and write its folder.

    Raises `PurifyError` if torch or transformers are missing, or if `out` holds anything but a toy folder that may be
    overwritten.
    """
    require_torch()
    _check_free(out, overwrite)
    out.mkdir(parents=True, exist_ok=True)
    for left in out.glob(f"{SCRATCH}*"):  # of a run that was killed
        shutil.rmtree(left)
    with tempfile.TemporaryDirectory(dir=out, prefix=SCRATCH) as scratch:
        new, old = Path(scratch, "new"), Path(scratch, "old")
        new.mkdir()
        old.mkdir()
        report = _fill(new, config, progress)
        _check_free(out, overwrite)
        for name in NAMES:
            if (out / name).exists():
                (out / name).rename(old / name)
        for name in reversed(NAMES):
            (new / name).rename(out / name)
    return report


def _check_free(out: Path, overwrite: bool) -> None:
    if not out.exists():
        return
    if not out.is_dir():
        raise PurifyError(f"{out}: is a file; give --out a folder")
    found = {path.name for path in out.iterdir() if not path.name.startswith(SCRATCH)}
    if not found:
        return
    if not overwrite:
        raise PurifyError(f"{out}: not empty; choose another --out, or add --overwrite")
    if "toy.json" not in found:
        raise PurifyError(f"{out}: no toy.json, so it is not overwritten; choose another --out")
    if strangers := sorted(found - set(NAMES)):
        raise PurifyError(f"{out}: {strangers[0]} is not of purify toy, so nothing is overwritten; move it away")


def _fill(folder: Path, config: ToyConfig, progress: Progress) -> ToyReport:
    split = draw_split(config.tasks, config.held_out, config.seed)
    tokenizer = train_tokenizer(islice(_dialogues(split, config), TOKENIZER_DIALOGUES))
    model = new_policy(tokenizer, config.seed)
    counted = _Counted(encode(tokenizer, dialogue) for dialogue in _dialogues(split, config))
    losses = warm_start(model, counted, config, progress)
    save_model(model, tokenizer, folder / "model")
    for name in ("train", "held_out"):
        (folder / f"{name}.jsonl").write_text(task_lines(getattr(split, name), name))
    last = losses[-_LAST:]
    report = ToyReport(
        config=config,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        train_tasks=len(split.train),
        held_out_tasks=len(split.held_out),
        demonstrations=counted.dialogues,
        tokens=counted.tokens,
        first_loss=losses[0],
        last_loss=sum(last) / len(last),
    )
    (folder / "README.md").write_text(_card(report))
    (folder / "toy.json").write_bytes(orjson.dumps(report.model_dump(), option=orjson.OPT_INDENT_2) + b"\n")
    return report


def _dialogues(split: Split, config: ToyConfig) -> Iterator[list[dict[str, Any]]]:
    return (shown.messages for shown in draw_demonstrations(DESIGNS[config.design], split.taken, config.seed))


class _Counted(Iterator[Encoded]):
    """Dialogues as they are drawn, with what was drawn so far."""

    def __init__(self, dialogues: Iterator[Encoded]) -> None:
        self._dialogues = dialogues
        self.dialogues = 0
        self.tokens = 0

    def __next__(self) -> Encoded:
        dialogue = next(self._dialogues)
        self.dialogues += 1
        self.tokens += sum(dialogue.own)
        return dialogue


def _card(report: ToyReport) -> str:
    config, design = report.config, DESIGNS[report.config.design]
    return Template(CARD.read_text()).substitute(
        report.model_dump(exclude={"config"}),
        **config.model_dump(include={"design", "steps", "batch_size", "seed"}),
        first_error=design.first_error,
        retry_error=round(1 - design.retry_fix, 2),
        first_silent=design.first_silent,
        retry_silent=design.retry_silent,
    )
