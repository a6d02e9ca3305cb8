"""Records out of `.eval` archives: each sample as a JSON log that holds only this sample.

What grows with the number of samples (`LISTS`) stands in the first record only: in each it would be the square of them.

inspect_ai reads the archive itself, one sample at a time: only it knows all of its layouts and compressions. It is
imported on first use, and asks for nothing over the network.

Field names: inspect_ai/log/_file.py of UKGovernmentBEIS/inspect_ai.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from purify.errors import PurifyError
from purify.importing.archives import refusal
from purify.importing.formats.inspect_samples import LISTS
from purify.importing.json_records import Read, parse


def read_inspect_archive(path: Path) -> Iterator[Read]:
    """One record a sample, in the order of the archive's own list.

    Raises `PurifyError` with the install command if inspect_ai is missing.
    """
    try:
        from inspect_ai.log import read_eval_log, read_eval_log_sample, read_eval_log_sample_summaries
    except ModuleNotFoundError as error:
        raise PurifyError(
            f"{path}: reading .eval archives needs {error.name}; install it with: pip install"
            " 'purify-trajectories[inspect]'"
        ) from None
    if (refused := refusal(path)) is not None:
        yield Read(0, None, None, f"this inspect archive is not read: {refused}")
        return
    name = str(path)
    # What a damaged archive makes the library raise is not documented, so any error is about this file.
    try:
        log = read_eval_log(name, header_only=True, format="eval")
        whole = log.model_dump_json(exclude_none=True)
        brief = log.model_dump_json(exclude_none=True, exclude=LISTS)
        samples = [(summary.id, summary.epoch) for summary in read_eval_log_sample_summaries(name, format="eval")]
    except Exception as error:
        yield Read(0, None, None, f"not a readable inspect archive ({_first_line(error)})")
        return
    header = whole
    for row, (identity, epoch) in enumerate(samples):
        try:
            sample = read_eval_log_sample(name, identity, epoch, format="eval").model_dump_json(exclude_none=True)
        except Exception as error:
            yield Read(row, None, None, f"sample {identity!r} of epoch {epoch} is not readable ({_first_line(error)})")
            continue
        yield parse(f'{header[:-1]},"samples":[{sample}]}}'.encode(), row)
        header = brief


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".split("\n", 1)[0].strip()
