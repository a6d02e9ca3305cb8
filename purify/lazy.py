"""Public names of a package that are loaded on first use: importing it, or its options alone, stays cheap."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from purify.errors import PurifyError


def lazy(package: str, home: Mapping[str, str], *, extra: str | None = None) -> Callable[[str], Any]:
    """A package's `__getattr__`. `home`: in which module of the package each name is defined.

    `extra`: what installs the libraries that those modules cannot do without.
    """

    def load(name: str) -> Any:
        if name in home:
            try:
                return getattr(import_module(f"{package}.{home[name]}"), name)
            except ModuleNotFoundError as error:
                if extra is None or str(error.name).startswith("purify"):
                    raise
                raise PurifyError(
                    f"{name} needs {error.name}; install it with: pip install 'purify-trajectories[{extra}]'"
                ) from None
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return load
