"""Every option of `purify export`."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

ExportFormat = Literal[
    "messages",
    "preference",
    "kto",
    "pretokenized",
    "verl",
    "verl-prompts",
    "atif",
    "sts",
    "sharegpt",
    "recovery",
]


class ExportConfig(BaseModel):
    """What is written. Every field is an option of the command and a key of its `--config` file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    to: ExportFormat = Field(description="The format; docs/formats.md says who reads it and what it cannot hold.")
