"""`purify doctor`: what can this machine do, and how to get what is missing."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer


def command(
    sandbox_url: Annotated[str | None, typer.Option(help="Try the SandboxFusion server there, too.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Try which isolation, engines and devices work here, and say how to install what is missing.

    Exit code 1 if no engine or no isolation can be used, so that `purify generate` could not run.
    """
    import orjson

    from purify.engines.report import engine_report
    from purify.sandbox.report import isolation_report
    from purify_cli.writing import say

    async def look() -> dict[str, list[tuple[str, bool, str]]]:
        return {"isolation": await isolation_report(sandbox_url), "engines": await engine_report()}

    found = asyncio.run(look())
    if as_json:
        entries = {
            kind: [{"name": name, "usable": usable, "detail": detail} for name, usable, detail in rows]
            for kind, rows in found.items()
        }
        say(orjson.dumps(entries, option=orjson.OPT_INDENT_2).decode())
    else:
        for kind, rows in found.items():
            say(kind)
            for name, usable, detail in rows:
                say(f"  {'ok' if usable else '--'}  {name:14} {detail}")
    raise typer.Exit(0 if all(any(usable for _, usable, _ in rows) for rows in found.values()) else 1)
