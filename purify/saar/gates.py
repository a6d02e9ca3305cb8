"""Gates: what an edit must pass besides the rule, each with a verdict and a reason.

The *state* gate asks whether the kept calls can see what the removed calls did. A stateless tool passes. An
interpreter that keeps names between calls is checked statically (`kernel/`). External state (files,
bookings) refuses unless allowed. An undeclared tool is edited, counted and pointed out.

The *importance* gate (the public code's Plan B) asks how likely the graft still is once the failure is out of sight:

    exp(log pi(graft | stored context) - log pi(graft | as sampled))

Below a threshold the raw steps stay. `purify score` measured the ratio; an edit it did not see is made, counted and
pointed out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from purify.saar.config import SaarRule
from purify.saar.kernel import RemovedCell, depends_on_removed
from purify.saar.rule import CallView, Run, Turn
from purify.saar.text import code_of
from purify_schemas import FAILED, GateResult
from purify_schemas.names import ToolStateName

_NEVER_RAN = frozenset({"malformed", "infra", "rejected"})
"""Statuses of calls that were not executed, so they changed nothing."""


_ANYTHING = "globals()"
"""A cell that may use every name: what is sampled later, for all that is known now."""

_PASS = GateResult(name="state", verdict="pass")


class EditKey(NamedTuple):
    """What tells one way of editing a trajectory from another. Raw step numbers, so it holds in every plan."""

    raw_steps: tuple[int, ...]
    reasoning_from: int | None


@dataclass(frozen=True, slots=True)
class Importance:
    """The measured log-ratios of a trajectory's edits, and the ratio below which one is refused."""

    minimum: float
    log_ratios: Mapping[EditKey, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class View:
    """What planning needs to know of a trajectory, from whichever form it comes."""

    turns: Sequence[Turn]
    states: Mapping[str, ToolStateName]
    result: Callable[[int], str]
    """The text of a step's tool results; asked for only by the kernel check."""
    goes_on: bool = False
    """Whether more steps will be sampled: what they will use is not known yet."""
    importance: Importance | None = None
    """None: no such gate."""


def state_gate(run: Run, view: View, config: SaarRule) -> GateResult:
    """Judge one run: may its failed steps go without a kept step noticing?"""
    ran = [call.name for step in run.failed for call in view.turns[step].calls if call.status not in _NEVER_RAN]
    tools = sorted({name for name in ran if name is not None})
    states = {tool: config.tool_state.get(tool) or view.states.get(tool, "unknown") for tool in tools}
    for tool, state in states.items():
        if state == "external" and not config.allow_external:
            return GateResult(name="state", verdict="refuse", detail=f"{tool} changes external state")
        if state == "python_kernel" and (why := _kernel_dependency(tool, run, view, config)):
            return GateResult(name="state", verdict="refuse", detail=why)
    unknown = [tool for tool, state in states.items() if state == "unknown"]
    if unknown:
        return GateResult(name="state", verdict="unknown", detail=f"state of {', '.join(unknown)} is not declared")
    return _PASS


def importance_gate(edit: EditKey, importance: Importance) -> GateResult:
    """Judge one edit by its measured importance ratio."""
    log_ratio = importance.log_ratios.get(edit)
    if log_ratio is None:
        return GateResult(name="importance", verdict="unknown", detail="no ratio of this edit was measured")
    if log_ratio < math.log(importance.minimum):
        detail = f"importance ratio {math.exp(log_ratio):.3g} is below {importance.minimum:g}"
        return GateResult(name="importance", verdict="refuse", detail=detail)
    return GateResult(
        name="importance", verdict="pass", detail=f"importance ratio {math.exp(min(log_ratio, 700.0)):.3g}"
    )


def _kernel_dependency(tool: str, run: Run, view: View, config: SaarRule) -> str | None:
    removed: list[RemovedCell] = []
    kept: list[CallView] = []
    earlier: list[CallView] = []
    for step, turn in enumerate(view.turns):
        for call in turn.calls:
            if call.name != tool or call.status in _NEVER_RAN:
                continue
            if step in run.failed:
                code = code_of(call, config.code_arguments)
                removed.append(RemovedCell(code, view.result(step), call.status, call.error_type))
            elif step > run.failed[0]:
                kept.append(call)
            else:
                # Also the cells that an edit before this one removes: when this run failed, they had run.
                earlier.append(call)
    codes = [code_of(call, config.code_arguments) for call in kept]
    return depends_on_removed(
        removed,
        [*codes, _ANYTHING] if view.goes_on else codes,
        [code_of(call, config.code_arguments) for call in earlier],
        failed_kept=[index for index, call in enumerate(kept) if call.status in FAILED],
        failed_earlier=[index for index, call in enumerate(earlier) if call.status in FAILED],
    )
