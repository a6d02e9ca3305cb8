"""Presets: how one source of tagged or fenced code is read, as YAML. The built-in ones are the files in `presets/`.

A new source of this kind needs no Python. Copy the built-in preset that is closest and name the copy:

    purify import rollouts.jsonl -o rollouts/ --format tagged --preset mine.yaml

Keys of a record are written with dots (`state.history`). Where a list of keys is asked for, the first present counts.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from purify.errors import PurifyError
from purify_schemas.names import FinishReason, ToolStateName

FOLDER = Path(__file__).parent / "presets"

Kind = Literal["system", "user", "text", "code", "result", "model"]
"""What a turn is. `text`, `code` and `result` are ready parts of a step; a `model` turn still has tags or fences."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Tool(_Part):
    """Something the environment does with a stretch of model text."""

    name: str
    argument: str = Field(default="code", description="Name under which the text becomes the call's argument.")
    state: ToolStateName = "unknown"
    open: str | None = Field(default=None, description="What starts a call in a model turn: a tag or a fence.")
    close: str | None = Field(default=None, description="What ends it. Null with `open` null: turns of kind code.")
    take: Literal["all", "last"] = Field(default="all", description="Which blocks of one turn the environment runs.")
    strip: bool = Field(default=False, description="The environment strips each block before running it.")
    refused: str | None = Field(default=None, description="A result holding this is a refusal, no failure.")
    accepted: str | None = Field(default=None, description="Key: was the last, unanswered call of this tool accepted?")
    answers: bool = Field(default=False, description="The last turn's argument is the final answer.")

    @model_validator(mode="after")
    def _both_ends(self) -> Tool:
        if (self.open is None) != (self.close is None) or self.open == "" or self.close == "":
            raise ValueError("open and close go together and are not empty")
        return self


class Fence(_Part):
    """Environment output inside the text of a model turn. The newlines around it are the environment's too."""

    open: str = Field(min_length=1)
    close: str = Field(min_length=1)


class Finish(_Part):
    """A key that tells why the episode ended, and what its values mean. Other values are `unknown`."""

    key: str
    values: dict[str, FinishReason]


class Preset(_Part):
    """One source. What is not described stays in `Trajectory.extra`."""

    name: str
    framework: str
    recognise: list[list[str]] = Field(default=[], description="A record with all keys of one list is this source's.")

    turns: list[str] = Field(min_length=1, description="Key of the turns: objects, one text, or a text per sample.")
    role: list[str] = Field(default=["role"], description="Key that tells what a turn is.")
    content: str = Field(default="content", description="Key of a turn's text.")
    kinds: dict[str, Kind] = Field(default={}, description="Role of a turn to what it is.")
    prompt: list[str] = Field(default=[], description="Key of the question, where the turns are texts.")

    rules: str = Field(default="python", description="Failure rules, where the user names none: a set or a YAML file.")
    tools: list[Tool] = Field(min_length=1, description="In order: the first whose opening is in a turn decides.")
    prefix: str = Field(default="", description="What the harness puts before each model turn; removed.")
    suffix: str = Field(default="", description="What it puts after; removed.")
    result: Fence | None = Field(default=None, description="How results are set inside model text, if they are.")
    result_prefix: str | None = Field(default=None, description="A user turn starting so is a result, not a person.")
    unparsed: str | None = Field(
        default=None, description="Result saying that a turn held no call. With it, every turn must hold one."
    )

    answer_block: bool = Field(default=False, description="A second text at the very end repeats the answer alone.")
    max_blocks: int | None = Field(default=None, description="A row with this many text and code turns was cut.")
    cut_text: str | None = Field(default=None, description="The harness ends a text with this when it cuts a row.")
    final: str | None = Field(default=None, description="A last turn without a call that holds this ended by itself.")
    finish: Finish | None = None

    task: list[str] = Field(default=[], description="Keys that name the task; those present are joined by a slash.")
    task_text: str | None = Field(default=None, description="Key whose digest is added, where names repeat.")
    sample: list[str] = []
    answer: list[str] = []
    reference: list[str] = []
    reward: list[str] = Field(default=[], description="A number or a boolean.")
    model: list[str] = []


@cache
def built_in() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


@cache
def load(name: str) -> Preset:
    """A built-in preset by name, or a YAML file. Raises `PurifyError` saying what is wrong with it."""
    path = FOLDER / f"{name}.yaml" if name in built_in() else Path(name)
    try:
        described = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        raise PurifyError(f"preset {name!r} is no readable file and none of: {', '.join(built_in())}") from None
    except yaml.YAMLError as error:
        raise PurifyError(f"preset {name}: not YAML: {' '.join(str(error).split())}") from None
    try:
        return Preset.model_validate(described)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise PurifyError(f"preset {name}: {where}: {first['msg']}") from None
