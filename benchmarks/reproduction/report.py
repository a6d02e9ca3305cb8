"""Write docs/reproduction.md and its plots. Every number in them comes from the results file; a test renders them anew.

python -m benchmarks.reproduction report
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jinja2
import polars as pl

from benchmarks.reproduction import analysis, arms
from benchmarks.reproduction.analysis import Mean, Theory
from purify.plots import Curve, Panel, line_charts
from purify.toy.config import DESIGNS

DOCS = Path(__file__).parents[2] / "docs"
RESULTS = DOCS / "reproduction.parquet"
TEMPLATE = Path(__file__).with_name("reproduction.md")
FIGURES = {
    "tool_error_rate": "failed calls",
    "correct_without_failed_call": "correct, no failed call",
    "accuracy": "accuracy",
    "recovery_rate": "recovery",
}
ALGORITHMS = {"rft": "RFT", "grpo": "GRPO", "topr": "TOPR", "dpo": "DPO on (corrected, failed) pairs"}
SHOWN = {name: arm.shown for name, arm in {**arms.CORE, **arms.MORE}.items()}


def write(results: Path = RESULTS, docs: Path = DOCS) -> None:
    """The page and one plot an algorithm."""
    frame = pl.read_parquet(results)
    for name, text in pages(frame).items():
        (docs / name).write_text(text, encoding="utf-8")


def pages(results: pl.DataFrame) -> dict[str, str]:
    """File names and what is in them."""
    tables = Tables(results)
    page = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    text = page.from_string(TEMPLATE.read_text()).render(t=tables, arms=arms, designs=DESIGNS)
    plots = {f"reproduction-{algorithm}.svg": tables.plot(algorithm) for algorithm in ("rft", "grpo")}
    return {"reproduction.md": f"{text.rstrip()}\n", **plots}


class Tables:
    """Markdown tables and single numbers for the template."""

    def __init__(self, results: pl.DataFrame) -> None:
        self.choices = results.filter(pl.col("seed").is_in(arms.CHOICE_SEEDS))
        self.results = results.filter(pl.col("seed").is_in(arms.SEEDS))

    def _last(self, design: str, algorithm: str, arm: str, figure: str) -> dict[int, float]:
        return analysis.last(analysis.of_arm(self.results, design, algorithm, arm), figure)

    def outcome(self, algorithm: str, names: Sequence[str] = tuple(arms.CORE)) -> str:
        """Held-out figures after the last update: mean over seeds, 95 % interval."""
        rows = []
        for design in arms.DESIGNS:
            begun = analysis.of_arm(self.results, design, algorithm, "raw")
            before = [analysis.mean_of(list(analysis.first(begun, figure).values())) for figure in FIGURES]
            rows.append([design, "before", *map(_share, before)])
            for arm in names:
                found = [analysis.mean_of(list(self._last(design, algorithm, arm, name).values())) for name in FIGURES]
                if any(found):
                    rows.append(["", SHOWN[arm], *map(_share, found)])
        return _table(["design", "arm", *FIGURES.values()], rows)

    def against_raw(self, algorithm: str, names: Sequence[str] = ("all", "winners", "masked")) -> str:
        """Differences to raw, seed by seed, in percentage points; and in how many seeds the arm is the better one."""
        rows = []
        for design in arms.DESIGNS:
            for arm in names:
                cells = []
                for figure in FIGURES:
                    raw, own = (self._last(design, algorithm, name, figure) for name in ("raw", arm))
                    cells.append(_difference(analysis.paired(own, raw), falling=figure == "tool_error_rate"))
                if any(cell != "–" for cell in cells):
                    rows.append([design if arm == names[0] else "", SHOWN[arm], *cells])
        return _table(["design", "arm", *FIGURES.values()], rows)

    def by_seed(self, algorithm: str, figure: str) -> str:
        """Every single run."""
        rows = []
        for design in arms.DESIGNS:
            for arm in arms.CORE:
                values = self._last(design, algorithm, arm, figure)
                cells = [f"{values[seed]:.3f}" if seed in values else "–" for seed in arms.SEEDS]
                rows.append([design if arm == "raw" else "", SHOWN[arm], *cells])
        return _table(["design", "arm", *(f"seed {seed}" for seed in arms.SEEDS)], rows)

    def speed(self) -> str:
        """Updates until raw's final figure, as a share of raw's own."""
        rows = []
        for algorithm in ("rft", "grpo"):
            for design in arms.DESIGNS:
                raw = analysis.of_arm(self.results, design, algorithm, "raw")
                for arm in ("all", "winners", "masked"):
                    own = analysis.of_arm(self.results, design, algorithm, arm)
                    shares = [
                        analysis.share_of_updates(own, raw, figure, falling=falling)
                        for figure, falling in (("tool_error_rate", True), ("correct_without_failed_call", False))
                    ]
                    cells = ["not reached" if share is None else f"{share:.2f}" for share in shares]
                    rows.append([ALGORITHMS[algorithm], design, SHOWN[arm], *cells])
        return _table(["", "design", "arm", "failed calls", "correct, no failed call"], rows)

    def theory(self, design: str, *, rounds: str = "first") -> Theory:
        """Of the raw rollouts of a design: of the first round, or of all rounds of raw GRPO."""
        raw = analysis.of_arm(self.results, design, "grpo", "raw").filter(pl.col("tasks") == "train")
        found = analysis.theory(raw.filter(pl.col("updates") == 0) if rounds == "first" else raw)
        assert found is not None
        return found

    def effect(self, design: str, arm: str, algorithm: str = "grpo") -> Mean:
        """Difference of the tool-error rate to raw, in the end."""
        raw, own = (self._last(design, algorithm, name, "tool_error_rate") for name in ("raw", arm))
        found = analysis.mean_of(analysis.paired(own, raw))
        assert found is not None
        return found

    def predictions(self) -> str:
        """The predicted and the seen sign, by design."""
        rows = []
        for design in arms.DESIGNS:
            first, whole = self.theory(design), self.theory(design, rounds="all")
            rows.append(
                [
                    design,
                    f"{first.advantage:+.2f} ± {1.96 * first.standard_error:.2f}",
                    f"{whole.advantage:+.2f} ± {1.96 * whole.standard_error:.2f}",
                    f"{first.push:+.3f}",
                    "helps" if first.advantage > 0 else "hurts",
                    _points(self.effect(design, "all")),
                    _points(self.effect(design, "winners")),
                ]
            )
        return _table(
            [
                "design",
                "E[A given recovered], first round",
                "all rounds of raw GRPO",
                "p R E[A given recovered]",
                "predicted for all",
                "failed calls, all − raw",
                "winners − raw",
            ],
            rows,
        )

    def worst_ratio(self, design: str, algorithm: str, arm: str) -> float:
        """Tool-error rate over raw's, of the seed where that is largest."""
        raw, own = (self._last(design, algorithm, name, "tool_error_rate") for name in ("raw", arm))
        return max(own[seed] / raw[seed] for seed in own.keys() & raw.keys())

    def better(self, design: str, algorithm: str, arm: str, figure: str) -> tuple[int, int]:
        """In how many seeds an arm is better than raw, of how many."""
        found = analysis.paired(*(self._last(design, algorithm, name, figure) for name in (arm, "raw")))
        sign = -1 if figure == "tool_error_rate" else 1
        return sum(sign * difference > 0 for difference in found), len(found)

    def losses(self) -> list[str]:
        """Every core setting that is worse than raw on average, in failed calls or in accuracy."""
        return list(self._losses())

    def _losses(self) -> Iterator[str]:
        for algorithm in ("rft", "grpo"):
            for design in arms.DESIGNS:
                for arm in ("all", "winners", "masked"):
                    for figure, worse in (("tool_error_rate", 1), ("accuracy", -1), ("recovery_rate", -1)):
                        own, raw = (self._last(design, algorithm, name, figure) for name in (arm, "raw"))
                        found = analysis.mean_of(analysis.paired(own, raw))
                        if found is not None and worse * found.value > 0:
                            where = f"{ALGORITHMS[algorithm]}, {design}, {SHOWN[arm]}"
                            yield f"{where}: {FIGURES[figure]} {_points(found)}"

    def chosen(self) -> str:
        """What the learning rates were chosen by."""
        rows = []
        for algorithm, rates in arms.CHOICES.items():
            for rate in rates:
                tried = self.choices.filter(pl.col("algorithm") == algorithm, pl.col("learning_rate") == rate)
                means = [analysis.mean_of(list(analysis.last(tried, figure).values())) for figure in FIGURES]
                mark = " (chosen)" if rate == arms.learning_rate(algorithm) else ""
                rows.append([ALGORITHMS[algorithm], f"{rate:g}{mark}", *map(_share, means)])
        return _table(["", "learning rate", *FIGURES.values()], rows)

    def further(self) -> str:
        """Arms and algorithms beyond the core, as far as the file has them."""
        rows = []
        pairs = [("grpo", arm) for arm in arms.MORE] + [("topr", arm) for arm in ("raw", "all", "winners")]
        for algorithm, arm in [*pairs, ("dpo", "all")]:
            for design in arms.DESIGNS:
                own = {name: self._last(design, algorithm, arm, name) for name in FIGURES}
                found = [analysis.mean_of(list(values.values())) for values in own.values()]
                if any(found):
                    seeds = max(len(values) for values in own.values())
                    rows.append([ALGORITHMS[algorithm], SHOWN[arm], design, str(seeds), *map(_share, found)])
        return _table(["", "arm", "design", "seeds", *FIGURES.values()], rows) if rows else ""

    def plot(self, algorithm: str) -> str:
        panels = []
        for figure, name in FIGURES.items():
            for design in arms.DESIGNS:
                curves = []
                for arm in arms.CORE:
                    updates, means = analysis.curve(analysis.of_arm(self.results, design, algorithm, arm), figure)
                    halves = [mean.half or 0.0 for mean in means]
                    values = [mean.value for mean in means]
                    low = [value - half for value, half in zip(values, halves, strict=True)]
                    high = [value + half for value, half in zip(values, halves, strict=True)]
                    curves.append(Curve(SHOWN[arm], updates, values, low, high))
                panels.append(Panel(f"{design}: {name}", curves))
        label = f"{ALGORITHMS[algorithm]}: figures over updates, by design and arm"
        return line_charts(panels, x_label="updates", columns=3, label=label)


def _share(mean: Mean | None) -> str:
    if mean is None:
        return "–"
    return f"{mean.value:.3f}" if mean.half is None else f"{mean.value:.3f} ± {mean.half:.3f}"


def _points(mean: Mean) -> str:
    """A difference in percentage points."""
    half = "" if mean.half is None else f" ± {100 * mean.half:.1f}"
    return f"{100 * mean.value:+.1f}{half}"


def _difference(values: list[float], *, falling: bool) -> str:
    mean = analysis.mean_of(values)
    if mean is None:
        return "–"
    better = sum((value < 0) if falling else (value > 0) for value in values)
    return f"{_points(mean)} ({better} of {len(values)})"


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
