"""Importer `slime`: rollouts that slime saved with `--save-debug-rollout-data` (or `--dump-details`).

    {"rollout_id": 3, "sample": {"group_index": 0, "index": 5, "prompt": "...", "tokens": [1, 2, 3],
     "response": "...", "response_length": 2, "loss_mask": [1, 1], "rollout_log_probs": [-0.5, 0.0],
     "reward": 1.0, "label": "2", "status": "completed", "metadata": {}}}

The file is a pickle (`slime_file.py`) with the rollout's number and `Sample.to_dict()` of every sample: slime/utils/
types.py, slime/ray/rollout.py and, in later versions, slime/observability/rollout_data_utils.py of THUDM/slime.
`loss_mask` and `rollout_log_probs` are as long as the response; without a mask all of it is the model's.

Turns are cut out of the text as in other text dumps. If the mask has as many runs as the text has turns, each turn gets
the ids of its run; if not, or if the mask hides what the response begins with, no id of the row is used, the reason is
kept in `extra`, and the lists stay there too.

    purify import rollout_data/ -o rollouts/ --format slime
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from purify.errors import RejectedRecordError
from purify.importing.base import Record, RecordContext
from purify.importing.checks import (
    as_list,
    as_object,
    json_text,
    leftover,
    number,
    optional_string,
    string,
    token_ids,
    wrong,
)
from purify.importing.formats.openai_turns import read_message
from purify.importing.formats.text_records import chosen_template
from purify.importing.masked import MaskedRun, attach_runs, masked_steps
from purify.importing.record_fields import reward_value, tool_definitions
from purify.importing.templates import TemplateName, cut_output, cut_prompt
from purify.importing.text_turns import read_texts
from purify.importing.turns import Turn, build_steps, tool_states
from purify_schemas import Message, Reward, Source, Trajectory
from purify_schemas.names import FinishReason

KEYS = frozenset({"prompt", "tokens", "response", "response_length", "status"})
IDS = ("tokens", "loss_mask", "rollout_log_probs")

_FINISH: Mapping[object, FinishReason] = {"completed": "stop", "truncated": "length", "failed": "error"}


class Slime:
    """See the module's docstring."""

    name = "slime"
    default_rules = "tool"

    def recognise(self, record: Record) -> str | None:
        sample = record.get("sample")
        if not isinstance(sample, Mapping) or "rollout_id" not in record or not sample.keys() >= KEYS:
            return None
        return "has a sample with tokens, response, response_length, status"

    def read(self, record: Record, context: RecordContext) -> list[Trajectory]:
        return [_row(record, as_object(record.get("sample"), "sample"), context)]


def _row(record: Record, sample: Mapping[str, Any], context: RecordContext) -> Trajectory:
    messages, turns, template = _read_text(sample, context)
    steps = build_steps(turns, context)
    extra = leftover(sample, {"prompt", "response", "response_length"})
    prompt_ids: list[int] | None = None
    problem = None
    if sample.get("tokens"):
        prompt_ids, runs, problem = _ids(sample, len(steps))
        if problem is None:
            steps = attach_runs(steps, runs)
            extra = leftover(extra, IDS)
        else:
            extra["token_ids_dropped"] = problem
    finish = _FINISH.get(status := extra.get("status")) if isinstance(extra.get("status"), str) else None
    if finish is not None and status != "failed":
        del extra["status"]
    reward, parts = _reward(extra)
    group, index = _index(extra, "group_index"), _index(extra, "index")
    # Samples that one rollout was split into say so by an id of their own, and may share their index.
    split = sample.get("rollout_id") is not None
    return context.trajectory(
        record=record,
        messages=messages,
        source=Source(framework="slime", format="slime", round=_index(dict(record), "rollout_id")),
        task_id=None if group is None else str(group),
        sample_index=None if split else index,
        tool_states=tool_states(steps),
        tools=_tools(sample.get("metadata")),
        prompt_token_ids=prompt_ids if problem is None else None,
        steps=steps,
        reference=_reference(extra),
        reward=reward,
        rewards=parts,
        finish_reason=finish or "unknown",
        extra=json_text(extra | ({"index": index} if split else {}) | {"template": template}, "the sample"),
    )


def _read_text(sample: Mapping[str, Any], context: RecordContext) -> tuple[list[Message], list[Turn], TemplateName]:
    response, prompt = string(sample, "response", "sample"), sample.get("prompt")
    if not isinstance(prompt, str):
        items = [as_object(item, f"sample.prompt[{i}]") for i, item in enumerate(as_list(prompt, "sample.prompt"))]
        for position, item in enumerate(items):
            string(item, "role", f"sample.prompt[{position}]")
        messages = [read_message(item, f"sample.prompt[{i}]") for i, item in enumerate(items)]
        template = chosen_template(context, "", response)
        more, turns = read_texts([], cut_output(response, template))
        return messages + more, turns, template
    template = chosen_template(context, prompt, response)
    return *read_texts(cut_prompt(prompt, template), cut_output(response, template)), template


def _ids(sample: Mapping[str, Any], turns: int) -> tuple[list[int], list[MaskedRun], str | None]:
    """The prompt's ids and the runs of the response; or why they cannot be used."""
    tokens = token_ids(sample["tokens"], "sample.tokens")
    length = sample.get("response_length")
    if type(length) is not int or not 0 <= length <= len(tokens):
        raise wrong("sample.response_length", length, f"a number of tokens up to {len(tokens)}")
    prompt, response = tokens[: len(tokens) - length], tokens[len(tokens) - length :]
    if (given := sample.get("loss_mask")) is None:
        mask: list[Any] = [1] * length
    else:
        mask = as_list(given, "sample.loss_mask")
    logprobs = sample.get("rollout_log_probs")
    if logprobs is not None:
        logprobs = [number(value) for value in as_list(logprobs, "sample.rollout_log_probs")]
    try:
        hidden, runs = masked_steps(response, mask, logprobs or None)
    except RejectedRecordError as error:
        return prompt, [], str(error)
    if hidden:
        return prompt, [], "the response begins with tokens that the loss mask leaves out"
    if len(runs) != turns:
        return prompt, [], f"the loss mask has {len(runs)} runs, the text has {turns} turns"
    return prompt, runs, None


def _reward(extra: dict[str, Any]) -> tuple[float | None, list[Reward]]:
    """`reward` is a number, or named parts. Which of them counts, slime's --reward-key, is not written: the part that
    is called so."""
    value = extra.get("reward")
    if (reward := reward_value(value)) is not None:
        del extra["reward"]
        return reward, []
    if not isinstance(value, dict):
        return None, []
    parts = {name: reward_value(part) for name, part in value.items()}
    known = [Reward(name=name, value=part) for name, part in parts.items() if part is not None]
    if len(known) == len(parts):
        del extra["reward"]
    named = (parts[key] for key in ("reward", "score") if parts.get(key) is not None)
    return next(named, None), known


def _tools(metadata: object) -> str | None:
    """Tool definitions, where the metadata, which is the user's own, has a list that can be of them. It stays there."""
    tools = metadata.get("tools") if isinstance(metadata, Mapping) else None
    listed = isinstance(tools, list) and all(isinstance(tool, dict) for tool in tools)
    return tool_definitions(tools) if listed else None


def _reference(extra: dict[str, Any]) -> str | None:
    label = optional_string(extra, "label", "sample") if isinstance(extra.get("label"), str) else None
    if label is not None:
        del extra["label"]
    return label


def _index(owner: dict[str, Any], key: str) -> int | None:
    value = owner.get(key)
    if type(value) is not int or not 0 <= value < 2**31:
        return None
    del owner[key]
    return value
