"""Open the sandbox that a run asks for, or refuse: model-written code never runs without isolation unasked."""

from __future__ import annotations

from typing import Literal

from purify.errors import PurifyError
from purify.sandbox.base import Limits, Sandbox

PROBE = "print(6 * 7)"


async def load_sandbox(
    kind: Literal["auto", "bubblewrap", "fusion"] = "auto",
    *,
    workers: int | None = None,
    limits: Limits | None = None,
    url: str | None = None,
    unsafe: bool = False,
) -> Sandbox:
    """A sandbox that has just run a program.

    `auto` is SandboxFusion where there is a `url`, else bubblewrap. `unsafe` allows to go without isolation where
    bubblewrap cannot be used. Raises `PurifyError` if nothing is left.
    """
    if kind == "fusion" or (kind == "auto" and url is not None):
        if url is None:
            raise PurifyError("sandbox 'fusion' needs the server's address: --sandbox-url http://host:port")
        from purify.sandbox.fusion import SandboxFusion

        return await proven(SandboxFusion(url, workers, limits))
    from purify.sandbox.bubblewrap import Bubblewrap

    sandbox = Bubblewrap(workers, limits)
    try:
        await sandbox.start()
        return await proven(sandbox)
    except PurifyError:
        await sandbox.close()
        if not unsafe:
            raise
    from purify.sandbox.unsafe import Unsafe

    return await proven(Unsafe(workers, limits))


async def proven(sandbox: Sandbox) -> Sandbox:
    """The sandbox, if it runs a trivial program; closed and `PurifyError` otherwise."""
    execution = await sandbox.run(PROBE)
    if execution.status == "ok" and execution.stdout.strip() == "42":
        return sandbox
    await sandbox.close()
    last = execution.text.rpartition("\n")[2] or execution.status
    raise PurifyError(f"sandbox {sandbox.name!r} cannot run a trivial program: {last}")
