"""Exporter `recovery`: a prompt for each failed call, to learn how to go on from it.

Fission-GRPO (arXiv 2601.15625) does the opposite of purifying: a failed call becomes the end of a prompt, followed by a
diagnosis, from which the policy is sampled anew. Its diagnoses are written by a trained simulator; ours are a template
over what the call itself left: the tool, the type of error, the last line of the result. Failures that were purified
away are put back first. `recovered_in` says after how many steps the policy itself made a call of the same tool that
succeeded; null if it never did, so that either kind can be picked.

    purify export purified/ -o recovery/ --to recovery
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pyarrow as pa

from purify.exporting.base import JSON, Layout, RowData, Tally
from purify.exporting.chat import LOSSES, losses_of, prompt_messages
from purify.exporting.config import ExportConfig
from purify.exporting.formats.messages import MESSAGES, ROW_FIELDS, message_rows, row_fields, tool_rows
from purify.exporting.pairs import turns
from purify.saar import restore_trajectory
from purify_schemas import Call, Step, Trajectory

NO_FAILURE = "no failed call"
LINE_CHARS = 300
"""At most so much of the result's last line is quoted."""


class Recovery:
    """See the module's docstring."""

    name = "recovery"
    reader = "sampling from failures (Fission-GRPO), as prompts with `tools`"
    losses: Mapping[str, str] = {
        **{name: LOSSES[name] for name in LOSSES if name != "not_sampled"},
        "later_turns": "what came after the failed call",
        "online_edits": "failures that were rolled back while generating",
    }
    layout: Layout = "parquet"
    schema: pa.Schema | None = pa.schema(
        [
            ("prompt", MESSAGES),
            ("tools", pa.list_(JSON)),
            *ROW_FIELDS,
            ("step", pa.int32()),
            ("call", pa.int32()),
            ("tool", pa.string()),
            ("status", pa.string()),
            ("error_type", pa.string()),
            ("recovered_in", pa.int32()),
        ]
    )

    def records(self, trajectory: Trajectory, config: ExportConfig, tally: Tally) -> Iterator[RowData]:
        online = trajectory.provenance is not None and trajectory.provenance.online
        raw = trajectory if trajectory.provenance is None or online else restore_trajectory(trajectory)
        if not any(step.failed for step in raw.steps):
            tally.skip(NO_FAILURE)
            return
        rolled_back = online and trajectory.provenance is not None and trajectory.provenance.edits
        tally.lose("later_turns", *(losses_of(raw) - {"not_sampled"}), *(["online_edits"] if rolled_back else []))
        for index, step in enumerate(raw.steps):
            for position, call in enumerate(step.calls):
                if not call.failed:
                    continue
                told = {"role": "user", "content": diagnosis(call, result_of(step, position))}
                yield {
                    "prompt": message_rows([*prompt_messages(raw), *turns(raw, 0, index + 1), told]),
                    "tools": tool_rows(raw),
                    **row_fields(raw),
                    "step": index,
                    "call": position,
                    "tool": call.name,
                    "status": call.status,
                    "error_type": call.error_type,
                    "recovered_in": recovered_in(raw, index, call),
                }


def diagnosis(call: Call, result: str | None) -> str:
    """What the policy is told of a failed call."""
    tool = f"Your call of `{call.name}`" if call.name is not None else "Your call"
    match call.status:
        case "malformed":
            what = f"{tool} could not be read"
        case "timeout":
            what = f"{tool} took too long and was stopped"
        case _:
            what = f"{tool} failed"
    kind = f" ({call.error_type})" if call.error_type is not None else ""
    lines = [line.strip() for line in (result or "").splitlines() if line.strip()]
    quoted = f" Its result ends with:\n{lines[-1][:LINE_CHARS]}\n" if lines else " "
    return f"{what}{kind}.{quoted}Find out what is wrong with it, then go on with a call that avoids it."


def result_of(step: Step, position: int) -> str | None:
    """The text that came back for a call: by its id, else by its place among the tool results, else all of them."""
    results = [message for message in step.observation.messages if message.role != "user"]
    identity = step.calls[position].id
    mine = [message for message in results if identity is not None and message.call_id == identity]
    if not mine and len(results) == len(step.calls):
        mine = [results[position]]
    texts = [message.content for message in mine or results if message.content is not None]
    return "\n".join(texts) if texts else None


def recovered_in(trajectory: Trajectory, index: int, failed: Call) -> int | None:
    """Steps from a failed call to the next successful one of the same tool; of any tool, where its name is unknown."""
    for later, step in enumerate(trajectory.steps[index + 1 :], start=1):
        if any(call.status == "ok" and failed.name in (None, call.name) for call in step.calls):
            return later
    return None
