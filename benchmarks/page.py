"""`purify report` with 10,000 trajectories, opened in Chromium: how soon it can be used, and how much memory it takes.

python -m benchmarks.page

Usable: the list is drawn and answers. Memory is that of the whole page process (PSS and RSS by /proc, of the renderer;
all of Chromium's processes beside it), and of that the JavaScript heap (CDP `Performance.getMetrics`;
`measureUserAgentSpecificMemory` is not there for a file). Needs Chromium and playwright.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path
from string import ascii_lowercase
from typing import Any

from benchmarks.synthetic import trajectory as synthetic
from purify.cleaning import clean
from purify.datasets import ShardSink, Stage, run_stage
from purify_schemas import RAW_SCHEMA, Message, Step, Trajectory, to_table

MB = 2**20
WORDS = 4000
"""Of the vocabulary that prose is drawn from: so that it is packed about as well as real text, not better."""
WRITE = """
import resource, sys, time
from purify.reporting.page import write_page
began = time.perf_counter()
written = write_page(sys.argv[1], sys.argv[2], limit=int(sys.argv[3]))
print(written.shown, written.bytes, time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
LIMITS = "at most 3 s and 300 MB"


def generate(path: Path, trajectories: int) -> None:
    """The synthetic trajectories with longer texts: about 12,000 characters each."""

    def work(unit: tuple[int, int], sink: ShardSink) -> None:
        for at in range(unit[0], unit[1], 500):
            rows = [longer(synthetic(number)) for number in range(at, min(at + 500, unit[1]))]
            sink.append(to_table(rows), records=len(rows))

    units = [(at, min(at + 5000, trajectories)) for at in range(0, trajectories, 5000)]
    stage = Stage("import", "raw", RAW_SCHEMA, config={}, inputs=list(map(str, units)), config_digest="longer")
    run_stage(stage, units, work, path)


@cache
def vocabulary() -> list[str]:
    draw = random.Random(0)
    return ["".join(draw.choices(ascii_lowercase, k=draw.randint(2, 10))) for _ in range(WORDS)]


def longer(row: Trajectory) -> Trajectory:
    draw, words = random.Random(row.trajectory_id), vocabulary()

    def prose(count: int) -> str:
        # Frequencies as in language: the word of rank r about 1 / r as often as the first.
        return " ".join(words[int(WORDS ** draw.random()) - 1] for _ in range(count))

    def step(one: Step) -> Step:
        result = one.observation.messages[0]
        table = "\n".join(f"{index:4d}  {draw.random():.6f}  {prose(3)}" for index in range(draw.randint(0, 24)))
        told = result.model_copy(update={"content": f"{table}\n{result.content}"})
        return one.model_copy(
            update={
                "reasoning": one.reasoning.model_copy(update={"text": prose(draw.randint(60, 260))}),
                "observation": one.observation.model_copy(update={"messages": [told]}),
            }
        )

    prompt = [Message(role="system", content=" ".join(words[:250])), Message(role="user", content=prose(80))]
    return row.model_copy(update={"messages": prompt, "steps": [step(one) for one in row.steps]})


def measure(html: Path, chromium: str, query: str) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        session = page.context.new_cdp_session(page)
        show_memory("blank page", session, browser)
        began = time.perf_counter()
        page.goto(f"{html.as_uri()}#view=rows", wait_until="commit")
        page.wait_for_selector("html[data-ready] #list [role=option]")
        usable = time.perf_counter() - began
        own = page.evaluate("performance.now()") / 1000
        print(f"usable (list drawn)       {usable:6.2f} s after navigation ({own:.2f} s by the page's own clock)")
        show_memory("when usable", session, browser)
        began = time.perf_counter()
        page.fill("#search", query)
        page.locator("#found", has_text="found in").wait_for()
        first = time.perf_counter() - began
        page.locator("#found", has_not_text="searched").wait_for()
        whole = time.perf_counter() - began
        said = page.text_content("#found")
        print(f"full-text search          {first:6.2f} s to the first results, {whole:.2f} s to all: {said}")
        show_memory("after the search", session, browser)
        page.keyboard.press("Enter")
        began = time.perf_counter()
        page.keyboard.press("Enter")
        page.wait_for_selector("#detail article")
        print(f"opening a trajectory      {time.perf_counter() - began:6.2f} s")
        for _ in range(100):
            page.keyboard.press("j")
        page.wait_for_timeout(500)
        show_memory("100 opened", session, browser)
        session.send("HeapProfiler.collectGarbage")
        show_memory("garbage collected", session, browser)
        browser.close()


def show_memory(when: str, session: Any, browser: Any) -> None:
    session.send("Performance.enable")
    metrics = {entry["name"]: entry["value"] for entry in session.send("Performance.getMetrics")["metrics"]}
    processes = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
    renderers = [one["id"] for one in processes if one["type"] == "renderer"]
    pss, rss = max(_memory(pid) for pid in renderers)
    everything = sum(_memory(one["id"])[0] for one in processes)
    heap = metrics["JSHeapUsedSize"] / MB
    print(
        f"memory, {when:17s} {pss:6.0f} MB PSS of the page's process ({rss:.0f} MB RSS), JS heap {heap:.0f} MB; "
        f"all of Chromium {everything:.0f} MB PSS"
    )


def _memory(pid: int) -> tuple[float, float]:
    """PSS and RSS in MB; nothing for a process that is gone or not ours to look at."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0, 0.0
    found = {name: int(value.split()[0]) for name, _, value in (line.partition(":") for line in lines[1:])}
    return found["Pss"] / 1024, found["Rss"] / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trajectories", type=int, default=10_000)
    parser.add_argument("--dataset", type=Path, help="measure this dataset instead of a generated one")
    parser.add_argument("--search", default="name 'table' is not defined")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        dataset = arguments.dataset
        if dataset is None:
            generate(Path(folder, "raw"), arguments.trajectories)
            dataset = clean(Path(folder, "raw"), Path(folder, "purified")).path
        html = Path(folder, "report.html")
        # In a process of its own, so that its memory is only its own.
        told = [str(dataset), str(html), str(arguments.trajectories)]
        written = subprocess.run([sys.executable, "-c", WRITE, *told], check=True, capture_output=True, text=True)
        shown, size, seconds, peak = map(float, written.stdout.split())
        print(f"{shown:,.0f} trajectories, {os.cpu_count()} cores; to hold: {LIMITS}")
        print(f"written                   {seconds:6.2f} s, {size / MB:.1f} MB, at most {peak / 1024:.0f} MB of memory")
        chromium = shutil.which("chromium")
        if chromium is None:
            print("not opened: no Chromium here (apt-get install chromium)")
        else:
            measure(html, chromium, arguments.search)


if __name__ == "__main__":
    main()
