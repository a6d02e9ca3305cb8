"""Exporter `atif`: Agent Trajectory Interchange Format v1.8, one JSON object a line.

How each call ended is in `tool_calls[].extra`, the token ids of a row that has them all in `metrics` (each turn with
its whole prompt, as the format asks: long rows grow with the square of their turns), the edits of a purified row in
`extra.provenance`, and what `purify import` needs to give the row back in the members `purify` of `extra`.

Field names: rfcs/0001-trajectory-format.md of harbor-framework/harbor, and the models of the package atif 1.8.0.

    purify export purified/ -o atif/ --to atif
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from purify.exporting.base import Layout, RowData, Tally
from purify.exporting.calls import chat_calls
from purify.exporting.chat import LOSSES, losses_of, tool_definitions
from purify.exporting.config import ExportConfig
from purify.exporting.formats.atif_steps import AtifStep, add_metrics, message_step, turn_steps
from purify.exporting.ids import ids_problem, stretches
from purify.json_text import dump_json
from purify_schemas import Trajectory
from purify_schemas.carried import CARRIED, Carried

VERSION = "ATIF-v1.8"
UNKNOWN = "unknown"
"""For the agent's name and version, which the format requires."""


class Atif:
    """See the module's docstring."""

    name = "atif"
    reader = "Harbor, and whatever reads ATIF v1.8"
    losses: Mapping[str, str] = {
        "malformed_calls": "calls whose arguments are no object are part of the turn's text (import restores them)",
        "token_ids": "token ids and log-probs of rows in which those of some part are missing",
        "logprobs": "sampled log-probs of turns that have them for some tokens only, or are stale after an edit",
        "provenance": "the record of edits is kept in extra.provenance, but import does not read it back",
        "surrogates": LOSSES["surrogates"],
        "scores": "of a scoring pass, all but the log-probs that stand in for stale ones (metrics.extra says where)",
    }
    layout: Layout = "lines"
    schema: pa.Schema | None = None

    def records(self, trajectory: Trajectory, config: ExportConfig, tally: Tally) -> Iterator[RowData]:
        if not trajectory.steps:
            tally.skip("no turn of the model")
            return
        lost = losses_of(trajectory) & {"provenance", "scores", "surrogates"}
        if any(chat_calls(step) is None for step in trajectory.steps):
            lost.add("malformed_calls")
        turns = [turn_steps(index, step) for index, step in enumerate(trajectory.steps)]
        has_ids = trajectory.prompt_token_ids is not None or any(
            part.token_ids is not None
            for step in trajectory.steps
            for part in (step.reasoning, step.action, step.observation)
        )
        if has_ids:
            lost |= _add_ids(trajectory, turns)
        tally.lose(*lost)
        listed = [*map(message_step, trajectory.messages), *(step for turn in turns for step in turn)]
        steps = [{"step_id": number, **step} for number, step in enumerate(listed, start=1)]
        yield {
            "schema_version": VERSION,
            "trajectory_id": trajectory.trajectory_id,
            "agent": _agent(trajectory),
            "steps": steps,
            "final_metrics": {"total_steps": len(steps)},
            "extra": {**_extra(trajectory), CARRIED: Carried.of(trajectory, self.name, {"steps": steps}).members()},
        }


def _add_ids(trajectory: Trajectory, turns: list[list[AtifStep]]) -> set[str]:
    """Metrics for every turn, if they make one sequence; and what is lost."""
    prompt, *parts = stretches(trajectory)
    sides = [parts[at : at + 2] for at in range(0, len(parts), 3)]
    if ids_problem(trajectory) is not None or not prompt.ids or not all(one.ids or two.ids for one, two in sides):
        return {"token_ids"}
    before = list(prompt.ids)
    cut = any(part.stale for part in parts)
    for index, (step, turn, side) in enumerate(zip(trajectory.steps, turns, sides, strict=True)):
        cut |= add_metrics(turn[0], step, before, side, last=index == len(turns) - 1)
        before += [token for part in parts[3 * index : 3 * index + 3] for token in part.ids]
    return {"logprobs"} if cut else set()


def _agent(trajectory: Trajectory) -> dict[str, Any]:
    source = trajectory.source
    agent: dict[str, Any] = {"name": source.framework or UNKNOWN, "version": source.revision or UNKNOWN}
    if source.model is not None:
        agent["model_name"] = source.model
    tools = tool_definitions(trajectory)
    if tools:
        agent["tool_definitions"] = tools
    return agent


def _extra(trajectory: Trajectory) -> dict[str, Any]:
    """What ATIF has no field for, under names that are commonly read."""
    extra: dict[str, Any] = {
        "task_id": trajectory.task_id,
        "group_id": trajectory.group_id,
        "reward": trajectory.reward,
        "final_answer": trajectory.answer,
        "reference": trajectory.reference,
    }
    extra = {name: value for name, value in extra.items() if value is not None}
    tools = tool_definitions(trajectory)
    if trajectory.tools != dump_json(tools):
        extra["tools"] = trajectory.tools
    if trajectory.provenance is not None:
        extra["provenance"] = trajectory.provenance.model_dump(mode="json", exclude_defaults=True)
    return extra
