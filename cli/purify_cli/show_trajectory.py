"""Draw a trajectory in the terminal: untouched steps on a line each, edits before and after side by side.

`draw` cuts the drawing into parts, which the browser scrolls and folds; `show_trajectory` prints them all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from purify.reporting.passages import Numbered, Passage, passages
from purify_cli.show_step import collapsed, difference, open_step
from purify_cli.terminal import one_line, shorten
from purify_schemas import Edit, Trajectory

WIDE = 100
"""Columns from which before and after stand side by side."""


@dataclass(frozen=True)
class Part:
    """A piece of the drawing. `step`: it starts with this step (as first numbered); null around the steps."""

    drawn: RenderableType
    step: int | None = None


def show_trajectory(row: int, trajectory: Trajectory, console: Console, *, full: bool) -> None:
    """Print one trajectory. `full` shortens nothing and opens the untouched steps; those of a raw one always are."""
    unfold = full or trajectory.provenance is None
    for part in draw(row, trajectory, passages(trajectory), console.width, full=full, unfold=unfold):
        console.print(part.drawn)


def draw(
    row: int, trajectory: Trajectory, found: list[Passage], width: int, *, full: bool, unfold: bool
) -> Iterator[Part]:
    """The drawing of a trajectory and its passages, `width` columns wide.

    `full` shortens nothing; `unfold` opens the untouched steps, which are a line each otherwise.
    """
    title = f"row {row:,} · {one_line(trajectory.trajectory_id, width - 20)}"
    yield Part(Rule(Text(title, style="bold"), align="left", style="dim"))
    yield Part(Text(" · ".join(_facts(trajectory, found)), style="dim"))
    for message in trajectory.messages if full else trajectory.messages[-1:]:
        text = shorten(message.content or "", None if full else 3)
        yield Part(Text.assemble((f"{one_line(message.role, 20)}  ", "dim"), text))
    yield Part(Text())
    for passage in found:
        (before, step), (after, _) = passage.before[0], passage.after[0]
        if passage.edit is not None:
            drawn: RenderableType = Group(*_edit(passage, passage.edit, width, full=full), Text())
        elif unfold:
            drawn = _open(passage.after, full=full)
        else:
            drawn = collapsed(before, after, step, width)
        yield Part(drawn, before)
    for name, given in (("answer", trajectory.answer), ("reference", trajectory.reference)):
        if given is not None:
            yield Part(Text.assemble((f"{name}  ", "dim"), shorten(given, None if full else 3)))
    yield Part(Text())


def _facts(trajectory: Trajectory, found: list[Passage]) -> Iterator[str]:
    """What the line under the title says."""
    width = 40
    yield f"task {one_line(trajectory.task_id, width)}"
    yield "no reward" if trajectory.reward is None else f"reward {trajectory.reward:.4g}"
    raw, stored = sum(len(passage.before) for passage in found), len(trajectory.steps)
    yield f"{stored} steps" if raw == stored else f"{raw} → {stored} steps"
    if trajectory.finish_reason != "unknown":
        yield f"finish {trajectory.finish_reason}"
    if trajectory.source.file is not None:
        yield f"{one_line(trajectory.source.file, width)} record {trajectory.source.row}"
    provenance = trajectory.provenance
    if provenance is None:
        return
    if provenance.mixed_in:
        yield "left raw on purpose (fraction, apply_to)"
    if provenance.online:
        yield "edited while generating: there is no raw trajectory to show"
    if provenance.stale_from is not None and any(step.action.logprobs is not None for step in trajectory.steps):
        yield f"sampled log-probs stale from the {provenance.stale_from.part} of step {provenance.stale_from.step}"


def _edit(passage: Passage, edit: Edit, width: int, *, full: bool) -> Iterator[RenderableType]:
    """The heading says what was done and why; then before and after, and for a shallow edit how the calls differ."""
    yield Text("\n").join(_heading(edit))
    before = _open(passage.before, full=full)
    if not edit.accepted:
        yield Padding(before, (0, 0, 0, 2))
        return
    after = _open(passage.after, full=full)
    if width >= WIDE:
        table = Table(expand=True, show_edge=False, pad_edge=False)
        table.add_column("before", ratio=1)
        table.add_column("after", ratio=1)
        table.add_row(before, after)
        yield table
    else:
        for name, side in (("before", before), ("after", after)):
            yield Text(name, style="bold")
            yield Padding(side, (0, 0, 0, 2))
    if edit.granularity == "shallow":
        yield Text("difference of the calls", style="bold")
        yield difference(passage.before[0][1], passage.before[-1][1], full=full)


def _heading(edit: Edit) -> Iterator[Text]:
    steps = _steps(edit.raw_steps)
    if edit.accepted:
        yield Text(f"{edit.granularity} edit of {steps}", style="bold green")
        yield Text(f"  {_what(edit)}")
    else:
        yield Text(f"not edited: {steps} ({edit.reason})", style="bold yellow")
    if edit.detail is not None:
        yield Text(f"  {shorten(edit.detail, 3)}")
    backend = f" ({one_line(edit.backend, 20)})" if edit.backend else ""
    for link in edit.links:
        sim = "none, a call could not be parsed" if link.similarity is None else f"{link.similarity:.3f}"
        if link.similarity is not None and edit.threshold is not None:
            sim += f" {'<' if link.granularity == 'deep' else '≥'} gamma {edit.threshold:g}"
        yield Text(f"  similarity of {link.from_step} and {link.to_step}: {sim} → {link.granularity}{backend}", "dim")
    for gate in edit.gates:
        # A refusal's detail is the edit's own.
        detail = f": {shorten(gate.detail, 2)}" if gate.detail and gate.detail != edit.detail else ""
        yield Text(f"  {one_line(gate.name, 20)} gate: {gate.verdict}{detail}", "dim")


def _what(edit: Edit) -> str:
    reasoning, action = edit.reasoning_from, edit.action_from
    gone = [step for step in edit.raw_steps if step != action]
    if reasoning == action:
        return f"dropped {_steps(gone)}; step {action} stays as it is"
    return f"kept the reasoning of step {reasoning}, grafted the call and result of step {action}"


def _steps(numbers: list[int]) -> str:
    return f"step{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"


def _open(steps: Numbered, *, full: bool) -> RenderableType:
    return Group(*(open_step(number, step, full=full) for number, step in steps))
