"""Tools that a model may call while it generates. A tool's failure is data, never an error of ours.

`python` runs code in the sandbox. `module:function` is any function of yours with type hints and a docstring, run in
this process: its definition is made from them by transformers' `get_json_schema`.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib import import_module
from traceback import format_exception_only
from typing import Any, NamedTuple, Protocol

from purify.chat.formats import PYTHON_TOOL
from purify.errors import PurifyError
from purify.sandbox import Execution, Sandbox, Session
from purify_schemas.names import Status, ToolStateName


class ToolResult(NamedTuple):
    """What a call gave back. `text` is what the model is shown."""

    text: str
    status: Status
    error_type: str | None = None
    duration_s: float | None = None
    source: str = "tool"
    """What decided the status; stored as the call's `status_source`."""


Run = Callable[[dict[str, Any]], Awaitable[ToolResult]]


class Tool(Protocol):
    name: str
    definition: dict[str, Any]
    """As the OpenAI API takes it; the chat template shows it to the model."""
    state: ToolStateName

    def episode(self) -> AbstractAsyncContextManager[Run]:
        """What runs the calls of one trajectory; state, where there is any, lives as long as it."""
        ...


class PythonTool:
    """The code interpreter. Stateless: every call is a fresh program. Stateful: a notebook, one a trajectory."""

    name = PYTHON_TOOL

    def __init__(self, sandbox: Sandbox, *, stateful: bool = False) -> None:
        self._sandbox = sandbox
        self._stateful = stateful
        self.state: ToolStateName = "python_kernel" if stateful else "stateless"
        lasting = "Names stay between calls." if stateful else "Every call is a fresh program."
        self.definition = _definition(
            self.name,
            f"Run Python code and return what it prints. {lasting}",
            {"code": {"type": "string", "description": "The code to run."}},
        )

    @asynccontextmanager
    async def episode(self) -> AsyncIterator[Run]:
        session: Session | None = None
        one_at_a_time = asyncio.Lock()  # parallel calls share the interpreter, in their order

        async def run(arguments: dict[str, Any]) -> ToolResult:
            nonlocal session
            code = arguments.get("code")
            if not isinstance(code, str):
                return ToolResult("Error: the argument `code` must be a string", "error", "invalid_arguments")
            if not self._stateful:
                return _of_execution(await self._sandbox.run(code))
            async with one_at_a_time:
                if session is None:
                    session = await self._sandbox.session()
                return _of_execution(await session.run(code))

        try:
            yield run
        finally:
            if session is not None:
                await session.close()


class FunctionTool:
    """A Python function in this process. It is trusted; what a model may do with it is up to you."""

    state: ToolStateName = "unknown"

    def __init__(self, function: Callable[..., Any], definition: dict[str, Any]) -> None:
        self._function = function
        self.definition = definition
        self.name = str(definition["function"]["name"])

    @asynccontextmanager
    async def episode(self) -> AsyncIterator[Run]:
        yield self._run

    async def _run(self, arguments: dict[str, Any]) -> ToolResult:
        started = time.perf_counter()
        try:
            if inspect.iscoroutinefunction(self._function):
                value = await self._function(**arguments)
            else:
                value = await asyncio.to_thread(self._function, **arguments)
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
        except Exception as error:  # whatever the user's tool raises is what the model gets to see
            text = "".join(format_exception_only(error)).strip()
            return ToolResult(text, "error", type(error).__name__, time.perf_counter() - started)
        return ToolResult(text, "ok", duration_s=time.perf_counter() - started)


def load_function_tool(name: str) -> FunctionTool:
    """The tool `module:function`. Raises `PurifyError` if it cannot be imported or described."""
    module, _, attribute = name.partition(":")
    try:
        function = getattr(import_module(module), attribute)
        from transformers.utils import get_json_schema

        definition: dict[str, Any] = get_json_schema(function)
    except (ImportError, AttributeError) as error:
        raise PurifyError(
            f"--tool {name}: {error}; give `python`, or module:function of an importable module"
        ) from None
    except Exception as error:  # transformers has an exception class of its own for every way to document badly
        first = str(error).split("\n", 1)[0]
        raise PurifyError(f"--tool {name}: needs type hints and a docstring with its arguments ({first})") from None
    return FunctionTool(function, definition)


def _of_execution(execution: Execution) -> ToolResult:
    return ToolResult(execution.text, execution.status, execution.error_type, execution.duration_s, "sandbox")


def _definition(name: str, description: str, properties: dict[str, Any]) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}
