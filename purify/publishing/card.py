"""The card of a published dataset: YAML front matter for the hub, then Markdown for people.

Front matter: huggingface/hub-docs, `datasetcard.md` (names), `docs/hub/datasets-cards.md` (what they mean).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from purify.publishing.config import PublishConfig
from purify.publishing.contamination import LONGEST, SHORTEST
from purify.publishing.counts import counted
from purify.publishing.duplicates import SHINGLE
from purify.publishing.features import card_features
from purify.publishing.limits import limits
from purify.publishing.report import Audit
from purify.publishing.sources import Sources
from purify.reporting.figures import Stats, ToolStats
from purify_schemas import Manifest

_MARKUP = re.compile(r"[\\`|\[\]!*]")
TEMPLATE = Path(__file__).with_name("card.md.jinja")
_SIZES = ("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M", "100M<n<1B", "1B<n<10B")


class Facts(NamedTuple):
    """What a card says, and nothing else: the same facts give the same bytes."""

    manifest: Manifest
    """Of the published copy."""
    made_by: str
    """The stage that wrote the dataset that was published."""
    options: dict[str, Any]
    """Of that stage."""
    online: bool
    """Whether rows were edited while they were generated."""
    log_probs: bool
    """Whether sampled text has stored log-probs."""
    repeated: int
    """trajectory_ids on more than one row."""
    redacted: Callable[[str], str]
    """Masks what the scan would find in a text: a card shows names of models, files and tools."""
    stats: Stats
    sources: Sources
    audit: Audit
    config: PublishConfig

    @property
    def title(self) -> str:
        title = self.config.title or (self.config.repo or "Tool-using trajectories").rpartition("/")[2]
        return " ".join(self.redacted(title).split())

    @property
    def summary(self) -> str:
        """One sentence, for the card and for croissant.json."""
        scored = ", with log-probs of every model token" if self.manifest.scored else ""
        what = "purified" if self.stats.edits else "raw"
        return f"Rollouts of tool-using language models, {what}{scored}: {_trajectories(self.manifest.rows)}."


def card(facts: Facts, schema: pa.Schema, folder: Path) -> str:
    """`README.md`. `folder` holds the shards, whose sizes the front matter gives."""
    import jinja2

    page = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    page.filters.update(
        number=_number,
        percent=_percent,
        counted=counted,
        trajectories=_trajectories,
        cell=lambda value: _cell(value, facts.redacted),
    )
    stats = facts.stats
    tools = _tools(stats)
    body = page.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        facts._asdict(),
        title=facts.title,
        summary=facts.summary,
        license=facts.config.license,
        purified=stats.edits is not None,
        shown=stats.after or stats.before,
        before=" before" if stats.after else "",
        failing={name: tool for name, tool in tools.items() if tool.failed},
        quiet=[tool for tool in tools.values() if not tool.failed],
        options=_options(facts),
        dropped=facts.audit.dropped,
        contaminated=Counter(row.benchmark for row in facts.audit.contaminated),
        limits=list(
            limits(
                stats,
                facts.audit,
                facts.options,
                online=facts.online,
                log_probs=facts.log_probs,
                repeated=facts.repeated,
            )
        ),
        restorable=stats.edits is not None and not facts.online,
        shingle=SHINGLE,
        longest=LONGEST,
        shortest=SHORTEST,
    )
    return f"---\n{_front_matter(facts, schema, folder)}---\n\n{body}"


def _front_matter(facts: Facts, schema: pa.Schema, folder: Path) -> str:
    manifest = facts.manifest
    stored = sum(shard.bytes for shard in manifest.shards)
    loaded = sum(_uncompressed(folder / shard.path) for shard in manifest.shards)
    split = {"name": "train", "num_bytes": loaded, "num_examples": manifest.rows}
    matter: dict[str, Any] = {
        "license": facts.config.license or "unknown",
        "pretty_name": facts.title,
        "task_categories": ["text-generation"],
        "size_categories": [_size(manifest.rows)],
        "tags": ["agent", "tool-use", "trajectories", *(["purified"] if facts.stats.edits else []), "purify"],
        "dataset_info": {
            "features": card_features(schema),
            "splits": [split],
            "download_size": stored,
            "dataset_size": loaded,
        },
    }
    return yaml.safe_dump(matter, sort_keys=False, allow_unicode=True)


def _uncompressed(shard: Path) -> int:
    footer = pq.read_metadata(shard)
    return sum(footer.row_group(index).total_byte_size for index in range(footer.num_row_groups))


def _size(rows: int) -> str:
    return _SIZES[min(max(len(str(rows)) - 3, 0), len(_SIZES) - 1)]


def _options(facts: Facts) -> list[tuple[str, str]]:
    """The options of `clean`; what the edits themselves say, where a later stage wrote the dataset."""
    edits = facts.stats.edits
    if edits is None:
        return []
    if facts.made_by == "clean":
        given = {name: value for name, value in facts.options.items() if value is not None and value != {}}
        return [("method", "saar"), *((name, _value(value, facts.redacted)) for name, value in given.items())]
    gates = ", ".join(edits.gates) or "none"
    gammas = ", ".join(f"{gamma:g}" for gamma in edits.thresholds) or "no edit was judged"
    said = {"method": "saar", "gamma": gammas, "gates": gates, "written by": facts.made_by}
    return [(name, _cell(text, facts.redacted)) for name, text in said.items()]


def _value(value: object, redacted: Callable[[str], str]) -> str:
    """The value of an option as a YAML file would have it; lists and mappings as code, whose brackets are no links."""
    if isinstance(value, str):
        return _cell(value, redacted)
    text = redacted(json.dumps(value, ensure_ascii=False))
    if not isinstance(value, list | dict):
        return text
    return "`" + text.replace("`", "'").replace("|", "\\|") + "`"


class _Tool(NamedTuple):
    before: ToolStats
    after: ToolStats

    @property
    def failed(self) -> bool:
        return bool(self.before.failed or self.after.failed)


def _tools(stats: Stats) -> dict[str, _Tool]:
    none = ToolStats(calls=0, failed=0)
    after = stats.after.by_tool if stats.after else {}
    return {name: _Tool(tool, after.get(name, none)) for name, tool in stats.before.by_tool.items()}


def _trajectories(count: int) -> str:
    return counted(count, "trajectory", "trajectories")


def _number(count: int) -> str:
    return f"{count:,}"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"


def _cell(value: object, redacted: Callable[[str], str]) -> str:
    """Text of others on one line: masked, and without the signs that end a cell or begin a link, a picture or HTML."""
    text = "–" if value is None else " ".join(redacted(str(value)).split())
    return _MARKUP.sub(r"\\\g<0>", text.replace("&", "&amp;").replace("<", "&lt;"))
