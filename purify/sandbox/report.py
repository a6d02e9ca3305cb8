"""Which isolation can be used on this machine, found out by using it: `purify doctor`."""

from __future__ import annotations

import os

from purify.errors import PurifyError
from purify.sandbox.loading import load_sandbox


async def isolation_report(url: str | None = None) -> list[tuple[str, bool, str]]:
    """(name, usable, detail or how to get it), one an isolation. `url` is that of a SandboxFusion server."""
    rows = []
    try:
        sandbox = await load_sandbox("bubblewrap", workers=1)
        await sandbox.close()
        user = "nobody's" if os.geteuid() == 0 else "your"
        rows.append(("bubblewrap", True, f"ran a program (namespaces, seccomp, {user} user id)"))
    except PurifyError as error:
        rows.append(("bubblewrap", False, str(error)))
    if url is None:
        rows.append(("sandbox_fusion", False, "no server named; give one with --sandbox-url http://host:port"))
        return rows
    try:
        sandbox = await load_sandbox("fusion", url=url)
        await sandbox.close()
        rows.append(("sandbox_fusion", True, f"ran a program at {url}"))
    except PurifyError as error:
        rows.append(("sandbox_fusion", False, str(error)))
    return rows
