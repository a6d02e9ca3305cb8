"""Datasets for the tests of the page, and how to read what a page holds."""

from __future__ import annotations

import base64
import gzip
import re
from pathlib import Path
from typing import Any

import orjson

from purify.cleaning import clean
from purify.datasets import Dataset
from purify.importing import ImportConfig, import_dump
from purify.saar import SaarConfig
from purify_schemas import Message, Trajectory
from tests.support import call, step, trajectory, write_dataset

DEMO = Path(__file__).parents[3] / "examples/demo.jsonl"
SCRIPT = "</script><script>document.title='broken'</script><img src=x onerror=\"document.title='broken'\"><!--<script>"
CONTROLS = "a\x00b\x1b[31mred\x1b[0m \u202egnp.exe\u202c \x9b1m end\x7f\r\nnext\rsame \U000e0041\u115f\u3164|"
SHOWN = "a␀b␛[31mred␛[0m ‹U+202E›gnp.exe‹U+202C› ‹U+009B›1m end␡\nnext␍same ‹U+E0041›‹U+115F›‹U+3164›|"
LONG = "first" + "x" * 1_000_000 + "last"


def demo(folder: Path) -> Dataset:
    """The shipped dump, purified: 32 trajectories with every outcome."""
    states = ImportConfig(tool_state={"python": "stateless", "lookup": "stateless", "book_slot": "external"})
    import_dump(DEMO, folder / "raw", states)
    return clean(folder / "raw", folder / "demo")


def hostile(folder: Path) -> Dataset:
    """Two trajectories that try to break out of the page, hide, or fill it; both are edited."""
    rows = [_hostile(SCRIPT, id=SCRIPT), _hostile(CONTROLS, id="controls", result=LONG)]
    write_dataset(folder / "raw", rows)
    return clean(folder / "raw", folder / "hostile", SaarConfig(tool_state={SCRIPT: "stateless"}))


def _hostile(text: str, *, id: str, result: str | None = None) -> Trajectory:
    failed = call(f"old {text}", "error", name=SCRIPT, error_type=SCRIPT)
    row = trajectory(
        step(failed, think=text, result=text if result is None else result),
        step(call(f"new {text}", name=SCRIPT), think=text, result=text),
        step(think=text),
        id=id,
        states={SCRIPT: "stateless"},
        reward=1.0,
    )
    return row.model_copy(
        update={"task_id": text, "answer": text, "messages": [Message(role="user", name=text, content=text)]}
    )


def blocks(html: Path, kind: str) -> list[bytes]:
    """The unpacked blocks of a page."""
    pattern = rb'<script type="application/octet-stream" class="%s">([^<]*)</script>' % kind.encode()
    return [gzip.decompress(base64.b64decode(packed)) for packed in re.findall(pattern, html.read_bytes())]


def index_of(html: Path) -> dict[str, Any]:
    (block,) = blocks(html, "index")
    found: dict[str, Any] = orjson.loads(block)
    return found


def details_of(html: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for chunk in blocks(html, "chunk") for line in chunk.split(b"\n")]
