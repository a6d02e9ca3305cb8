"""OpenAI chat messages with `tool_calls`, and what is commonly laid over them.

Read are a record's `messages` (or `conversation`, `conversations`, `traj`, `trajectory`), or TRL's `prompt` with
`completion`, where the prompt's own assistant turns were not sampled and stay in the prompt, which a completion may
repeat. Also read: the old
`function_call`, calls without their `function` object, thinking fields, failure flags on tool results, and tau-bench's
records, whose tools change or read bookings and are therefore `external`.

A `<think>` inside `content` stays there, since this format has fields for thinking. A flag is read only where it says
that a call failed: `is_error: false` says no more than that the tool did not raise.

Field names: platform.openai.com/docs/api-reference/chat, huggingface.co/docs/trl/dataset_formats, tau_bench/types.py
(`EnvRunResult`), inspect_ai/tool/_tool_call.py (`ToolCallError`), docs.vllm.ai (reasoning outputs).

    purify import gpt-4o-airline.json -o raw/ --format openai
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from purify.errors import RejectedRecordError
from purify.importing.base import Record, RecordContext
from purify.importing.checks import as_list, as_object, string
from purify.importing.formats.openai_turns import read_message, read_reply, read_turn
from purify.importing.formats.pretokenized import told_by_tokens
from purify.importing.record_fields import record_fields, reward_value, system_prompt
from purify.importing.turns import Turn, build_steps, plain_steps, tool_states
from purify_schemas import Reward, Trajectory
from purify_schemas.carried import CARRIED, OWN_COLUMNS

CONVERSATION = ("messages", "conversation", "conversations", "traj", "trajectory")
TRL = ("prompt", "completion")
TAU_BENCH = frozenset({"task_id", "reward", "info", "traj", "trial"})

# Other formats that hold chat messages too: MathCoder, NeMo-Gym, ToRA's corpus.
_OTHERS = frozenset({"debug_result", "responses_create_params", "gt_cot", "trajectory_format"})
_PREFERENCE = frozenset({"chosen", "rejected"})
_VF_EVAL = frozenset({"prompt", "completion", "reward", "example_id"})
_OTHER_PARTS = ("tool_use", "tool_result")
# Calls written into the text: claiming such a chat would read it as one without any call.
_TEXT_CALLS = ("```", "<tool_call>", "<function=", "<execute>", "<code>", "<python>")


class OpenAIMessages:
    """See the module's docstring."""

    name = "openai"
    default_rules = "tool"

    def recognise(self, record: Record) -> str | None:
        if not _OTHERS.isdisjoint(record) or record.keys() >= _VF_EVAL or record.keys() >= _PREFERENCE:
            return None
        if told_by_tokens(record) is not None:
            return None
        if record.keys() >= TAU_BENCH:
            return "tau-bench record: traj, task_id, trial, reward, info"
        key = next((key for key in (*CONVERSATION, "completion") if isinstance(record.get(key), list)), None)
        if key is None or (key == "completion" and not isinstance(record.get("prompt"), list)):
            return None
        messages = record[key]
        if not all(_is_message(message) for message in messages):
            return None
        turns = [message for message in messages if message["role"] == "assistant"]
        if any(turn.get("tool_calls") or turn.get("function_call") for turn in turns):
            return f"{key} with roles and tool_calls"
        texts = (text for turn in turns for text in _texts(turn.get("content")))
        if not turns or any(mark in text for text in texts for mark in _TEXT_CALLS):
            return None
        return f"{key} with roles, no calls"

    def read(self, record: Record, context: RecordContext) -> list[Trajectory]:
        key, given, sampled = _conversation(record)
        used = {key, "prompt"} if key == "completion" else {key}
        return [read_chat(record, context, format_name=self.name, key=key, given=given, sampled=sampled, used=used)]


