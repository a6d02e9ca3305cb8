"""Open everything that a run of `generate` needs, cheap things first: template, tools, sandbox, engine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import orjson

from purify.chat.formats import FORMATS, PYTHON_TOOL
from purify.chat.identity import template_digest, tokenizer_digest
from purify.chat.template import ChatTemplate
from purify.digests import config_digest
from purify.engines import Engine, Sampling
from purify.engines.config import OF_THE_MACHINE
from purify.engines.loading import end_tokens, load_engine, portable_name, revision_of
from purify.errors import PurifyError
from purify.generating.agent import Agent, Budget
from purify.generating.config import GenerateConfig
from purify.generating.sampler import Sampler
from purify.generating.tools import PythonTool, Tool, load_function_tool
from purify.rewards import Overlong, Rewarder, needs_sandbox
from purify.saar.similarity import load_similarity
from purify.sandbox import Sandbox
from purify.sandbox.loading import load_sandbox
from purify.tasks import Task
from purify_schemas import Source


def recorded(config: GenerateConfig) -> GenerateConfig:
    """The configuration as data and manifests name it: the same wherever it runs, with no path and no address in it."""
    fields = GenerateConfig.model_fields
    portable = {name: fields[name].default for name in (*OF_THE_MACHINE, "sandbox_url")}
    for name in ("model", "tokenizer", "embedding_model"):
        if (value := getattr(config, name)) is not None:
            portable[name] = portable_name(value)
    return config.model_copy(update=portable)


def identity_of(named: GenerateConfig, config: GenerateConfig, tokenizer: Any) -> tuple[str | None, ...]:
    """What a group, and a resumed run, must not mix: options, weights, tokenizer and chat template."""
    weights = revision_of(config.model, config.revision)
    return config_digest(named), weights, template_digest(tokenizer), tokenizer_digest(tokenizer)


@asynccontextmanager
async def open_sampler(
    config: GenerateConfig, tokenizer: Any, tasks: Sequence[Task], file: str
) -> AsyncIterator[Sampler]:
    """A sampler for these tasks; on leaving, engine and sandbox are closed.

    Raises `PurifyError` if the model, its template, a tool, the sandbox or the engine cannot be used.
    """
    async with AsyncExitStack() as stack:
        sandbox = await _open_sandbox(config, tasks)
        if sandbox is not None:
            stack.push_async_callback(sandbox.close)
        tools = _tools(config, sandbox)
        shown = [tool.definition for tool in tools.values()] if config.call_format == "hermes" else []
        template = ChatTemplate(tokenizer, config.model, shown)
        rewarder = Rewarder(config.verifier, tasks, sandbox, _overlong(config), limits=config.limits)
        stack.push_async_callback(rewarder.close)
        engine = await load_engine(config)
        stack.push_async_callback(engine.close)
        agent = Agent(
            engine=engine,
            tokenizer=tokenizer,
            template=template,
            format=FORMATS[config.call_format],
            tools=tools,
            sampling=_sampling(config, tokenizer, template),
            budget=Budget(
                config.max_turns, config.max_turn_tokens, config.max_response_tokens, config.max_result_chars
            ),
        )
        source = _source(config, engine, template, sandbox, file)
        yield Sampler(agent, config, config.rule, load_similarity(config.rule), rewarder, source)


async def _open_sandbox(config: GenerateConfig, tasks: Sequence[Task]) -> Sandbox | None:
    """The sandbox, if a tool or a verifier runs code."""
    if PYTHON_TOOL not in config.tool and not needs_sandbox(config.verifier, tasks):
        return None
    sandbox = await load_sandbox(
        config.sandbox, limits=config.limits, url=config.sandbox_url, unsafe=config.unsafe_sandbox
    )
    if config.stateful:
        # Now, and not at the first call: not every sandbox has sessions.
        await (await sandbox.session()).close()
    return sandbox


def _tools(config: GenerateConfig, sandbox: Sandbox | None) -> dict[str, Tool]:
    tools: dict[str, Tool] = {}
    for name in config.tool:
        if name == PYTHON_TOOL and sandbox is not None:
            tool: Tool = PythonTool(sandbox, stateful=config.stateful)
        else:
            tool = load_function_tool(name)
        if tool.name in tools:
            raise PurifyError(f"--tool {name}: there is another tool named {tool.name!r}; give each a name of its own")
        tools[tool.name] = tool
    return tools


def _overlong(config: GenerateConfig) -> Overlong | None:
    if not config.overlong_buffer:
        return None
    return Overlong(
        max_length=config.max_response_tokens, buffer=config.overlong_buffer, factor=config.overlong_penalty
    )


def _sampling(config: GenerateConfig, tokenizer: Any, template: ChatTemplate) -> Sampling:
    ends = {template.end_of_turn, tokenizer.eos_token_id, *end_tokens(config)} - {None}
    return Sampling(
        max_tokens=config.max_turn_tokens,
        temperature=config.temperature,
        top_p=config.top_p,
        top_k=config.top_k,
        stop_token_ids=tuple(sorted(ends)),
        stop=FORMATS[config.call_format].stop,
    )


def _source(
    config: GenerateConfig, engine: Engine, template: ChatTemplate, sandbox: Sandbox | None, file: str
) -> Source:
    sampling = {
        "engine": engine.name,
        "sandbox": sandbox.name if sandbox else None,
        "call_format": config.call_format,
        "top_p": config.top_p,
        "top_k": config.top_k,
        "seed": config.seed,
        "template_drops_reasoning": template.drops_reasoning,
    }
    return Source(
        framework="purify",
        format="generate",
        file=file,
        model=portable_name(config.model),
        revision=revision_of(config.model, config.revision),
        round=config.round,
        temperature=config.temperature,
        sampling=orjson.dumps(sampling).decode(),
        tokenizer_digest=template.tokenizer_digest,
        template_digest=template.digest,
        logprobs_mode=engine.logprobs_mode,
    )
