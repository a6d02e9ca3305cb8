"""The row form of the data contract: one `Trajectory` is one tool-using rollout.

A trajectory is prompt messages followed by *steps*. A step is one assistant turn with what came back:

    reasoning  ->  action (the call)  ->  observation

Try it:

    python -c "from purify_schemas import Trajectory; print(Trajectory.model_json_schema()['title'])"
"""

from __future__ import annotations

import math
import struct
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from purify_schemas.names import FAILED, Boundary, FinishReason, Status, ToolStateName


def _single(value: float) -> float:
    """Round to float32, the precision it is stored with, so that a row equals its round trip."""
    if not math.isfinite(value):
        raise ValueError(f"must be a finite number, got {value}")
    try:
        return float(struct.unpack("<f", struct.pack("<f", value))[0])
    except OverflowError:
        raise ValueError(f"{value} does not fit a float32") from None


def _singles(values: list[float]) -> list[float]:
    layout = f"<{len(values)}f"
    try:
        rounded = list(struct.unpack(layout, struct.pack(layout, *values)))
    except OverflowError:
        raise ValueError("a log-prob does not fit a float32") from None
    if not all(map(math.isfinite, rounded)):
        raise ValueError("log-probs must be finite; use null for unknown")
    return rounded


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError(f"must be a finite number, got {value}")
    return value


Int32 = Annotated[int, Field(ge=-(2**31), lt=2**31)]
Int64 = Annotated[int, Field(ge=-(2**63), lt=2**63)]
TokenId = Annotated[int, Field(ge=0, lt=2**31)]
Float32 = Annotated[float, AfterValidator(_single)]
Float64 = Annotated[float, AfterValidator(_finite)]
LogProbs = Annotated[list[float], AfterValidator(_singles)]


