"""What `purify score` adds to a row: log-probs of its model tokens under a checkpoint and the stored context.

*Model tokens* are those of `reasoning` and `action` of every step, in this order. Every list here has one value a model
token, so that they can be read beside the row's ids without knowing steps.
"""

from __future__ import annotations

from pydantic import Field

from purify_schemas.rows import Float64, Int32, LogProbs, Row


class EditScore(Row):
    """How far an accepted edit moved its graft off its policy: log pi(graft | stored) - log pi(graft | as sampled).

    The graft is the corrected call, and with a deep edit its reasoning too. `raw_steps` are the edit's.
    """

    raw_steps: list[Int32]
    tokens: Int32 = Field(description="Model tokens of the graft.")
    log_ratio: Float64 = Field(description="Sum over the graft's tokens, in nats; its exponential is the ratio.")


class Scores(Row):
    """The scores of one row. Where `problem` says why there are none, every list is null."""

    model: str | None = Field(default=None, description="Who scored, as source.model names a model.")
    revision: str | None = Field(default=None, description="Digest (folder) or commit (hub) of its weights.")
    temperature: Float64 = 1.0
    tokenizer_digest: str | None = None
    template_digest: str | None = None
    rendered: bool = Field(default=False, description="The row had no ids: text was rendered and encoded.")
    logprobs: LogProbs | None = Field(default=None, description="pi_old: under the stored context, at `temperature`.")
    raw_logprobs: LogProbs | None = Field(
        default=None, description="Of the raw trajectory's model tokens under the raw context (score --both)."
    )
    entropy: LogProbs | None = Field(default=None, description="Of the distribution each token was drawn from, nats.")
    self_certainty: LogProbs | None = Field(
        default=None, description="KL(uniform || p) of that distribution, in nats (arXiv 2502.18581)."
    )
    edits: list[EditScore] = []
    problem: str | None = Field(default=None, description="Why the row could not be scored.")
