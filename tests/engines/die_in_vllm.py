"""Kill vLLM's engine process under a running generation and print what the caller sees. Run by test_vllm.py.

With `wait` as a second argument: print the process numbers of the engine, and wait to be killed.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "schemas")]

from purify.engines import EngineError, Sampling  # noqa: E402
from purify.engines.config import EngineConfig  # noqa: E402
from purify.engines.loading import load_engine  # noqa: E402


def children() -> list[int]:
    """Every process below this one."""
    found = [os.getpid()]
    parents = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(entry.parent.name)] = int(fields[1])
    for parent in found:
        found += [child for child, of in parents.items() if of == parent]
    return found[1:]


async def main(model: str, what: str = "kill") -> None:
    engine = await load_engine(
        EngineConfig(engine="vllm", model=model, dtype="float32", kv_cache_gb=0.25, max_batch=16)
    )
    request = asyncio.create_task(engine.generate([1, 2, 3], Sampling(max_tokens=2000)))
    await asyncio.sleep(0.2)
    if what == "wait":
        print("children", *children(), flush=True)
        await asyncio.sleep(240)
    for child in children():
        os.kill(child, signal.SIGKILL)
    try:
        await asyncio.wait_for(request, 60)
    except EngineError as error:
        print(f"EngineError: {error}", flush=True)
    await engine.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
