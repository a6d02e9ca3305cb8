"""What importers of text dumps share: two rendered texts, a prompt and what followed it, become a trajectory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from purify.importing.base import Record, RecordContext
from purify.importing.checks import json_text
from purify.importing.record_fields import reward_value
from purify.importing.templates import TemplateName, cut_output, cut_prompt, find_template
from purify.importing.text_turns import read_texts
from purify.importing.turns import build_steps, tool_states
from purify_schemas import Reward, Source, Trajectory
from purify_schemas.names import ToolStateName

# How these tools of training recipes run: rStar2-Agent's and Open-CLEANER's code judge (recipe/cleaner/
# code_judge_tool.py of Tianshi-Xu/Open-CLEANER) runs earlier cells again before a jupyter_code cell, and each program
# with standard input on its own.
_STATES: Mapping[str, ToolStateName] = {"jupyter_code": "python_kernel", "python_code_with_standard_io": "stateless"}


def text_trajectory(
    record: Record,
    context: RecordContext,
    prompt: str,
    output: str,
    *,
    source: Source,
    task_id: str | None,
    lossy: str,
    extra: dict[str, Any],
    states: Mapping[str, ToolStateName] = {},
    **fields: Any,
) -> Trajectory:
    """The row of one rollout. `extra` keeps beside the rest that text is all there was, and how it was cut.

    Raises `RejectedRecordError`, saying which template to name, where the text cannot be cut.
    """
    template = chosen_template(context, prompt, output)
    parts = cut_output(output, template)
    messages, turns = read_texts(cut_prompt(prompt, template), parts)
    steps = build_steps(turns, context)
    if "finish_reason" not in fields and parts and parts[-1].role == "assistant" and parts[-1].closed:
        fields["finish_reason"] = "unknown" if steps[-1].calls else "stop"
    known = {**_STATES, **states}
    return context.trajectory(
        record=record,
        messages=messages,
        source=source,
        task_id=task_id,
        sample_index=None,
        tool_states={name: known.get(name, state) for name, state in tool_states(steps).items()},
        steps=steps,
        extra=json_text(extra | {"lossy": lossy, "template": template}, "the record"),
        **fields,
    )


def chosen_template(context: RecordContext, prompt: str, output: str) -> TemplateName:
    named = context.config.template
    return find_template(prompt, output) if named == "auto" else named


def reward_parts(record: Record) -> list[Reward]:
    """Numbers and verdicts that are called a reward, a score or an accuracy, beside `score` itself."""
    named = [key for key in record if key in ("acc", "reward") or key.endswith(("_reward", "_score", "_acc"))]
    values = {key: float(value) if isinstance(value := record[key], bool) else reward_value(value) for key in named}
    return [Reward(name=key, value=value) for key, value in values.items() if value is not None]
