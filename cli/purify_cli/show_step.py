"""Draw one step in the terminal: open, or collapsed to a line; and how two calls differ."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import unified_diff

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from purify.reporting.calls import code_text
from purify.reporting.columns import NO_TOOL
from purify_cli.terminal import one_line, plain, shorten
from purify_schemas import Step

CODE_LINES, TEXT_LINES = 12, 6
_DIFF_LINES = 1000
_NAME = 40


def open_step(number: int, step: Step, *, full: bool) -> RenderableType:
    """Heading with the statuses, then reasoning, calls and what came back."""
    fields = Table.grid(padding=(0, 2, 0, 0))
    fields.add_column(style="dim", min_width=9, no_wrap=True)
    fields.add_column(overflow="fold")
    for label, text, style, lines in _fields(step):
        if text.strip():
            fields.add_row(label, Text(shorten(text, None if full else lines), style=style))
    return Group(Text.assemble(_mark(step), _numbered(number), *_statuses(step)), Padding(fields, (0, 0, 0, 2)))


def collapsed(before: int, after: int, step: Step, width: int) -> Text:
    """An untouched step on one line: `before` and `after` are its raw and its purified number."""
    numbers = _numbered(before if before == after else f"{before} → {after}")
    head = Text.assemble(_mark(step), numbers, *_statuses(step), "  ", no_wrap=True, overflow="ellipsis")
    call = " ; ".join(code_text(call) for call in step.calls)
    result = " ".join(message.content or "" for message in step.observation.messages)
    text = f"{call} ⇒ {result}" if call else step.reasoning.text or ""
    return head.append(one_line(text, max(width - head.cell_len, 20)), style="dim")


def difference(failed: Step, corrected: Step, *, full: bool) -> RenderableType:
    """A unified diff of the two steps' calls."""
    before, after = (
        "\n".join(plain(code_text(call)) for call in step.calls).split("\n")[:_DIFF_LINES]
        for step in (failed, corrected)
    )
    changed = list(unified_diff(before, after, n=2, lineterm=""))[2:] or ["the calls are equal"]
    lines = changed if full else [shorten(line, 1) for line in changed[: 2 * CODE_LINES]]
    styles = {"-": "red", "+": "green", "@": "dim"}
    texts = [Text(line, style=styles.get(line[:1], "")) for line in lines]
    if len(lines) < len(changed):
        texts.append(Text(f"… {len(changed) - len(lines):,} lines", style="dim"))
    return Padding(Text("\n").join(texts), (0, 0, 0, 2))


def _fields(step: Step) -> Iterator[tuple[str, str, str, int]]:
    """Label, text, style and how many lines to show of it."""
    reasoning = step.reasoning.text or ""
    yield "thinking", reasoning[: step.thinking_chars], "italic", TEXT_LINES
    yield "reasoning", reasoning[step.thinking_chars :], "", TEXT_LINES
    written = [code_text(call) for call in step.calls]
    for call, text in zip(step.calls, written, strict=True):
        yield "call", text, "red" if call.failed else "green" if call.status == "ok" else "", CODE_LINES
    if not any(written):
        yield "action", step.action.text or "", "", CODE_LINES
    for message in step.observation.messages:
        label = "result" if message.role == "tool" else one_line(message.role, 9)
        yield label, message.content or message.parts or "", "dim" if message.role == "tool" else "", TEXT_LINES


def _mark(step: Step) -> tuple[str, str]:
    if step.failed:
        return "✗ ", "bold red"
    if step.calls and all(call.status == "ok" for call in step.calls):
        return "✓ ", "bold green"
    return "· ", "dim"


def _numbered(number: int | str) -> tuple[str, str]:
    return f"step {number}", "bold"


def _statuses(step: Step) -> Iterator[tuple[str, str]]:
    """Tool, status and error type of each call."""
    for call in step.calls:
        error = f" {one_line(call.error_type, _NAME)}" if call.error_type else ""
        style = "red" if call.failed else "green" if call.status == "ok" else "yellow"
        yield f"  {one_line(call.name or NO_TOOL, _NAME)} {call.status}{error}", style
