"""The YAML file of `purify iterate`: what is iterated, and the options of every stage under the stage's name.

    model: toy/model
    tasks: toy/train.jsonl
    held_out: toy/held_out.jsonl
    rounds: 5
    generate: {group_size: 8, max_turns: 6}
    clean: {apply_to: winners}          # or false: train on what was sampled
    train: {algorithm: grpo, mask_failed: winners, learning_rate: 1.5e-4, updates: 20}

Files are found from where the command runs, as on the command line.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from purify.digests import digest
from purify.errors import PurifyError
from purify.evaluating.config import EvaluateConfig
from purify.generating.config import GenerateConfig
from purify.saar.config import SaarConfig, SaarRule
from purify.scoring.config import ScoreConfig
from purify.training.config import TrainConfig
from purify.yaml_files import read_yaml

_OWN = {
    "generate": ("model", "revision", "round", "seed"),
    "clean": ("seed",),
    "score": ("model", "revision"),
    "train": ("model", "revision", "seed"),
    "evaluate": ("revision", "seed"),
}
"""Options of a stage that the rounds decide, by stage."""
STAGES = tuple(_OWN)


class IterateConfig(BaseModel):
    """Everything that `purify iterate` does."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field(min_length=1, description="Folder or Hugging Face name of the policy that round 0 samples from.")
    revision: str | None = Field(default=None, description="Branch, tag or commit of a model on the hub.")
    tasks: str = Field(min_length=1, description="Task file that the rounds sample.")
    tasks_per_round: int | None = Field(
        default=None,
        ge=1,
        description="Tasks of a round: the next ones of the file, again from its start after its end.",
    )
    held_out: str | None = Field(
        default=None, description="Task file to evaluate on, before the first round and after each."
    )
    rounds: int = Field(ge=1, description="How many. More can be added to a finished run.")
    seed: int = Field(default=0, description="Every stage of every round has a seed of its own, derived from this.")

    generate: GenerateConfig = Field(description="Of `purify generate`.")
    clean: SaarConfig | None = Field(description="Of `purify clean`; false trains on what was sampled.")
    score: ScoreConfig | None = Field(description="Of `purify score`; false trains without scores.")
    train: TrainConfig = Field(description="Of `purify train`.")
    evaluate: EvaluateConfig = Field(description="Options it shares with generate are generate's if not given.")

    @model_validator(mode="before")
    @classmethod
    def _stages(cls, given: Any) -> Any:
        """Stages that are not named have their defaults, and all have the model."""
        if not isinstance(given, Mapping):
            return given
        filled = dict(given)
        for stage, own in _OWN.items():
            options = filled.get(stage)
            options = {} if options is None else options
            if isinstance(options, Mapping):
                if taken := sorted(set(own) & set(options)):
                    raise ValueError(f"{stage}.{taken[0]} is decided by the rounds; leave it out")
                options = {**options, "model": given.get("model")} if "model" in own else dict(options)
            filled[stage] = options
        if isinstance(filled["generate"], Mapping) and isinstance(filled["evaluate"], Mapping):
            filled["evaluate"] = {**_sampling(filled["generate"]), **filled["evaluate"]}
        return filled

    @field_validator("clean", "score", mode="before")
    @classmethod
    def _off(cls, value: object) -> object:
        return None if value is False else value

    @model_validator(mode="after")
    def _can_be_cleaned(self) -> Self:
        if self.generate.saar and self.clean is not None:
            raise ValueError(
                "generate.saar edits while it samples, so there is nothing left to clean; add clean: false"
            )
        if self.clean is not None and self.clean.min_importance is not None:
            raise ValueError("clean.min_importance needs an earlier, scored purification, which no round has")
        if self.clean is not None and self.clean.apply_to == "winners" and self.generate.group_size == 1:
            raise ValueError("clean.apply_to winners compares rewards within a group; raise generate.group_size")
        return self

    def seed_of(self, stage: str, number: int | None = None) -> int:
        """The seed of a stage in a round."""
        return int(digest("iterate", self.seed, stage, number), 16) % 2**31


def _sampling(generate: Mapping[str, Any]) -> dict[str, Any]:
    """What evaluating shares with generating unless it says otherwise: engine, tools, budgets, verifier."""
    apart = {"group_size", "saar", *_OWN["generate"], *SaarRule.model_fields} - {"tool_state"}
    return {name: generate[name] for name in generate if name in EvaluateConfig.model_fields and name not in apart}


def read_config(file: str | Path) -> IterateConfig:
    """Read the YAML file. Raises `PurifyError` that names the file and the key that is wrong."""
    loaded = read_yaml(Path(file))
    if not isinstance(loaded, dict):
        raise PurifyError(f"{file}: must be a mapping with at least model, tasks and rounds")
    try:
        return IterateConfig.model_validate(loaded)
    except ValidationError as error:
        raise PurifyError(f"{file}: {_problem(error)}") from None


def _problem(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden":
        return f"unknown key {where}; known: {', '.join(_known(first['loc']))}"
    if first["type"] == "missing":
        return f"{where} is required"
    what = first["msg"].removeprefix("Value error, ")
    if first["type"] == "value_error":
        return f"{where}: {what}" if where else what
    return f"{where}: {what}, got {first['input']!r}"


def _known(where: tuple[int | str, ...]) -> list[str]:
    """The keys beside which an unknown one stands."""
    if len(where) == 1:
        return list(IterateConfig.model_fields)
    stage = str(where[0])
    kind: dict[str, type[BaseModel]] = {
        "generate": GenerateConfig,
        "clean": SaarConfig,
        "score": ScoreConfig,
        "train": TrainConfig,
        "evaluate": EvaluateConfig,
    }
    return [name for name in kind[stage].model_fields if name not in _OWN[stage]]
