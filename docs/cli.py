"""Write `docs/cli.md` from the command line itself; a test compares.

.venv/bin/python docs/cli.py
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from purify_cli.main import app

PAGE = Path(__file__).with_name("cli.md")


def page() -> str:
    """The whole page: every command with its arguments and options, in the order of `purify --help`."""
    group: Any = typer.main.get_command(app)
    parts = ["# The command line", _text(group.help)]
    parts.append(
        "\n".join(f"- [`purify {name}`](#purify-{name}): {_first(each.help)}" for name, each in group.commands.items())
    )
    parts.append("Written by `python docs/cli.py`. The options of a stage can stand in a YAML file, too: `--config`.")
    for name, command in group.commands.items():
        parts += _command(name, command)
    return "\n\n".join(parts) + "\n"


def _command(name: str, command: Any) -> Iterator[str]:
    context = command.make_context(f"purify {name}", [], resilient_parsing=True)
    yield f"## purify {name}"
    yield f"    {context.command_path} {' '.join(command.collect_usage_pieces(context))}"
    yield _text(command.help)
    for kind in ("argument", "option"):
        found = [each.get_help_record(context) for each in command.params if each.param_type_name == kind]
        cells = [f"| `{_cell(spelling)}` | {_cell(text)} |" for spelling, text in filter(None, found)]
        if cells:
            yield "\n".join([f"| {kind} | meaning |", "|---|---|", *cells])


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _text(help_text: str | None) -> str:
    """Paragraphs; an example stands by itself as code."""
    paragraphs = inspect.cleandoc(help_text or "").replace("\f", "").split("\n\n")
    return "\n\n".join(
        f"Example:\n\n    {text.removeprefix('Example: ')}" if text.startswith("Example: ") else text
        for text in paragraphs
    )


def _first(help_text: str | None) -> str:
    return " ".join(inspect.cleandoc(help_text or "").split("\n\n")[0].split())


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
