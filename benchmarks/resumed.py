"""Many rollouts through one engine, killed in the middle and resumed: is everything there, once, and judged rightly?

python -m benchmarks.resumed --model toy/model --tasks toy/train.jsonl --engine transformers
python -m benchmarks.resumed --model toy/model --tasks toy/train.jsonl --engine vllm

Kills `purify generate` with SIGKILL once a third of the rollouts is done, goes on with --resume, and checks: every
(task, sample) pair once, whole groups, what was done before the kill unchanged, digests, rewards judged again from the
stored text.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from purify.datasets import Dataset
from purify.datasets.verify import verify
from purify.generating.journal import read_journal, read_row
from purify.rewards import reverify
from purify_schemas import RAW_SCHEMA, from_table

PROGRAM = "from purify_cli.main import run; run()"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="A policy that calls tools, as `purify toy` makes.")
    parser.add_argument("--tasks", type=Path, required=True)
    parser.add_argument("--engine", default="transformers", choices=["transformers", "vllm"])
    parser.add_argument("--rollouts", type=int, default=2000)
    parser.add_argument("--group-size", type=int, default=8)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        tasks = folder / "tasks.jsonl"
        lines = options.tasks.read_bytes().splitlines(keepends=True)[: options.rollouts // options.group_size]
        tasks.write_bytes(b"".join(lines))
        total = len(lines) * options.group_size
        command = [sys.executable, "-c", PROGRAM, "generate", str(tasks), "-o", str(folder / "out")]
        command += ["--model", str(options.model), "--engine", options.engine, "--dtype", "float32"]
        command += ["--group-size", str(options.group_size), "--max-turns", "6", "--max-turn-tokens", "160"]
        journal = folder / "out/.partial/journal"
        started = time.perf_counter()
        with subprocess.Popen(command) as run:
            while len(read_journal(journal, RAW_SCHEMA)) < total / 3:
                time.sleep(0.5)
                if run.poll() is not None:
                    sys.exit("the run ended before it could be killed")
            run.kill()
        tables = [read_row(place, RAW_SCHEMA) for place in read_journal(journal, RAW_SCHEMA).values()]
        before = {row.trajectory_id: row for table in tables for row in from_table(table)}
        subprocess.run([*command, "--resume"], check=True)
        seconds = time.perf_counter() - started

        dataset = Dataset.open(folder / "out")
        rows = list(dataset)
        pairs = Counter((row.task_id, row.sample_index) for row in rows)
        groups = Counter(row.group_id for row in rows)
        kept = sum(row == before[row.trajectory_id] for row in rows if row.trajectory_id in before)
        judged = asyncio.run(reverify(rows))
        counts = dataset.manifest.counts
        failed = sum(counts.get(f"calls_{status}", 0) for status in ("error", "timeout", "malformed"))
        print(f"{options.engine}: {len(rows):,} of {total:,} rollouts in {seconds:.0f} s, killed at {len(before):,}")
        print(
            f"pairs: {len(pairs):,} distinct, {sum(n - 1 for n in pairs.values())} twice, {total - len(pairs)} missing"
        )
        print(f"groups: {len(groups):,}, of {options.group_size} each: {set(groups.values()) == {options.group_size}}")
        print(f"done before the kill and unchanged: {kept:,} of {len(before):,}")
        print(f"verify: {len(verify(dataset.path).findings)} findings")
        print(f"rewards judged again from the text: {judged.equal:,} equal, {len(judged.different)} different")
        correct = counts["reward_positive"] / len(rows)
        print(f"calls: {counts.get('calls', 0):,}, failed {failed:,}; correct: {correct:.3f}")


if __name__ == "__main__":
    main()
