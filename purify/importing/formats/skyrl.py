"""Importer `skyrl`: evaluation dumps of SkyRL, one file a data source.

    {"input_prompt": "<|im_start|>user...", "output_response": "...", "score": 1.0, "stop_reason": "stop",
     "env_class": "search", "env_extras": {"reward_spec": {"ground_truth": ...}}, "data_source": "nq"}

Written by `dump_per_dataset_eval_results` of skyrl-train/skyrl_train/utils/trainer_utils.py (NovaSky-AI/SkyRL; later
skyrl/train/utils/trainer_utils.py, which adds `env_metrics`). `score` is a number, or one number a token: their sum is
the reward. The file of averages beside them, aggregated_results.jsonl, holds no rollouts.

The format is lossy: token ids were decoded, with special tokens, and not kept. Which sample of its prompt a row is was
never written.

    purify import dumped_evals/global_step_10_evals/ -o rollouts/ --format skyrl
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from purify.digests import digest
from purify.importing.base import Record, RecordContext
from purify.importing.checks import json_text, leftover, number, optional_string, string
from purify.importing.formats.text_records import text_trajectory
from purify.importing.record_fields import reward_value
from purify_schemas import Source, Trajectory
from purify_schemas.names import FinishReason, ToolStateName

KEYS = frozenset({"input_prompt", "output_response", "score", "env_class", "env_extras", "data_source"})

_FINISH: Mapping[str, FinishReason] = {"stop": "stop", "length": "length"}
# The search environment asks a retrieval server over a fixed corpus (skyrl-gym/skyrl_gym/envs/search/env.py).
_STATES: Mapping[str, Mapping[str, ToolStateName]] = {"search": {"search": "stateless"}}


class SkyRL:
    """See the module's docstring."""

    name = "skyrl"
    default_rules = "tool"
    lossy = "SkyRL evaluation dumps hold decoded text only: no token ids, no log-probs; turns are cut out of the text"

    def recognise(self, record: Record) -> str | None:
        return "has input_prompt, output_response, env_class, env_extras" if record.keys() >= KEYS else None

    def read(self, record: Record, context: RecordContext) -> list[Trajectory]:
        asked = string(record, "input_prompt", "record")
        said = string(record, "output_response", "record")
        environment = optional_string(record, "env_class", "record")
        reward = _reward(record.get("score"))
        finish = record.get("stop_reason")
        taken = {"input_prompt", "output_response"}
        if reward is not None and not isinstance(record["score"], list):
            taken.add("score")
        fields: dict[str, Any] = {}
        if isinstance(finish, str) and finish in _FINISH:
            taken.add("stop_reason")
            fields["finish_reason"] = _FINISH[finish]
        return [
            text_trajectory(
                record,
                context,
                asked,
                said,
                source=Source(framework="SkyRL", format=self.name),
                task_id=digest(optional_string(record, "data_source", "record"), asked),
                lossy=self.lossy,
                extra=leftover(record, taken),
                states=_STATES.get(environment or "", {}),
                reference=_reference(record.get("env_extras")),
                reward=reward,
                **fields,
            )
        ]


def _reward(score: object) -> float | None:
    if not isinstance(score, list):
        return reward_value(score)
    numbers = [number(value) for value in score]
    known = [value for value in numbers if value is not None]
    return reward_value(sum(known)) if len(known) == len(numbers) else None


def _reference(extras: object) -> str | None:
    """The ground truth of the environment's reward specification, which the data set of the prompts defines."""
    spec = extras.get("reward_spec") if isinstance(extras, dict) else None
    value = spec.get("ground_truth") if isinstance(spec, dict) else None
    if value is None or isinstance(value, str):
        return value
    return str(value) if number(value) is not None else json_text(value, "env_extras.reward_spec.ground_truth")
