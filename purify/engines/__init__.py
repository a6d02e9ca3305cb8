"""Engines: token ids in, token ids and log-probs out."""

from purify.engines.base import Engine, EngineError, Generation, Sampling

__all__ = ["Engine", "EngineError", "Generation", "Sampling"]
