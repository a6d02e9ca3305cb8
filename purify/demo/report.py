"""The demo's report: one HTML file without scripts and without network, made from what the commands have written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jinja2

from purify.demo.config import DemoConfig
from purify.demo.script import ARMS
from purify.evaluating import Estimate, Evaluation, Metrics
from purify.iterating import IterateReport
from purify.plots import Curve, Panel, line_charts
from purify.reporting.browse import browse
from purify.reporting.filters import Filter
from purify.reporting.passages import passages
from purify_schemas import FAILED, Step

TEMPLATE = Path(__file__).with_name("report.html")
SHOWN = {
    "tool_error_rate": "failed calls of all calls",
    "correct_without_failed_call": "correct, and no call failed",
    "accuracy": "correct",
    "recovery_rate": "correct, of those with a failed call",
}
_NAMES = {"on-raw": "trained on raw", "on-purified": "trained on purified"}


class _Turn(NamedTuple):
    text: str
    result: str
    failed: bool


def write_report(out: Path, config: DemoConfig, commands: list[str]) -> Path:
    """Write `report.html` into the demo's folder; `commands` are shown as they were run."""
    rounds = {arm: IterateReport.model_validate_json((out / arm / "iterate.json").read_bytes()) for arm in ARMS}
    policies = {
        "before": _evaluation(out / "evaluation-before"),
        **{_NAMES[arm]: _evaluation(out / f"evaluation-{arm}") for arm in ARMS},
    }
    page = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    html = page.from_string(TEMPLATE.read_text()).render(
        config=config,
        shown=SHOWN,
        table={name: {key: _cell(figure(of, key)) for key in SHOWN} for name, of in policies.items()},
        plot=_plot(rounds, config),
        before=figure(policies["before"], "tool_error_rate"),
        after={arm: figure(policies[_NAMES[arm]], "tool_error_rate") for arm in ARMS},
        edit=next(_edits(out / "purified"), None),
        edits=[one.edits for one in rounds["on-purified"].rounds],
        commands=commands,
        percent=_percent,
    )
    report = out / "report.html"
    report.write_text(html, encoding="utf-8")
    return report


def figure(metrics: Metrics, name: str) -> Estimate:
    """One of `SHOWN`."""
    found: Estimate = metrics.pass_at[1] if name == "accuracy" else getattr(metrics, name)
    return found


def _evaluation(folder: Path) -> Metrics:
    return Evaluation.model_validate_json((folder / "evaluation.json").read_bytes()).rollouts


def _cell(estimate: Estimate) -> str:
    if estimate.value is None:
        return "–"
    interval = "" if estimate.low is None else f" ({_percent(estimate.low)} to {_percent(estimate.high)})"
    return f"{_percent(estimate.value)}{interval}"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"


def _plot(rounds: dict[str, IterateReport], config: DemoConfig) -> str:
    """Every figure over updates: as sampled in each round, on the tasks of that round."""
    x = [number * config.updates for number in range(config.rounds)]
    panels = [
        Panel(
            text,
            [
                Curve(_NAMES[arm], x, [figure(one.rollouts, name).value for one in report.rounds])
                for arm, report in rounds.items()
            ],
        )
        for name, text in SHOWN.items()
    ]
    return line_charts(panels, x_label="updates", label="Figures of the policies over updates, raw and purified")


def _edits(dataset: Path) -> Iterator[dict[str, Any]]:
    """The first edit that was made: the question, the turns before and the turn after."""
    for _, trajectory in browse(dataset, Filter(edited=True), limit=1).rows:
        for passage in passages(trajectory):
            if passage.edit is not None and passage.edit.accepted:
                yield {
                    "question": trajectory.messages[-1].content,
                    "granularity": passage.edit.granularity,
                    "before": [_turn(step) for _, step in passage.before],
                    "after": [_turn(step) for _, step in passage.after],
                }


def _turn(step: Step) -> _Turn:
    result = "\n".join(message.content or "" for message in step.observation.messages)
    failed = any(call.status in FAILED for call in step.calls)
    return _Turn(f"{step.reasoning.text or ''}{step.action.text or ''}", result, failed)
