"""Which engines can be used on this machine, found out by importing what they need: `purify doctor`."""

from __future__ import annotations

import asyncio
import os
from importlib import import_module

from purify.engines.loading import reason

_NEEDS = {
    "transformers": (("torch", "transformers"), "pip install 'purify-trajectories[generate]'"),
    "vllm": (("torch", "vllm", "vllm.v1.engine.async_llm"), "pip install 'purify-trajectories[vllm]'"),
    "server": (("httpx", "tenacity", "transformers"), "pip install 'purify-trajectories[generate]'"),
}


async def engine_report() -> list[tuple[str, bool, str]]:
    """(name, usable, versions and devices or how to get it), one an engine."""
    return await asyncio.to_thread(lambda: [_row(name) for name in _NEEDS])


def _row(name: str) -> tuple[str, bool, str]:
    modules, install = _NEEDS[name]
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
    found = []
    for module in modules:
        try:
            version = getattr(import_module(module), "__version__", None)
        except Exception as error:  # a package that does not fit this machine fails in ways of its own
            missing = isinstance(error, ModuleNotFoundError) and error.name == module
            return name, False, install if missing else f"{module} cannot be imported ({reason(error)}); {install}"
        if version:
            found.append(f"{module} {version}")
    where = "a server named with --url" if name == "server" else ", ".join(_devices())
    return name, True, f"{', '.join(found)}; runs on {where}"


def _devices() -> list[str]:
    import torch

    cards = [f"cuda:{card} {torch.cuda.get_device_name(card)}" for card in range(torch.cuda.device_count())]
    return [*cards, f"cpu ({os.cpu_count()} cores)"]
