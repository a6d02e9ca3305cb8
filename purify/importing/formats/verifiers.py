"""Importer `verifiers`: rollouts of PrimeIntellect's verifiers, which prime-rl trains on.

`traces.jsonl` holds one episode a line, its traces being graphs of messages: each path from a root to a leaf becomes a
trajectory. Lines of one bare trace, as before episodes, are read too. Token ids, masks and log-probs are the engine's;
the log-probs of these files are rounded to four decimals by their writer.

`results.jsonl` of the older `vf-eval` holds `prompt` and `completion` as chat messages, without token ids unless its
column `trajectory` was saved. Model and sampling arguments are read from the `metadata.json` beside it. What prime-rl
sends to Prime Intellect's platform is read like it (`verifiers_samples.py`).

Field names: PrimeIntellect-ai/verifiers, verifiers/v1/{episode,trace,graph,types}.py of 0.3 and 0.4,
verifiers/types.py and verifiers/utils/save_utils.py of 0.2, verifiers/utils/eval_utils.py of 0.1.8.

    purify import traces.jsonl -o rollouts/ --format verifiers
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from purify.importing.base import Record, RecordContext
from purify.importing.checks import as_list, as_object
from purify.importing.formats.verifiers_results import METADATA, is_result, metadata_beside, read_result
from purify.importing.formats.verifiers_samples import is_sample
from purify.importing.formats.verifiers_traces import read_traces
from purify_schemas import Trajectory


class Verifiers:
    """See the module's docstring."""

    name = "verifiers"
    default_rules = "tool"

    def recognise(self, record: Record) -> str | None:
        if is_result(record):
            return "vf-eval result: prompt, completion, reward, example_id"
        if is_sample(record):
            return "prime-rl sample: prompt, completion, problem_id, sample_id, env_name"
        if not isinstance(record.get("task"), Mapping):
            return None
        traces = record.get("traces")
        if isinstance(traces, list) and all(isinstance(t, dict) and isinstance(t.get("nodes"), list) for t in traces):
            return "verifiers episode: task and traces with nodes"
        return "verifiers trace: task, agent and nodes" if record.keys() >= {"nodes", "agent"} else None

    def read(self, record: Record, context: RecordContext) -> list[Trajectory]:
        if is_sample(record):
            return [read_result(record, context)]
        if "traces" in record:
            traces = as_list(record["traces"], "traces")
            whole = [as_object(trace, f"traces[{i}]") for i, trace in enumerate(traces)]
            return read_traces(record, whole, "traces[{}]", context)
        if "nodes" in record:
            return read_traces(record, [dict(record)], "the trace", context)
        return [read_result(record, context)]

    def beside(self, path: Path) -> list[str]:
        """The run's `metadata.json`, which results are read with."""
        return [METADATA] if path.name != METADATA and metadata_beside(path) else []
