"""Options from a YAML file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from purify.errors import PurifyError


def read_yaml(file: Path) -> Any:
    """What the file holds. Raises `PurifyError` if it cannot be read or is not YAML."""
    import yaml

    try:
        return yaml.safe_load(file.read_text())
    except OSError as error:
        raise PurifyError(f"{file}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise PurifyError(f"{file}: not YAML ({' '.join(str(error).split())})") from None
