"""Episodes and traces of verifiers: what stands around the message graph, and the rows of its paths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from purify.errors import RejectedRecordError
from purify.importing.base import Record, RecordContext
from purify.importing.checks import as_list, as_object, json_text, leftover, number
from purify.importing.formats.rollout_turns import telling
from purify.importing.formats.verifiers_nodes import Node, paths, read_ids, read_path
from purify.importing.masked import attach_runs
from purify.importing.record_fields import reward_value, tool_definitions
from purify.importing.turns import build_steps, tool_states
from purify_schemas import Reward, Source, Trajectory
from purify_schemas.names import FinishReason

_TRACE = {"nodes", "rewards", "calls", "tools", "task", "root_reply"}

_STOPPED: Mapping[object, FinishReason] = {
    "max_turns": "max_turns",
    **dict.fromkeys(("max_input_tokens", "max_output_tokens", "max_total_tokens"), "length"),
    **dict.fromkeys(("agent_completed", "user_closed"), "stop"),
}
_CALL_ENDED: Mapping[object, FinishReason] = {"stop": "stop", "length": "length"}


def read_traces(
    episode: Record, traces: Sequence[dict[str, Any]], naming: str, context: RecordContext
) -> list[Trajectory]:
    """A row for each path of each trace. `naming` tells how to call a trace by its position."""
    agents = {_name(trace) for trace in traces}
    around = {} if "nodes" in episode else telling(leftover(episode, {"traces"}))
    readers = [
        _Trace(episode, trace, naming.format(index), several_agents=len(agents) > 1)
        for index, trace in enumerate(traces)
    ]
    silent = [reader.trace for reader in readers if not reader.has_turn]
    around = telling({**around, "traces_without_a_turn": silent if len(silent) < len(readers) else None})
    rows: list[Trajectory] = []
    for reader in readers:
        rows += reader.rows(around, context, first=len(rows))
    if not rows:
        raise RejectedRecordError(f"no turn of the model in {len(traces)} traces")
    return rows


class _Trace:
    """One trace, its parts checked."""

    def __init__(self, episode: Record, trace: dict[str, Any], where: str, *, several_agents: bool) -> None:
        self.episode, self.trace, self.where = episode, trace, where
        nodes = as_list(trace.get("nodes"), f"{where}.nodes")
        self.nodes: list[Node] = [as_object(node, f"{where}.nodes[{i}]") for i, node in enumerate(nodes)]
        self.has_turn = any(node.get("sampled") is True for node in self.nodes)
        self.calls = self._calls()
        task = as_object(trace.get("task"), f"{where}.task")
        data = task.get("data")
        self.data: Mapping[str, Any] = data if isinstance(data, dict) else {}
        self.task_id = self._task(task)
        if several_agents and self.task_id is not None:  # each agent's rewards are compared among its own
            self.task_id = f"{self.task_id}/{_name(trace)}"

    def rows(self, around: Mapping[str, Any], context: RecordContext, first: int) -> list[Trajectory]:
        found = paths(self.nodes, self.where)
        answered = [any(self.nodes[index].get("sampled") is True for index in path) for path in found]
        turned = [path for path, has_turn in zip(found, answered, strict=True) if has_turn]
        silent = [path for path, has_turn in zip(found, answered, strict=True) if not has_turn]
        unanswered = [[self.nodes[index].get("message") for index in path] for path in silent]
        told = telling(leftover(self.trace, _TRACE))
        task = {"task": self.trace["task"]} if self.trace["task"] != around.get("task") else {}
        shared = {**told, **task, "calls": self.calls.get(None), "unanswered": unanswered, "episode": around}
        shared["rewards"] = _weighted(self.trace.get("rewards"))
        shared["root_reply"] = None if isinstance(reply := self.trace.get("root_reply"), str) else reply
        last = max(range(len(turned)), key=lambda at: turned[at][-1], default=0)
        rows = []
        for position, path in enumerate(turned):
            branch = {"index": position, "of": len(turned), "leaf": path[-1]} if len(turned) > 1 else None
            extra = telling({**shared, "branch": branch})
            rows.append(self._row(path, extra, context, sample=first + position, is_last=position == last))
        return rows

    def _row(
        self, path: list[int], extra: dict[str, Any], context: RecordContext, *, sample: int, is_last: bool
    ) -> Trajectory:
        calls = {index: self.calls[index] for index in path if index in self.calls}
        made = {index: several[0] if len(several) == 1 else several for index, several in calls.items()}
        prompt, turns = read_path(self.nodes, path, made, self.where)
        ids = read_ids(self.nodes, path, self.where)
        steps = build_steps(turns, context)
        if ids.prompt is not None:
            steps = attach_runs(steps, ids.runs)
        sampling = _common(calls, "sampling")
        sampling = sampling if isinstance(sampling, dict) else {}
        config = self.trace.get("agent", {})
        config = config.get("config") if isinstance(config, dict) else None
        model = _common(calls, "model") or (config.get("model") if isinstance(config, dict) else None)
        everywhere = self.trace.get("tools")
        tools = self.nodes[path[0]].get("tools") or everywhere
        if everywhere and everywhere != tools:
            extra = {**extra, "tools": everywhere}
        reward, rewards = _rewards(self.trace.get("rewards"), f"{self.where}.rewards")
        answer, reference = self.trace.get("root_reply"), self.data.get("answer")
        return context.trajectory(
            record=self.episode,
            messages=prompt,
            source=Source(
                framework="verifiers",
                format="verifiers",
                model=model if isinstance(model, str) else None,
                round=self._round(),
                temperature=number(sampling.get("temperature")),
                sampling=json_text(leftover(sampling, ("temperature",)), "sampling"),
            ),
            task_id=self.task_id,
            sample_index=None,
            sample=sample,
            tool_states=tool_states(steps),
            tools=tool_definitions(tools),
            prompt_token_ids=ids.prompt,
            steps=steps,
            answer=answer if isinstance(answer, str) and is_last else None,
            reference=reference if isinstance(reference, str) else None,
            reward=reward,
            rewards=rewards,
            finish_reason=self._finish(path[-1], is_last=is_last),
            extra=json_text(extra | ids.notes, self.where),
        )

    def _calls(self) -> dict[int | None, list[dict[str, Any]]]:
        """Every model call under the node it made; under None those that made none, having failed."""
        found: dict[int | None, list[dict[str, Any]]] = {}
        for index, value in enumerate(as_list(self.trace.get("calls") or [], f"{self.where}.calls")):
            call = as_object(value, f"{self.where}.calls[{index}]")
            node = call.get("node")
            known = type(node) is int and 0 <= node < len(self.nodes)
            found.setdefault(node if known else None, []).append(call)
        return found

    def _task(self, task: Mapping[str, Any]) -> str | None:
        """The environment, and the task's own id; else its key, by default a digest of its data, or its position."""
        env = self.episode.get("env")
        name = env.get("id") if isinstance(env, dict) else None
        position = self.data.get("idx")
        ids = (self.data.get("id"), task.get("key"), task.get("hash"), position if type(position) is int else None)
        known = next((str(value) for value in ids if value == 0 or (value and isinstance(value, str | int))), None)
        return f"{name}/{known}" if known is not None and isinstance(name, str) and name else known

    def _round(self) -> int | None:
        """The training step. Version 0.3 writes `run` on the trace, 0.4 on the episode."""
        run = self.episode.get("run") or self.trace.get("run")
        work = run.get("work", run) if isinstance(run, dict) else None
        step = work.get("step") if isinstance(work, dict) else None
        return step if type(step) is int and 0 <= step < 2**31 else None

    def _finish(self, leaf: int, *, is_last: bool) -> FinishReason:
        """How a path ended. What stopped the trace ended its last path; earlier ones ended with their last call."""
        made = self.calls.get(leaf, [{}])[-1].get("finish_reason")
        ended = _CALL_ENDED.get(made, "unknown") if isinstance(made, str) else "unknown"
        stopped = self.trace.get("stop_condition")
        if not is_last or ended == "length" or not isinstance(stopped, str):
            return ended
        if stopped == "error" or stopped.endswith(("_error", "_timeout")):
            return "error"
        return _STOPPED.get(stopped, ended)


