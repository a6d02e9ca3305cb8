"""`purify demo`."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from purify.demo.config import DemoConfig
from purify.errors import PurifyError
from purify_cli.options import configured
from purify_cli.writing import say

Out = Annotated[Path, typer.Option("--out", "-o", help="Folder to write, new or empty.")]


@configured(DemoConfig)
def command(config: DemoConfig, out: Out = Path("demo")) -> None:
    """Show what purifying does: a tiny policy samples, is purified, and is trained on raw and on purified rollouts.

    Every command is shown as it is run, and works on your own data as well. The end is an HTML report with plots. Takes
    two to three minutes on two cores, and no GPU.

    Example: purify demo -o demo/
    """
    from purify.demo import scenes, set_up, write_report

    begun = time.monotonic()
    set_up(out, config)
    shown: list[str] = []
    for scene in scenes(out, config):
        say(typer.style(f"\n# {scene.text}", bold=True))
        for arguments in scene.commands:
            shown.append(f"purify {shlex.join(arguments)}")
            say(typer.style(f"$ {shown[-1]}", fg=typer.colors.CYAN))
        _run(scene.commands)
    report = write_report(out, config, shown)
    say(f"\n{report.resolve().as_uri()} shows what came of it ({time.monotonic() - begun:.0f} s)")


def _run(commands: list[list[str]]) -> None:
    """Run the commands of a scene, side by side if there are several. Raises `PurifyError` if one fails."""
    if len(commands) == 1:
        code = subprocess.run(_process(commands[0]), check=False).returncode
        if code:
            raise PurifyError(f"the command above ended with exit code {code}; the demo cannot go on")
        return
    # A thread each: with more of them, two small models on two cores wait for each other.
    threads = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
    running = [
        subprocess.Popen(_process(command), env=threads, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for command in commands
    ]
    for command, process in zip(commands, running, strict=True):
        output, _ = process.communicate()
        say(f"\n{' '.join(command[:2])}:\n{output.rstrip()}")
    if any(process.returncode for process in running):
        raise PurifyError("a command above failed; the demo cannot go on")


def _process(arguments: list[str]) -> list[str]:
    # -P: what lies in the current folder is not imported.
    return [sys.executable, "-P", "-m", "purify_cli", *arguments]
