"""Throughput of `import`, beside `orjson.loads` alone on the same files in the same run.

python -m benchmarks.import_                      # a generated dump in OpenAI messages form
python -m benchmarks.import_ dump.jsonl folder/   # your own files
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import orjson

from benchmarks.synthetic import trajectory as synthetic
from purify.importing import import_dump
from purify.importing.records import find_files

DATA = Path(__file__).parent / "data"


def generate(path: Path, count: int) -> None:
    """The synthetic dataset's rows as OpenAI messages, without ids."""
    with path.open("wb") as out:
        for number in range(count):
            row = synthetic(number)
            messages: list[dict[str, object]] = [{"role": "user", "content": row.messages[0].content}]
            for step in row.steps:
                call = step.calls[0]
                function = {"name": call.name, "arguments": call.arguments}
                messages.append(
                    {
                        "role": "assistant",
                        "content": step.reasoning.text,
                        "tool_calls": [{"id": call.id, "type": "function", "function": function}],
                    }
                )
                result = step.observation.messages[0].content
                messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
            record = {"task_id": row.task_id, "sample_index": row.sample_index, "reward": row.reward}
            out.write(orjson.dumps({**record, "messages": messages}) + b"\n")


def parse_only(files: list[Path]) -> None:
    for path in files:
        if path.suffix == ".jsonl":
            for line in path.open("rb"):
                orjson.loads(line)
        else:
            orjson.loads(path.read_bytes())


def seconds(work: Callable[[], object], repeats: int) -> float:
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def measure(dump: Path, workers: int, repeats: int) -> None:
    root, names, _ = find_files(dump)
    files = [root / name for name in names if not name.endswith(".parquet")]
    size = sum(path.stat().st_size for path in files) / 2**20

    def whole() -> None:
        with tempfile.TemporaryDirectory() as folder:
            import_dump(dump, Path(folder) / "out", workers=workers, mode="new")

    parse = seconds(lambda: parse_only(files), repeats)
    ours = seconds(whole, repeats)
    print(
        f"{dump.name:40s} {size:8.1f} MB   orjson.loads {size / parse:7.1f} MB/s   "
        f"import {size / ours:6.1f} MB/s   ratio {parse / ours:.3f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dumps", nargs="*", type=Path)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    DATA.mkdir(exist_ok=True)
    generated = DATA / "messages.jsonl"
    if not arguments.dumps and not generated.exists():
        generate(generated, 20_000)
    for dump in arguments.dumps or [generated]:
        measure(dump, arguments.workers, arguments.repeats)


if __name__ == "__main__":
    main()