def _name(trace: Mapping[str, Any]) -> str:
    agent = trace.get("agent")
    name = agent.get("name") if isinstance(agent, dict) else None
    return name if isinstance(name, str) else "agent"


def _rewards(value: object, where: str) -> tuple[float | None, list[Reward]]:
    """The reward is the sum of its parts, each a score times its weight. A part that was not scored is null."""
    parts: list[Reward] = []
    for name, part in as_object(value or {}, where).items():
        if part is None:
            continue
        told = as_object(part, f"{where}.{name}")
        score, weight = number(told.get("score")), number(told.get("weight", 1.0))
        weighted = reward_value(score * weight) if score is not None and weight is not None else None
        if weighted is None:
            raise RejectedRecordError(f"{where}.{name} has no finite score and weight")
        parts.append(Reward(name=name, value=weighted))
    return (reward_value(sum(part.value for part in parts)) if parts else None), parts


def _weighted(value: object) -> object:
    """The rewards as they were, where the parts of the row do not tell everything."""
    if not isinstance(value, dict):
        return value
    plain = all(
        isinstance(part, dict) and part.keys() == {"score", "weight"} and part["weight"] == 1 for part in value.values()
    )
    return None if plain else value


def _common(calls: Mapping[int, Sequence[Mapping[str, Any]]], key: str) -> object:
    """The value that all these calls share, else None."""
    values = [call.get(key) for several in calls.values() for call in several]
    return values[0] if values and all(value == values[0] for value in values) else None
