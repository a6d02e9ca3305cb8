"""How much of an engine's speed is left in the whole loop: with a tool that sleeps, and with the real sandbox.

python -m benchmarks.generate --model toy/model --tasks toy/held_out.jsonl                  # transformers, on the CPU
python -m benchmarks.generate --model toy/model --tasks toy/held_out.jsonl --engine vllm

The loop runs first and every request that it makes is noted. Then the same engine gets the same prompts and lengths
without a loop: as many in flight, no tool, no template, no parsing. Shares are tokens/s of the loop over tokens/s of
that, the two runs alternating.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from purify.engines import Engine, Generation, Sampling
from purify.engines.loading import load_tokenizer
from purify.generating.config import GenerateConfig
from purify.generating.policy import open_sampler
from purify.generating.sampler import Sample, Sampler, samples_of
from purify.generating.tools import PythonTool, Run, Tool, ToolResult
from purify.tasks import read_tasks
from purify_schemas import Trajectory


class Request(NamedTuple):
    prompt: list[int]
    length: int
    sampling: Sampling


@dataclass
class Noting:
    """An engine that notes what it was asked."""

    engine: Engine
    requests: list[Request] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)

    async def generate(self, token_ids: Sequence[int], sampling: Sampling) -> Generation:
        generation = await self.engine.generate(token_ids, sampling)
        self.requests.append(Request(list(token_ids), len(generation.token_ids), sampling))
        return generation


class Waiting:
    """A tool, with the time that its calls take; `slept` replaces the call by a pause."""

    def __init__(self, tool: Tool, slept: float | None = None) -> None:
        self.name, self.definition, self.state = tool.name, tool.definition, tool.state
        self._tool = tool
        self._slept = slept
        self.calls = 0
        self.seconds = 0.0

    @asynccontextmanager
    async def episode(self) -> AsyncIterator[Run]:
        async with self._tool.episode() as run:

            async def timed(arguments: dict[str, Any]) -> ToolResult:
                started = time.perf_counter()
                if self._slept is None:
                    result = await run(arguments)
                else:
                    await asyncio.sleep(self._slept)
                    result = ToolResult("42", "ok")
                self.calls += 1
                self.seconds += time.perf_counter() - started
                return result

            yield timed


async def replay(engine: Engine, requests: Sequence[Request], concurrency: int) -> None:
    """The same prompts and lengths, in the order in which they ended."""
    waiting = iter(requests)

    async def work() -> None:
        for prompt, length, sampling in waiting:
            await engine.generate(prompt, replace(sampling, max_tokens=length, stop_token_ids=(), stop=()))

    await asyncio.gather(*(work() for _ in range(concurrency)))


async def measure(name: str, sampler: Sampler, samples: Sequence[Sample], concurrency: int, repeats: int) -> None:
    """One line of the table."""
    (tool,) = sampler.agent.tools.values()
    assert isinstance(tool, Waiting)
    noting = Noting(sampler.agent.engine)
    noted = replace(sampler, agent=replace(sampler.agent, engine=noting))
    loops, bare, in_tools = [], [], []
    for _ in range(repeats):
        noting.requests.clear()
        lasted: list[Trajectory] = []
        tool.seconds, tool.calls = 0.0, 0
        started = time.perf_counter()
        await noted.run(samples, concurrency, lasted.append)
        wall = time.perf_counter() - started
        tokens = sum(request.length for request in noting.requests)
        loops.append(tokens / wall)
        in_tools.append(tool.seconds / (tool.seconds + wall * concurrency))
        started = time.perf_counter()
        await replay(noting.engine, list(noting.requests), concurrency)
        bare.append(tokens / (time.perf_counter() - started))
    shares = [loop / alone for loop, alone in zip(loops, bare, strict=True)]
    print(
        f"{name:22} {statistics.median(loops):10,.0f} {statistics.median(bare):14,.0f} "
        f"{statistics.median(shares):8.2f} {min(shares):8.2f} {max(shares):8.2f} "
        f"{statistics.median(in_tools):14.1%} {tool.calls:8,}",
        flush=True,
    )


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="A policy that calls tools, as `purify toy` makes.")
    parser.add_argument("--tasks", type=Path, required=True)
    parser.add_argument("--engine", default="transformers", choices=["transformers", "vllm"])
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--trajectories", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    config = GenerateConfig(
        engine=options.engine,
        model=str(options.model),
        dtype="float32",
        group_size=4,
        max_turns=6,
        max_turn_tokens=160,
        max_response_tokens=600,
        max_batch=options.concurrency,
    )
    tasks, _ = read_tasks(options.tasks)
    async with open_sampler(config, load_tokenizer(config), tasks, options.tasks.name) as sampler:
        samples = list(samples_of(tasks, config.group_size, ("bench",)))[: options.trajectories]
        print(f"{options.engine}, {len(samples)} trajectories, {options.concurrency} in flight, {options.repeats} runs")
        print(
            f"{'tool':22} {'loop tok/s':>10} {'engine alone':>14} {'share':>8} {'least':>8} {'most':>8} "
            f"{'waits on tools':>14} {'calls':>8}"
        )
        (python,) = sampler.agent.tools.values()
        assert isinstance(python, PythonTool)
        for name, tool in [("sleeps 50 ms", Waiting(python, 0.05)), ("sandbox, same cores", Waiting(python))]:
            agent = replace(sampler.agent, tools={python.name: tool})
            await measure(name, replace(sampler, agent=agent), samples, options.concurrency, options.repeats)


if __name__ == "__main__":
    asyncio.run(main())
