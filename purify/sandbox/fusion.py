"""Client of a SandboxFusion server: `POST /run_code`, one request a program.

purify generate tasks.jsonl -o rollouts/ --sandbox fusion --sandbox-url http://localhost:8080
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ValidationError

from purify.errors import PurifyError, first_problem
from purify.failures.tracebacks import ending_exception
from purify.sandbox.base import Execution, Limits, Session
from purify.sandbox.capture import cut_output

if TYPE_CHECKING:
    import httpx

ATTEMPTS = 4
OVERHEAD_S = 30.0
"""The server queues, starts and collects; only then is a request given up."""


class _RunResult(BaseModel):
    status: Literal["Finished", "Error", "TimeLimitExceeded"]
    execution_time: float | None = None
    return_code: int | None = None
    stdout: str | None = None
    stderr: str | None = None


class _Response(BaseModel):
    status: Literal["Success", "Failed", "SandboxError"]
    message: str = ""
    run_result: _RunResult | None = None


class SandboxFusion:
    """At most `workers` requests at once.

    A server cannot tell a program that left early from one that came to its end: exit code 0 counts as `ok`. It keeps
    the limits on time and memory and has none on CPU time and processes.
    """

    name = "sandbox_fusion"

    def __init__(
        self,
        url: str,
        workers: int | None = None,
        limits: Limits | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        try:
            import httpx
        except ImportError:
            raise PurifyError(
                "sandbox 'fusion' needs httpx; install it with: pip install 'purify-trajectories[generate]'"
            ) from None
        self.url = url.rstrip("/")
        self.limits = limits or Limits()
        self._slots = asyncio.Semaphore(workers or 64)
        self._client = httpx.AsyncClient(transport=transport, trust_env=False)

    async def run(self, code: str, stdin: str = "", limits: Limits | None = None) -> Execution:
        """Run a program on the server. `infra` if it cannot be reached, answers nonsense or reports its own error."""
        import httpx

        limits = limits or self.limits
        request = {
            "code": code.encode("utf-8", "replace").decode(),  # JSON has no lone surrogates
            "language": "python",
            "stdin": stdin.encode("utf-8", "replace").decode(),
            "compile_timeout": limits.wall_s,
            "run_timeout": limits.wall_s,
            "memory_limit_MB": limits.memory_mb,
            "files": {},
            "fetch_files": [],
        }
        try:
            async with self._slots:
                answer = await self._post(request, limits.wall_s + OVERHEAD_S)
            return _execution(_Response.model_validate_json(answer), limits)
        except ValidationError as error:
            return _infra(f"{self.url} answered what is not SandboxFusion's: {first_problem(error)}")
        except httpx.HTTPStatusError as error:
            return _infra(f"{self.url} answered HTTP {error.response.status_code}")
        except httpx.HTTPError as error:
            return _infra(f"{self.url} cannot be reached: {error or type(error).__name__}")

    async def session(self, limits: Limits | None = None) -> Session:
        raise PurifyError(
            "sandbox 'fusion' has no stateful sessions; use --sandbox bubblewrap, or leave out the stateful option"
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def _post(self, request: dict[str, object], timeout_s: float) -> bytes:
        """Connection errors are tried again, waiting longer each time; an answer is an answer."""
        import httpx
        from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_exponential

        retrying = AsyncRetrying(
            retry=retry_if_exception_type((httpx.ConnectError, httpx.RemoteProtocolError, httpx.ReadError)),
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_exponential(multiplier=0.1, max=5),
            reraise=True,
        )
        async for attempt in retrying:
            with attempt:
                response = await self._client.post(f"{self.url}/run_code", json=request, timeout=timeout_s)
                response.raise_for_status()
                return response.content
        raise AssertionError("tenacity re-raises the last error")


def _execution(response: _Response, limits: Limits) -> Execution:
    if response.status == "SandboxError" or response.run_result is None:
        return _infra(f"SandboxFusion reports: {response.message or response.status}")
    result = response.run_result
    stdout = cut_output(result.stdout or "", limits.output_kb)
    stderr = cut_output(result.stderr or "", limits.output_kb)
    took = result.execution_time or 0.0
    if result.status == "TimeLimitExceeded":
        note = f"Stopped: ran longer than {limits.wall_s:g} s."
        return Execution("timeout", stdout, f"{stderr.rstrip()}\n{note}\n".lstrip(), "TimeLimit", took)
    if response.status == "Success" and result.return_code == 0:
        return Execution("ok", stdout, stderr, None, took)
    return Execution("error", stdout, stderr, exit_error(result.return_code, stderr), took)


def exit_error(return_code: int | None, stderr: str) -> str:
    """What ended a program of which only the exit code and the standard error are known."""
    text = stderr.strip()
    found = ending_exception(text, text.rpartition("\n")[2])
    if found is not None and found.name:
        return found.name
    return f"exit_{return_code}" if return_code is not None else "unknown"


def _infra(reason: str) -> Execution:
    return Execution("infra", "", f"The sandbox failed: {reason}.", None, 0.0)
