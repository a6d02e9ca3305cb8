"""`audit.json`: what was found in a dataset before it was published. Values are masked, places are exact."""

from __future__ import annotations

from collections import Counter

from pydantic import BaseModel, ConfigDict, Field


class _Report(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Finding(_Report):
    """One secret or piece of personal data."""

    row: int | None = Field(description="Row number in the published dataset, from 0; null: in no row.")
    trajectory_id: str | None = Field(description="Null: in the options of a stage, which manifest.json holds.")
    field: str = Field(description="For example steps[2].calls[0].arguments.code.")
    kind: str = Field(description="secret:NAME or personal:NAME.")
    masked: str = Field(description="The first two characters and the length; never the thing itself.")


class Contaminated(_Report):
    """One row whose prompt holds a benchmark question, or 13 words of one in a row."""

    row: int = Field(description="Row number in the dataset that was published, from 0.")
    trajectory_id: str
    benchmark: str = Field(description="Name of the benchmark file.")
    question: int = Field(description="Its number in the file, from 0.")
    ngram: str = Field(description="The first common words.")


class Benchmark(_Report):
    name: str
    sha256: str
    questions: int
    too_short: int = Field(description="Questions of fewer than 8 words, which cannot be told from chance.")
    shared: int = Field(description="Questions that say nothing of their own: more than 10 others of the file say it.")


class Contamination(_Report):
    benchmarks: list[Benchmark]
    rows: list[Contaminated]
    dropped: bool = Field(description="Whether these rows were left out of the published copy.")


class Cluster(_Report):
    """Rows that are near-duplicates of the first of them, or of a row that joins two such clusters."""

    rows: list[int] = Field(description="Row numbers in the published dataset.")
    groups: int = Field(description="Distinct groups (tasks) they belong to; 1 is one prompt answered alike.")


class NearDuplicates(_Report):
    threshold: float
    rows: int = Field(description="Rows that were compared; those whose model wrote nothing were not.")
    clusters: list[Cluster] = Field(description="The largest first.")

    @property
    def clustered(self) -> int:
        return sum(len(cluster.rows) for cluster in self.clusters)

    @property
    def across(self) -> int:
        """Clusters over more than one group."""
        return sum(cluster.groups > 1 for cluster in self.clusters)


class Audit(_Report):
    """Everything that was looked for, in the order in which it stands in `audit.json`."""

    rows: int = Field(description="Rows that were read.")
    texts: int = Field(description="Texts in them: prompts, reasoning, calls, observations, extras, removed parts.")
    kinds: list[str] = Field(description="What was looked for.")
    libraries: dict[str, str] = Field(description="The scanning libraries and their versions.")
    findings: list[Finding]
    contamination: Contamination | None = Field(default=None, description="Null without a benchmark.")
    near_duplicates: NearDuplicates | None = Field(default=None, description="Null where that was switched off.")

    @property
    def contaminated(self) -> list[Contaminated]:
        return self.contamination.rows if self.contamination else []

    @property
    def dropped(self) -> int:
        """How many rows were left out of the published copy."""
        return len(self.contaminated) if self.contamination and self.contamination.dropped else 0

    def counts(self) -> dict[str, int]:
        """Findings by kind, the most frequent first."""
        return dict(Counter(finding.kind for finding in self.findings).most_common())
