"""Stable digests: of ids, of configurations, of files. blake2b for identities, sha256 where others check our files."""

from __future__ import annotations

import hashlib
from pathlib import Path

import orjson
from pydantic import BaseModel

_UNIT = 2**64


def digest(*parts: object) -> str:
    """24 hex digits that identify a tuple of parts. JSON keeps `("a", "bc")` and `("ab", "c")` apart."""
    return hashlib.blake2b(orjson.dumps(parts), digest_size=12).hexdigest()


def config_digest(config: BaseModel) -> str:
    """Identity of a configuration: every option, sorted keys."""
    payload = orjson.dumps(config.model_dump(mode="json"), option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(payload, digest_size=12).hexdigest()


def unit_interval(purpose: str, seed: int, key: str) -> float:
    """A reproducible uniform draw in [0, 1): blake2b of purpose, seed and key, first 8 bytes over 2^64."""
    hashed = hashlib.blake2b(f"{purpose}\0{seed}\0{key}".encode()).digest()
    return int.from_bytes(hashed[:8], "big") / _UNIT


def file_sha256(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