class Row(BaseModel):
    """Base of every record: frozen, and strict about unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Message(Row):
    """One chat message that the model did not write (prompt, tool result, a user between turns)."""

    role: str
    name: str | None = None
    content: str | None = Field(default=None, description="Text. null and the empty string are different things.")
    parts: str | None = Field(default=None, description="JSON of non-text content.")
    tool_calls: str | None = Field(default=None, description="JSON of the calls in a demonstration turn.")
    call_id: str | None = Field(default=None, description="Of a tool result: the call it answers.")
    extra: str | None = Field(default=None, description="JSON of fields the importer did not understand.")


class Segment(Row):
    """A stretch of model output. `logprobs` are those of the sampling distribution (mu), one a token."""

    text: str | None = None
    token_ids: list[TokenId] | None = None
    logprobs: LogProbs | None = None

    @model_validator(mode="after")
    def _aligned(self) -> Segment:
        if self.logprobs is not None:
            if self.token_ids is None:
                raise ValueError("logprobs without token_ids")
            if len(self.logprobs) != len(self.token_ids):
                raise ValueError(f"{len(self.token_ids)} token_ids but {len(self.logprobs)} logprobs")
        return self


class Call(Row):
    """One tool call and how it ended. `name` is null where the call could not be parsed."""

    id: str | None = None
    name: str | None = None
    arguments: str | None = Field(default=None, description="The argument object as a JSON string, as sampled.")
    status: Status = "unknown"
    error_type: str | None = Field(default=None, description="For example NameError, exit_code_1, invalid_json.")
    status_source: str | None = Field(default=None, description="The source's own flag, or the rule that decided.")
    duration_s: Float64 | None = None

    @property
    def failed(self) -> bool:
        return self.status in FAILED


class Observation(Row):
    """What came back after a turn: tool results, and anything a user said before the next turn."""

    token_ids: list[TokenId] | None = Field(
        default=None, description="The environment's and the template's tokens up to the next generation."
    )
    messages: list[Message] = []

    @property
    def has_human(self) -> bool:
        return any(message.role == "user" for message in self.messages)


class Step(Row):
    """One assistant turn and its observation.

    The *reasoning side* of a step is `reasoning` and `thinking_chars`; everything else is its *action side*.
    An edit recombines sides and touches nothing else.
    """

    reasoning: Segment = Segment()
    thinking_chars: Annotated[int, Field(ge=0, lt=2**31)] = Field(
        default=0, description="How many leading characters of reasoning.text are the thinking part."
    )
    action: Segment = Field(default=Segment(), description="Raw text from the start of the call to the turn's end.")
    calls: list[Call] = []
    observation: Observation = Observation()
    boundary: Boundary = Field(
        default="exact", description="Whether the ids split cleanly between reasoning and action."
    )
    extra: str | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Step:
        if self.thinking_chars > len(self.reasoning.text or ""):
            raise ValueError(f"thinking_chars {self.thinking_chars} exceeds the reasoning text")
        ids = {call.id for call in self.calls if call.id is not None}
        for message in self.observation.messages:
            if ids and message.call_id is not None and message.call_id not in ids:
                raise ValueError(f"observation answers call {message.call_id!r}, which this step did not make")
        return self

    @property
    def failed(self) -> bool:
        return any(call.failed for call in self.calls)

    @property
    def has_ids(self) -> bool:
        return self.reasoning.token_ids is not None or self.action.token_ids is not None

    @property
    def has_both_ids(self) -> bool:
        return self.reasoning.token_ids is not None and self.action.token_ids is not None


class ToolState(Row):
    """Whether calls of a tool can be dropped or swapped without changing what later calls see."""

    name: str
    state: ToolStateName = "unknown"


class Reward(Row):
    name: str
    value: Float32


class Source(Row):
    """Where a row comes from. Paths are relative to the imported folder; there is no wall-clock."""

    framework: str | None = None
    format: str | None = None
    file: str | None = None
    row: Int64 | None = Field(default=None, description="0-based record number inside `file`.")
    model: str | None = None
    revision: str | None = Field(default=None, description="Revision of the policy that sampled this row.")
    round: Int32 | None = None
    temperature: Float64 | None = None
    sampling: str | None = Field(default=None, description="JSON of the other sampling parameters.")
    tokenizer_digest: str | None = None
    template_digest: str | None = None
    logprobs_mode: str | None = Field(default=None, description="For example processed_logprobs (vLLM).")


class Trajectory(Row):
    """One rollout, raw or purified (then `provenance` is set)."""

    trajectory_id: str
    task_id: str
    group_id: str = Field(description="The GRPO group: digest of source, task, policy revision and round.")
    sample_index: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    messages: list[Message] = []
    tools: str | None = Field(default=None, description="Tool definitions, OpenAI JSON.")
    tool_state: list[ToolState] = []
    prompt_token_ids: list[TokenId] | None = None
    steps: list[Step] = []
    answer: str | None = None
    reference: str | None = None
    reward: Float32 | None = None
    rewards: list[Reward] = []
    finish_reason: FinishReason = "unknown"
    source: Source = Source()
    extra: str | None = Field(default=None, description="JSON of everything the importer did not understand.")
    provenance: Provenance | None = None
    scores: Scores | None = None

    @model_validator(mode="after")
    def _scored(self) -> Trajectory:
        if self.scores is not None and self.scores.logprobs is not None:
            tokens = sum(len(part.token_ids or ()) for step in self.steps for part in (step.reasoning, step.action))
            for name in ("logprobs", "entropy", "self_certainty"):
                values = getattr(self.scores, name)
                if values is not None and len(values) != tokens:
                    raise ValueError(f"{tokens} model tokens but {len(values)} scored {name}")
        return self

    def state_of(self, tool: str | None) -> ToolStateName:
        """The declared state of a tool; `unknown` where nothing was declared."""
        return next((entry.state for entry in self.tool_state if entry.name == tool), "unknown")


from purify_schemas.provenance import Provenance  # noqa: E402  (both build on the rows above)
from purify_schemas.scores import Scores  # noqa: E402

Trajectory.model_rebuild()
