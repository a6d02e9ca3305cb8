"""Importer `verl`: the JSON lines that verl's trainers write for people to read, one file a step.

    {"input": "user\\n1 + 1?\\nassistant\\n", "output": "2", "gts": "2", "score": 1.0, "step": 7, "acc": true}

`trainer.rollout_data_dir` and `trainer.validation_data_dir` name the folders; `_dump_generations` and
`_log_rollout_data` of verl/trainer/ppo/ray_trainer.py (volcengine/verl) write the files, `gts` only in later versions.
Every further key is what the reward function returned beside the score (`acc` and `pred` of
verl/utils/reward_score/math_dapo.py), or a `request_id`. Open-CLEANER and Open-AgentRL (Tianshi-Xu/Open-CLEANER,
verl/verl/trainer/ppo/ray_trainer.py) are forks with the same writer.

The format is lossy. There are no token ids and no log-probs, and the text is decoded without special tokens, so turns
are cut at role words (`purify.importing.templates`). Which sample of its group a row is was never written.

    purify import rollout_data/ -o rollouts/ --format verl
"""

from __future__ import annotations

from typing import Any

from purify.digests import digest
from purify.importing.base import Record, RecordContext
from purify.importing.checks import json_text, leftover, number, string
from purify.importing.formats.text_records import reward_parts, text_trajectory
from purify.importing.record_fields import reward_value
from purify_schemas import Source, Trajectory

KEYS = frozenset({"input", "output", "score", "step"})


class Verl:
    """See the module's docstring."""

    name = "verl"
    default_rules = "verl"
    lossy = "verl dumps hold decoded text only: no token ids, no log-probs; turns are cut out of the text"

    def recognise(self, record: Record) -> str | None:
        texts = isinstance(record.get("input"), str) and isinstance(record.get("output"), str)
        return "has input, output, score, step" if texts and record.keys() >= KEYS else None

    def read(self, record: Record, context: RecordContext) -> list[Trajectory]:
        asked, said = string(record, "input", "record"), string(record, "output", "record")
        reward = reward_value(record.get("score"))
        step, answer = record.get("step"), record.get("pred")
        round_ = step if type(step) is int and 0 <= step < 2**31 else None
        parts = reward_parts(record)
        taken = {"input", "output", "gts"} | {part.name for part in parts}
        taken |= {key for key, value in (("score", reward), ("step", round_)) if value is not None}
        taken |= {"pred"} if isinstance(answer, str) else set()
        return [
            text_trajectory(
                record,
                context,
                asked,
                said,
                source=Source(framework="verl", format=self.name, round=round_),
                # The prompt is all that names the task. A user simulator's prompts are equal too.
                task_id=digest(asked, _text(record.get("gts"))),
                lossy=self.lossy,
                extra=leftover(record, taken),
                answer=answer if isinstance(answer, str) else None,
                reference=_text(record.get("gts")),
                reward=reward,
                rewards=parts,
            )
        ]


def _text(value: Any) -> str | None:
    """Ground truth is whatever the data set of the prompts holds."""
    if value is None or isinstance(value, str):
        return value
    return str(value) if number(value) is not None else json_text(value, "gts")
