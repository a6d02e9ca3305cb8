"""Importer `atropos`: groups of scored rollouts, as Atropos environments write them with `process` or while training.

    {"tokens": [[1, 2, 3], ...], "masks": [[-100, 2, 3], ...], "scores": [1.0, ...], "inference_logprobs": [[1.0, -0.5,
     -0.25], ...], "messages": [[{"role": "user", ...}, ...], ...], "advantages": ..., "group_overrides": {}, ...}

A record is a group of one task's samples; each becomes a trajectory, its position being the sample index. A mask holds
-100 where a token is not the model's and the token itself elsewhere; a log-prob above 0 (by convention 1.0) is none.
`messages` are chat messages of each sample, or its decoded text, which is cut by its template's marks.

Some environments train on the last turn alone and mask the earlier ones: then the mask has fewer runs than the messages
have turns, and the ids are dropped. Ids without `inference_logprobs` may be Atropos' own tokenization of the messages.

Field names: NousResearch/atropos, atroposlib/envs/base.py (`ScoredDataGroup`, `handle_send_to_api`),
atroposlib/api/server.py (`ScoredData`), atroposlib/envs/server_handling/MANAGED_SERVER.md (masks and log-probs).

    purify import groups.jsonl -o rollouts/ --format atropos
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from purify.chat.labels import IGNORED
from purify.errors import RejectedRecordError
from purify.importing.base import Record, RecordContext
from purify.importing.checks import as_list, json_text, leftover, number, token_ids
from purify.importing.formats.rollout_turns import read_chat, telling
from purify.importing.masked import MaskedRun, attach_runs, masked_steps
from purify.importing.record_fields import optional_reward
from purify.importing.templates import TemplateName, cut_prompt, find_template
from purify.importing.turns import Turn, build_steps, tool_states
from purify_schemas import Message, Source, Step, Trajectory

_GROUP = ("tokens", "masks", "scores")
_READ = {*_GROUP, "inference_logprobs", "messages", "generation_params"}


class Atropos:
    """See the module's docstring."""

    name = "atropos"
    default_rules = "tool"

    def recognise(self, record: Record) -> str | None:
        tokens, masks, scores = (record.get(key) for key in _GROUP)
        if not isinstance(tokens, list) or not isinstance(masks, list) or not isinstance(scores, list) or not tokens:
            return None
        rows = len(tokens) == len(masks) == len(scores) and all(isinstance(row, list) for row in [*tokens, *masks])
        return "group of tokens, masks and scores" if rows else None

    def read(self, record: Record, context: RecordContext) -> list[Trajectory]:
        tokens, masks, scores = (as_list(record.get(key), key) for key in _GROUP)
        if not len(tokens) == len(masks) == len(scores):
            raise RejectedRecordError(f"{len(tokens)} tokens, {len(masks)} masks, {len(scores)} scores: must be equal")
        return [_row(record, position, len(tokens), context) for position in range(len(tokens))]


def _row(record: Record, position: int, size: int, context: RecordContext) -> Trajectory:
    notes: dict[str, str] = {}
    said = _sample(record.get("messages"), position, size)
    prompt, turns, text = _chat(said, f"messages[{position}]", context.config.template)
    ids, runs = _ids(record, position, size, notes)
    steps = build_steps(turns, context)
    if not turns:
        steps = [Step() for _ in runs]
    if ids is not None and len(runs) != len(steps):
        notes["token_ids_dropped"] = f"{len(runs)} runs of the mask for {len(steps)} turns of the messages"
        ids = None
    if not steps:
        why = notes.get("token_ids_dropped", "the mask holds no run")
        raise RejectedRecordError(f"sample {position} has no turn of the model: no messages, and {why}")
    if ids is not None:
        steps = attach_runs(steps, runs)
    sampling = record.get("generation_params")
    sampling = sampling if isinstance(sampling, dict) else {}
    told = {key: _sample(value, position, size) for key, value in leftover(record, _READ).items()}
    return context.trajectory(
        record=record,
        messages=prompt,
        source=Source(
            framework="Atropos",
            format="atropos",
            temperature=number(sampling.get("temperature")),
            sampling=json_text(leftover(sampling, ("temperature",)), "generation_params"),
        ),
        task_id=None,
        sample_index=position,
        sample=position,
        tool_states=tool_states(steps),
        prompt_token_ids=ids,
        steps=steps,
        reward=optional_reward(as_list(record["scores"], "scores")[position], f"scores[{position}]"),
        extra=json_text(telling({**told, "text": text}) | notes, "the record"),
    )


def _sample(value: object, position: int, size: int) -> Any:
    """What belongs to one sample of a group: its element of a list as long as the group; else the whole value."""
    return value[position] if isinstance(value, list) and len(value) == size else value


def _chat(said: object, path: str, template: TemplateName) -> tuple[list[Message], list[Turn], str | None]:
    """Prompt and turns of a sample; or its text, where that cannot be cut into messages."""
    if said is None or said == []:
        return [], [], None
    if isinstance(said, str):
        items = _cut(said, template)
        return ([], [], said) if items is None else (*read_chat(items, path), None)
    prompt, turns = read_chat(as_list(said, path), path)
    if not turns:
        raise RejectedRecordError(f"{path} has no turn of the model")
    return prompt, turns, None


def _cut(text: str, template: TemplateName) -> list[dict[str, str]] | None:
    """The messages of a decoded text, if it has the marks of a known template and a turn of the model."""
    if template == "auto":
        try:
            template = find_template("", text)
        except RejectedRecordError:  # lines that are role words, and no marks: a guess, which nobody asked for
            return None
    if template == "none":
        return None
    parts = cut_prompt(text, template)
    if not any(part.role == "assistant" for part in parts):
        return None
    return [{"role": part.role, "content": part.text} for part in parts]


def _ids(record: Record, position: int, size: int, notes: dict[str, str]) -> tuple[list[int] | None, list[MaskedRun]]:
    """The prompt's ids and the runs of the mask; None and why in `notes` where the mask is not one."""
    tokens = token_ids(record["tokens"][position], f"tokens[{position}]")
    mask = as_list(record["masks"][position], f"masks[{position}]")
    if len(mask) != len(tokens):
        raise RejectedRecordError(f"masks[{position}] has {len(mask)} values for {len(tokens)} tokens")
    for at, (value, token) in enumerate(zip(mask, tokens, strict=True)):
        if type(value) is not int or value not in (IGNORED, token):
            shown = json_text(value, "masks")
            notes["token_ids_dropped"] = f"masks[{position}][{at}] is {shown}, neither -100 nor the token {token}"
            return None, []
    if not tokens:
        return None, []
    known = _logprobs(_sample(record.get("inference_logprobs"), position, size), position, len(tokens), notes)
    return masked_steps(tokens, [int(value != IGNORED) for value in mask], known)


def _logprobs(value: object, position: int, size: int, notes: dict[str, str]) -> Sequence[float | None] | None:
    """Log-probs of all tokens, null where there is none."""
    if value is None or value == []:
        return None
    path = f"inference_logprobs[{position}]"
    written = as_list(value, path)
    if len(written) != size:
        notes["logprobs_dropped"] = f"{path} has {len(written)} values for {size} tokens"
        return None
    found = [number(one) for one in written]
    return [one if one is not None and one <= 0 else None for one in found]
