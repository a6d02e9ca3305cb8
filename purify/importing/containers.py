"""Files that are neither JSON nor Parquet: each suffix has a function that reads the records out of one file.

A reader yields one `Read` a record and never raises for what a file holds: a damaged file gives one `Read` that says
what is wrong with it. It raises `PurifyError` where the library it needs is not installed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from purify.importing.formats.inspect_archive import read_inspect_archive
from purify.importing.formats.slime_file import read_slime_file
from purify.importing.json_records import Read

CONTAINERS: Mapping[str, Callable[[Path], Iterator[Read]]] = {
    ".eval": read_inspect_archive,
    ".pt": read_slime_file,
}
