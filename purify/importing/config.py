"""Every option of `purify import`."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from purify.importing.templates import TemplateName
from purify_schemas.names import ToolStateName


class ImportConfig(BaseModel):
    """How a dump is read. Every field is an option of the command and a key of its `--config` file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: str = Field(
        default="auto",
        description="adp, atif, atropos, inspect, mini-swe-agent, openai, preference, pretokenized, responses, rllm,"
        " sharegpt, skyrl, slime, sts, swe-agent, tagged, verifiers, verl, or auto: recognised by content.",
    )
    preset: str | None = Field(default=None, description="For tagged text: mathcoder, mint, tora, or a YAML file.")
    template: TemplateName = Field(
        default="auto",
        description="For dumps of text: the chat template that turns are cut at; roles where special tokens are gone.",
    )
    rules: str | None = Field(
        default=None,
        description="Failure rules: python, shell, tool, mint, swe-agent, inspect, adp, verl, or a YAML file.",
    )
    tool_state: dict[str, ToolStateName] = Field(default={}, description="State of a tool, overriding the importer's.")
    task_by: str | None = Field(
        default=None,
        description="Record field (dotted) naming the task, or 'prompt': rows with equal opening messages.",
    )
    policy: str | None = Field(
        default=None, description="Name of the policy revision; with it, groups may span several files."
    )

    @model_validator(mode="after")
    def _preset_has_a_reader(self) -> Self:
        if self.preset is not None and self.format not in ("auto", "tagged"):
            raise ValueError("preset is read only with format tagged")
        return self
