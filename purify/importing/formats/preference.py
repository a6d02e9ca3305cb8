"""Preferences between two conversations, as TRL has them: two trajectories a record, the chosen one first.

Read are `chosen` and `rejected`, lists of chat messages, after an explicit `prompt`, which they may repeat, or with the
prompt in both of them; then what they share up to a turn of the model is the prompt (TRL's `extract_prompt` does the
same). A prompt that is text beside conversations is the question once more, as in UltraFeedback, and stays in `extra`.
Turns of the model in the prompt were not sampled.

Which of the two is preferred is the part `preference` of `rewards`, 1.0 or 0.0. What a record says of one rollout
(`score`, `success`, `final_answer`, `trial`) leaves open which of the two is meant and stays in `extra`; `reward` is
null unless the record has both `score_chosen` and `score_rejected`.

A pair that `purify export` wrote comes back as the two rows that it was made of. Both had one id, as a raw rollout and
its purified one do, and a dataset has an id once: the chosen row keeps it, the rejected one's ends in `/rejected`.

Preferences between texts are refused: they show neither turns nor calls.

Field names: huggingface.co/docs/trl/dataset_formats; trl/data_utils.py (`maybe_extract_prompt`); scores:
huggingface.co/datasets/HuggingFaceH4/ultrafeedback_binarized.

    purify import pairs/ -o raw/ --format preference
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from purify.errors import RejectedRecordError
from purify.importing.base import Record, RecordContext
from purify.importing.checks import as_list
from purify.importing.formats.openai_messages import read_chat
from purify.importing.record_fields import SAMPLE, reward_value, tells_outcome
from purify_schemas import Reward, Trajectory
from purify_schemas.carried import CARRIED, SIDES


class Preference:
    """See the module's docstring."""

    name = "preference"
    default_rules = "tool"

    def recognise(self, record: Record) -> str | None:
        sides = [record.get(side) for side in SIDES]
        if all(isinstance(side, str) for side in sides):
            return "chosen and rejected texts"
        if all(isinstance(side, list) and side and all(map(_is_message, side)) for side in sides):
            return "chosen and rejected messages"
        return None

    def read(self, record: Record, context: RecordContext) -> list[Trajectory]:
        for side in SIDES:
            if isinstance(record.get(side), str):
                raise RejectedRecordError(f"{side} is text; only preferences between lists of chat messages are read")
        chosen, rejected = (as_list(record.get(side), side) for side in SIDES)
        prompt = record.get("prompt")
        if not isinstance(prompt, list):
            shared = shared_prompt(chosen, rejected)
            prompt, chosen, rejected = chosen[:shared], chosen[shared:], rejected[shared:]
        if chosen == rejected:
            raise RejectedRecordError("chosen and rejected are the same")
        first, second = (
            self._row(record, context, side, prompt, messages)
            for side, messages in zip(SIDES, (chosen, rejected), strict=True)
        )
        if second.trajectory_id == first.trajectory_id:
            second = second.model_copy(update={"trajectory_id": f"{second.trajectory_id}/{SIDES[1]}"})
        return [first, second]

    def _row(
        self,
        record: Record,
        context: RecordContext,
        side: str,
        prompt: Sequence[Any],
        messages: Sequence[Any],
    ) -> Trajectory:
        sample = SIDES.index(side)
        used = {*SIDES, "prompt"} if isinstance(record.get("prompt"), list) else {*SIDES}
        scores = {name: reward_value(record.get(f"score_{name}")) for name in SIDES}
        scored = None not in scores.values()
        both = record.get(CARRIED)
        mine = both.get(side) if isinstance(both, Mapping) else None
        return read_chat(
            record if mine is None else {**record, CARRIED: mine},
            context,
            format_name=self.name,
            key=side,
            given=prompt,
            sampled=messages,
            used=used | {f"score_{name}" for name in SIDES if scored},
            sample=sample,
            # In our own pairs both sides ended alike: what the record says of one rollout is said of both.
            unread=_of_one_rollout(record) - used if mine is None else (),
            reward=scores[side] if scored else None,
            rewards=[Reward(name="preference", value=1.0 - sample)],
        )


def _of_one_rollout(record: Record) -> set[str]:
    return {key for key in record if key in SAMPLE or tells_outcome(key)}


def shared_prompt(chosen: Sequence[Any], rejected: Sequence[Any]) -> int:
    """How many messages come before the turn of the model at which the two part, or the last before they do."""
    pairs = zip(chosen, rejected, strict=False)
    same = next((at for at, (one, other) in enumerate(pairs) if one != other), min(len(chosen), len(rejected)))
    while same and not (_is_turn(chosen, same) and _is_turn(rejected, same)):
        same -= 1
    return same


def _is_message(item: object) -> bool:
    return isinstance(item, Mapping) and isinstance(item.get("role"), str)


def _is_turn(messages: Sequence[Any], at: int) -> bool:
    return at < len(messages) and _is_message(messages[at]) and messages[at]["role"] == "assistant"
