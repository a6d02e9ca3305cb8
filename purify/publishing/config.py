"""Every option of `purify publish`."""

from __future__ import annotations

import re
from difflib import get_close_matches
from importlib.util import find_spec
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from purify.publishing.personal import PERSONAL_KINDS
from purify.publishing.secrets import SECRET_KINDS

KINDS = (*SECRET_KINDS, *PERSONAL_KINDS)
"""What a finding can be: `secret:NAME` or `personal:NAME`."""
_REPO = re.compile(r"[\w.-]+/[\w.-]+")
_LICENSE = re.compile(r"[a-z0-9][a-z0-9.+-]*")


def _kind(name: str) -> str:
    known = ("all", "secret", "personal", *KINDS)
    if name not in known:
        near = get_close_matches(name, known, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        what = "name all, secret, personal, or a kind of those in audit.json, like"
        raise ValueError(f"no such kind of finding{hint}; {what} {PERSONAL_KINDS[0]}")
    return name


class PublishConfig(BaseModel):
    """What is written into the published folder, and where it is uploaded. Without `repo` nothing is uploaded."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    repo: str | None = Field(default=None, description="Dataset repository on the hub to upload to, as USER/NAME.")
    dry_run: bool = Field(default=False, description="Write the folder and upload nothing.")
    public: bool = Field(default=False, description="Create the repository public; it is private otherwise.")
    replace_repo: bool = Field(
        default=False,
        description="Replace what a repository holds that publish did not write; all its files are deleted.",
    )
    token_env: str | None = Field(
        default=None, description="Environment variable that holds the token (default: HF_TOKEN, or `hf auth login`)."
    )
    title: str | None = Field(default=None, description="Heading of the dataset card (default: the repository's name).")
    license: str | None = Field(default=None, description="Licence of the dataset, by its hub identifier.")
    source_license: dict[str, str] = Field(
        default={}, description="Licence of a source: of a framework, a model, or a file or folder of the dump."
    )
    date_published: Annotated[str | None, Field(pattern=r"^\d{4}-\d\d-\d\d$")] = Field(
        default=None, description="Date for croissant.json, as YYYY-MM-DD; no clock is read."
    )
    allow_findings: tuple[Annotated[str, AfterValidator(_kind)], ...] = Field(
        default=(), description="Upload in spite of these findings: a kind, secret, personal or all."
    )
    benchmark: tuple[str, ...] = Field(
        default=(), description="File of benchmark questions (JSON, JSON lines, Parquet, text) to look for in prompts."
    )
    benchmark_field: str | None = Field(
        default=None, description="Field of the question in --benchmark, where it has an unusual name."
    )
    drop_contaminated: bool = Field(
        default=False, description="Leave out rows whose prompt holds a benchmark question; they are kept aside."
    )
    near_duplicates: float = Field(
        default=0.8,
        ge=0,
        le=1,
        description="Jaccard similarity at or above which rows are near-duplicates; 0: no look.",
    )

    @field_validator("allow_findings", "benchmark", mode="before")
    @classmethod
    def _several(cls, value: object) -> object:
        """One name stands for a list of one, as on the command line."""
        return (value,) if isinstance(value, str) else value

    @field_validator("license")
    @classmethod
    def _identifier(cls, value: str | None) -> str | None:
        if value is not None and not _LICENSE.fullmatch(value):
            what = "no identifier of the hub: those are in lower case, like apache-2.0"
            raise ValueError(f"{what} (huggingface.co/docs/hub/repositories-licenses)")
        return value

    @field_validator("repo")
    @classmethod
    def _named(cls, value: str | None) -> str | None:
        if value is not None and not _REPO.fullmatch(value):
            raise ValueError("must be USER/NAME")
        if value is not None and find_spec("huggingface_hub") is not None:
            from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

            try:
                validate_repo_id(value)
            except ValueError as error:  # the hub's own rules, some lines long
                raise ValueError(" ".join(str(error).split())) from None
        return value

    @model_validator(mode="after")
    def _together(self) -> Self:
        if self.drop_contaminated and not self.benchmark:
            raise ValueError("drop_contaminated needs a benchmark to compare with")
        if self.benchmark_field is not None and not self.benchmark:
            raise ValueError("benchmark_field needs a benchmark that has the field")
        for name in ("public", "replace_repo"):
            if getattr(self, name) and self.repo is None:
                raise ValueError(f"{name} needs a repo to upload to")
        return self

    def allows(self, kind: str) -> bool:
        """Whether a finding of this kind does not stop the upload."""
        return bool({"all", kind, kind.partition(":")[0]} & set(self.allow_findings))