def read_chat(
    record: Record,
    context: RecordContext,
    *,
    format_name: str,
    key: str,
    given: Sequence[Any],
    sampled: Sequence[Any],
    used: set[str],
    sample: int = 0,
    unread: Collection[str] = (),
    reward: float | None = None,
    rewards: Sequence[Reward] = (),
) -> Trajectory:
    """The row of a record whose chat messages `given` were the prompt, and `sampled`, its member `key`, came then.

    `used` are the members that hold messages, `unread` those that `record_fields` is to leave in `extra`. `reward`, if
    it is known, is the row's, and `rewards` are added to those that the record has.
    """
    tau_bench = record.keys() >= TAU_BENCH
    ours = record.get(CARRIED)
    others: set[int] = set()
    if isinstance(ours, Mapping):
        messages = [*given, *sampled]
        own = _turns_of_ours(messages, ours)
        start = own[0] if own else len(given)
        given, sampled = messages[:start], messages[start:]
        others = set(range(len(sampled))) - {at - start for at in own}
        used = used | OWN_COLUMNS
    else:
        sampled = _without_repetition(given, sampled)
    prompt = system_prompt(record, [*given, *sampled], used)
    for index, item in enumerate(given):
        path = f"prompt[{index}]"
        message = as_object(item, path)
        string(message, "role", path)
        prompt.append(read_message(message, path))
    turns: list[Turn] = []
    last: Mapping[str, Any] = {}
    for index, item in enumerate(sampled):
        path = f"{key}[{index}]"
        message = as_object(item, path)
        if string(message, "role", path) == "assistant" and index not in others:
            turns.append(read_turn(message, path))
            last = message
        elif turns:
            turns[-1].replies.append(read_reply(message, path))
        else:
            prompt.append(read_message(message, path))
    if not turns:
        raise RejectedRecordError(f"{key} has no assistant turn")
    fields = record_fields(
        record,
        used=used,
        format_name=format_name,
        framework="tau-bench" if tau_bench else None,
        last_finish=last.get("finish_reason") or last.get("stop_reason"),
        unread=unread,
    )
    fields["reward"] = fields["reward"] if reward is None else reward
    fields["rewards"] += [*(_tau_rewards(record["info"]) if tau_bench else ()), *rewards]
    steps = plain_steps(turns) if isinstance(ours, Mapping) else build_steps(turns, context)
    states = tool_states(steps, "external" if tau_bench else "unknown")
    return context.trajectory(record=record, messages=prompt, steps=steps, tool_states=states, sample=sample, **fields)


def _without_repetition(given: Sequence[Any], sampled: Sequence[Any]) -> Sequence[Any]:
    """What came after the prompt, without the prompt if that is repeated in it."""
    return sampled[len(given) :] if list(sampled[: len(given)]) == list(given) else sampled


def _turns_of_ours(messages: Sequence[Any], told: Mapping[str, Any]) -> list[int]:
    """The positions of what the policy sampled, in a conversation that `purify export` wrote."""
    others = told.get("not_sampled") or ()
    turns = (at for at, item in enumerate(messages) if isinstance(item, Mapping) and item.get("role") == "assistant")
    return [at for at in turns if at not in others]


def _conversation(record: Record) -> tuple[str, list[Any], list[Any]]:
    """The key that holds the sampled messages, the messages of a separate prompt, and those messages."""
    key = next((key for key in CONVERSATION if record.get(key) is not None), None)
    if key is not None:
        return key, [], as_list(record[key], key)
    if any(record.get(key) is None for key in TRL):
        raise RejectedRecordError(f"no chat messages: none of {', '.join(CONVERSATION)}, nor prompt with completion")
    return "completion", as_list(record["prompt"], "prompt"), as_list(record["completion"], "completion")


def _is_message(message: object) -> bool:
    if not isinstance(message, dict) or not isinstance(message.get("role"), str):
        return False
    parts = message.get("content")
    if not isinstance(parts, list):
        return True
    # LLaMA-Factory's parts keep their text in `value`, Anthropic's keep calls in the content.
    return all(isinstance(p, dict) and "value" not in p and p.get("type") not in _OTHER_PARTS for p in parts)


def _texts(content: object) -> Iterable[str]:
    if isinstance(content, str):
        return (content,)
    if isinstance(content, list):
        return (part["text"] for part in content if isinstance(part, dict) and isinstance(part.get("text"), str))
    return ()


def _tau_rewards(info: object) -> list[Reward]:
    """tau-bench's reward is the product of its checks, `r_actions` and `r_outputs`."""
    for key in ("reward_info", "info"):
        info = info.get(key) if isinstance(info, dict) else None
    checks = {} if not isinstance(info, dict) else {name: reward_value(value) for name, value in info.items()}
    return [Reward(name=name, value=value) for name, value in checks.items() if name[:2] == "r_" and value is not None]
