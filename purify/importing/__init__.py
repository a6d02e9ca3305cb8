"""Foreign rollout dumps in, trajectories out."""

from purify.importing.config import ImportConfig

__all__ = ["ImportConfig", "import_dump"]


def __getattr__(name: str) -> object:
    # Importers import `base` from this package, so the stage that imports the importers must come later.
    if name == "import_dump":
        from purify.importing.stage import import_dump

        return import_dump
    raise AttributeError(f"module 'purify.importing' has no attribute {name!r}")
