"""The part of the page that is there before any script runs: its head, and the numbers of `purify stats`."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import jinja2
import orjson

from purify.datasets import Dataset
from purify.plots import histogram
from purify.reporting.figures import AdvantageStats, EditStats, MeanAdvantage, Stats
from purify.reporting.page.details import REASONS
from purify.reporting.page.measures import GroupRewards, TextCost, group_rewards, stored_text
from purify.reporting.remarks import verdict
from purify.reporting.stats import stats

# Default_Ignorable_Code_Point of Unicode, which Python's database lacks, where the category does not tell: fillers,
# joiners, variation selectors but the two that emoji end in, tags.
_IGNORABLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u3164\ufe00-\ufe0d\uffa0\ufff0-\ufff8\U000e0000-\U000e0fff]"
)

_WORD_ENDS = re.compile(r"(?<=[_./:-])(?=\w)|(?<=[a-z])(?=[A-Z])")

LISTED = 12
"""Error types and tools that are shown at once; the others fold away."""


class Breakdown(NamedTuple):
    """Failed calls of one error type or tool, `before` of `total` and `after` of `kept`; null in a raw dataset."""

    name: str
    link: str | None
    """The address, within the page, of the trajectories with such a failed call; null where there is none."""
    before: int
    total: int
    after: int | None
    kept: int | None


def overview(dataset: Dataset, *, title: str, shown: int, policy: str, style: str) -> str:
    """The HTML up to where the trajectories begin."""
    report, stored, groups = stats(dataset.path), stored_text(dataset), group_rewards(dataset)
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"count": _count, "share": _share, "signed": signed, "visible": visible, "words": words}
    environment.filters["json"] = _json
    template = environment.from_string(Path(__file__).with_name("page.html").read_text(encoding="utf-8"))
    return template.render(
        title=title,
        policy=policy,
        style=style,
        manifest=dataset.manifest,
        report=report,
        shown=shown,
        errors=list(_errors(report)),
        tools=list(_tools(report)),
        listed=LISTED,
        reasons=REASONS,
        cost=list(_cost(report.edits, stored)),
        groups=groups,
        similarity=_similarity(report.edits),
        means=_means(groups),
        advantages=[] if report.advantage.missing else advantage_lines(report.advantage),
        verdict=None if report.advantage.missing else verdict(report.advantage),
    )


def visible(text: str) -> str:
    """Text of others on one line, in which every character can be seen: NUL is ␀, what hides or reorders is ‹U+202E›.

    As `visible` of text.js, which keeps tabs and lines.
    """
    return "".join(map(_sign, text))


def _sign(character: str) -> str:
    code = ord(character)
    if code < 0x20 or code == 0x7F:
        return chr(0x2400 + code) if code < 0x20 else "␡"
    hidden = unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp") or _IGNORABLE.match(character)
    return f"‹U+{code:04X}›" if hidden else character


def _errors(report: Stats) -> Iterator[Breakdown]:
    for name, count in report.before.by_error_type.items():
        after, kept = None, None
        if report.after is not None:
            after, kept = report.after.by_error_type.get(name, 0), report.after.calls
        yield Breakdown(name, _link(error=name), count, report.before.calls, after, kept)


def _tools(report: Stats) -> Iterator[Breakdown]:
    for name, tool in report.before.by_tool.items():
        after, kept = None, None
        if report.after is not None:
            stored = report.after.by_tool.get(name)
            after, kept = (stored.failed, stored.calls) if stored else (0, 0)
        link = _link(tool=name, failed="sampled") if tool.failed else None
        yield Breakdown(name, link, tool.failed, tool.calls, after, kept)


def _link(**filters: str) -> str:
    return f"#{urlencode({'view': 'rows', **filters})}"


def advantage_lines(advantage: AdvantageStats) -> list[MeanAdvantage]:
    """The means of `stats`, and that of the trajectories with a failed call that never recovered.

    Those of a group add up to 0, so it is what trajectories without a failed call and recovered ones leave. Its
    standard error cannot be known that way.
    """
    others = [entry for entry in advantage.means if entry.subset in ("clean", "recovered")]
    count = advantage.trajectories - sum(entry.trajectories for entry in others)
    total = sum(entry.mean * entry.trajectories for entry in others if entry.mean is not None)
    never = MeanAdvantage(
        subset="never_recovered",
        of="with failed calls, never recovered",
        trajectories=count,
        mean=-total / count if count else None,
        standard_error=None,
    )
    return [*advantage.means, never]


def _cost(edits: EditStats | None, stored: TextCost) -> Iterator[tuple[str, int | None, int | None]]:
    """What, how much was removed, how much is kept."""
    removed = TextCost(0, None, 0)
    if edits is not None:
        removed = TextCost(edits.turns_removed, edits.tokens_removed, edits.characters_removed)
    yield "turns", removed.turns, stored.turns
    if stored.tokens is not None:
        yield "tokens", removed.tokens or 0, stored.tokens
    yield "characters", removed.characters, stored.characters


def _similarity(edits: EditStats | None) -> str | None:
    if edits is None or not sum(edits.similarity):
        return None
    counts = edits.similarity
    said = ", ".join(f"{count:,} from {at / 10:.1f}" for at, count in enumerate(counts) if count)
    return histogram(
        counts,
        low=0,
        high=1,
        x_label="similarity of failed and corrected call",
        y_label="comparisons",
        marks={gamma: f"γ = {gamma:g}" for gamma in edits.thresholds},
        label=f"Histogram of {sum(counts):,} similarities: {said}",
    )


def _means(groups: GroupRewards | None) -> str | None:
    if groups is None or groups.low == groups.high:
        return None
    return histogram(
        groups.means,
        low=groups.low,
        high=groups.high,
        x_label="mean reward of the group",
        y_label="groups",
        marks={},
        label=f"Histogram of the mean rewards of {groups.groups:,} groups, from {groups.low:g} to {groups.high:g}",
    )


def _count(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def _share(part: int | None, whole: int | None) -> str:
    return "–" if part is None or not whole else f"{part / whole:.1%}"


def signed(value: float | None) -> str:
    """With three digits, and a sign unless they are all 0."""
    text = "–" if value is None else f"{value:+.3f}"
    return "0.000" if text in ("+0.000", "-0.000") else text


def words(name: str) -> list[str]:
    """The parts of a name between which a line may end, `Key`, `Error` and `book_`, `slot`."""
    return _WORD_ENDS.split(name)


def _json(value: Mapping[str, Any] | object) -> str:
    """A value of a configuration, as one would write it in JSON."""
    return orjson.dumps(value).decode()
