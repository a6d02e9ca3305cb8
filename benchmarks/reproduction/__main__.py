"""`python -m benchmarks.reproduction run|report`; see the package."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from benchmarks.reproduction import arms
from benchmarks.reproduction.results import gather
from benchmarks.reproduction.runs import run_all


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reproduction", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run the core table, or what it lacks")
    run.add_argument(
        "-o", "--out", type=Path, default=Path("reproduction"), help="folder of policies, runs and results"
    )
    run.add_argument("-j", "--workers", type=int, default=2, help="processes; one a core")
    run.add_argument("--more", action="store_true", help="further arms and algorithms")
    run.add_argument(
        "--choose", action="store_true", help="the learning rates, on seeds that are reported nowhere else"
    )
    run.add_argument("--seeds", type=int, nargs="+", default=arms.SEEDS, help="of the arms")
    report = commands.add_parser(
        "report", help="write docs/reproduction.md and its plots from docs/reproduction.parquet"
    )
    report.add_argument("--results", type=Path, help="first take these results as docs/reproduction.parquet")
    given = parser.parse_args()
    if given.command == "run":
        seeds = tuple(given.seeds)
        runs = arms.choices() if given.choose else arms.more(seeds) if given.more else arms.core(seeds)
        for line in run_all(runs, given.out, given.workers):
            print(line, flush=True)
        gather((given.out / "results").rglob("*.json")).write_parquet(given.out / "results.parquet")
    else:
        from benchmarks.reproduction.report import RESULTS, write

        if given.results:
            shutil.copyfile(given.results, RESULTS)
        write()


if __name__ == "__main__":
    main()
