"""Write docs/reproduction.md and its plots. Every number in them comes from the results file; a test renders them anew.

python -m benchmarks.reproduction report
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import jinja2
import polars as pl

from benchmarks.reproduction import analysis, arms
from benchmarks.reproduction.analysis import Mean, Sooner, Theory
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
COMMAND = "`make reproduce`"
CORE_ALGORITHMS = ("rft", "grpo")
OTHERS = ("all", "winners", "masked")
"""Arms that are compared with raw."""
FALLING = ("tool_error_rate",)
"""Figures of which less is better."""
CRITERION = "correct_without_failed_call"
"""By which learning rates are to be chosen."""
SHOWN = {name: arm.shown for name, arm in {**arms.CORE, **arms.MORE}.items()}


def write(results: Path = RESULTS, docs: Path = DOCS) -> None:
    """The page, one plot an algorithm, and the rows of the README's table."""
    frame = pl.read_parquet(results)
    for name, text in pages(frame).items():
        (docs / name).write_text(text, encoding="utf-8")
    readme = docs.parent / "README.md"
    readme.write_text(with_figures(readme.read_text(encoding="utf-8"), Tables(frame)), encoding="utf-8")


def pages(results: pl.DataFrame) -> dict[str, str]:
    """File names and what is in them."""
    tables = Tables(results)
    page = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    text = page.from_string(TEMPLATE.read_text()).render(t=tables, arms=arms, designs=DESIGNS, algorithms=ALGORITHMS)
    plots = {f"reproduction-{algorithm}.svg": tables.plot(algorithm) for algorithm in CORE_ALGORITHMS}
    return {"reproduction.md": f"{text.rstrip()}\n", **plots}


def with_figures(readme: str, tables: Tables) -> str:
    """The README with the rows of `make reproduce` made anew, where the first of them stands."""
    lines = readme.splitlines()
    at = [number for number, line in enumerate(lines) if line.endswith(f"| {COMMAND} |")]
    kept = [line for number, line in enumerate(lines) if number not in at]
    return "\n".join([*kept[: at[0]], *tables.figures(), *kept[at[0] :]]) + "\n"


class Tables:
    """Markdown tables and single numbers for the template."""

    def __init__(self, results: pl.DataFrame) -> None:
        rate = pl.col("algorithm").replace_strict({name: arms.learning_rate(name) for name in arms.SCHEDULES})
        self.choices = results.filter(
            pl.col("seed").is_in(arms.CHOICE_SEEDS), pl.col("arm") == "raw", pl.col("design") == "C"
        )
        self.results = results.filter(pl.col("seed").is_in(arms.SEEDS), pl.col("learning_rate") == rate)
        self.seeds = self.results["seed"].unique().sort().to_list()

    def _last(self, design: str, algorithm: str, arm: str, figure: str) -> dict[int, float]:
        return analysis.last(analysis.of_arm(self.results, design, algorithm, arm), figure)

    def _means(self, design: str, algorithm: str, arm: str) -> list[Mean | None]:
        """Of all figures."""
        return [mean_of(self._last(design, algorithm, arm, figure).values()) for figure in FIGURES]

    def _paired(self, design: str, algorithm: str, arm: str, figure: str) -> list[float]:
        """Differences to raw."""
        own, raw = (self._last(design, algorithm, name, figure) for name in (arm, "raw"))
        return analysis.paired(own, raw)

    def outcome(self, algorithm: str) -> str:
        """Held-out figures after the last update: mean over seeds, 95 % interval."""
        rows = []
        for design in arms.DESIGNS:
            begun = analysis.of_arm(self.results, design, algorithm, "raw")
            before = [mean_of(analysis.first(begun, figure).values()) for figure in FIGURES]
            rows.append([design, "before", *map(_share, before)])
            rows += [["", SHOWN[arm], *map(_share, self._means(design, algorithm, arm))] for arm in arms.CORE]
        return _table(["design", "arm", *FIGURES.values()], rows)

    def against_raw(self, algorithm: str) -> str:
        """Differences to raw, seed by seed, in percentage points; and in how many seeds the arm is the better one."""
        rows = [
            [design if arm == "all" else "", SHOWN[arm], *self._differences(design, algorithm, arm)]
            for design in arms.DESIGNS
            for arm in OTHERS
        ]
        return _table(["design", "arm", *FIGURES.values()], rows)

    def _differences(self, design: str, algorithm: str, arm: str) -> list[str]:
        return [_difference(self._paired(design, algorithm, arm, figure), figure) for figure in FIGURES]

    def figures(self) -> Iterator[str]:
        """Rows of the README's table."""
        for algorithm, arm in (("rft", "all"), ("grpo", "winners")):
            for figure in ("tool_error_rate", "accuracy"):
                own, raw = (
                    [mean_of(self._last(design, algorithm, name, figure).values()) for design in arms.DESIGNS]
                    for name in (arm, "raw")
                )
                pairs = (f"{b.value:.3f} → {a.value:.3f}" for a, b in zip(own, raw, strict=True) if a and b)
                what = f"{FIGURES[figure]} of tiny policies A, B, C after {ALGORITHMS[algorithm]}, raw → {SHOWN[arm]}"
                yield f"| {what} ({len(self.seeds)} seeds) | {', '.join(pairs)} | {COMMAND} |"

    def by_seed(self, algorithm: str, figure: str) -> str:
        """Every single run."""
        rows = []
        for design in arms.DESIGNS:
            for arm in arms.CORE:
                values = self._last(design, algorithm, arm, figure)
                cells = [f"{values[seed]:.3f}" if seed in values else "–" for seed in self.seeds]
                rows.append([design if arm == "raw" else "", SHOWN[arm], *cells])
        return _table(["design", "arm", *(f"seed {seed}" for seed in self.seeds)], rows)

    def speed(self) -> str:
        """Updates until raw's final figure, as a share of raw's own."""
        rows = []
        for algorithm in CORE_ALGORITHMS:
            for design in arms.DESIGNS:
                raw = analysis.of_arm(self.results, design, algorithm, "raw")
                for arm in OTHERS:
                    own = analysis.of_arm(self.results, design, algorithm, arm)
                    cells = [
                        _sooner(analysis.sooner(own, raw, figure, falling=figure in FALLING))
                        for figure in ("tool_error_rate", "correct_without_failed_call")
                    ]
                    rows.append([ALGORITHMS[algorithm], design, SHOWN[arm], *cells])
        return _table(["", "design", "arm", "failed calls", "correct, no failed call"], rows)

    def theory(self, design: str, *, first: bool) -> Theory:
        """Of raw rollouts of a design: of the first round, or of all rounds of raw GRPO."""
        raw = analysis.of_arm(self.results, design, "grpo", "raw").filter(pl.col("tasks") == "train")
        found = analysis.theory(raw.filter(pl.col("updates") == 0) if first else raw)
        if found is None:
            raise ValueError(f"design {design}: no trajectory recovered")
        return found

    def predictions(self) -> str:
        """The predicted sign and the effect, by design."""
        rows = []
        for design in arms.DESIGNS:
            first, whole = self.theory(design, first=True), self.theory(design, first=False)
            effect, winners = (
                mean_of(self._paired(design, "grpo", arm, "tool_error_rate")) for arm in ("all", "winners")
            )
            told = {1: "helps", -1: "hurts", 0: "unclear"}[first.sign]
            measured = [_signed(first.advantage), _signed(whole.advantage), _signed(first.push)]
            rows.append([design, *measured, told, _points(effect), _agrees(first.sign, effect), _points(winners)])
        head = ["design", "E[A given recovered], first round", "all rounds of raw GRPO", "times share recovered"]
        head += ["so purifying all", "failed calls, all − raw", "as predicted", "winners − raw"]
        return _table(head, rows)

    def same_order(self) -> bool:
        """Whether designs sorted by E[A | recovered] over all rounds are sorted by how much purifying all gains."""
        gains = {design: mean_of(self._paired(design, "grpo", "all", "tool_error_rate")) for design in arms.DESIGNS}
        by_theory = sorted(arms.DESIGNS, key=lambda design: self.theory(design, first=False).advantage.value)
        return by_theory == sorted(arms.DESIGNS, key=lambda design: -(gains[design] or Mean(0, None, 0)).value)

    def halved(self, design: str, algorithm: str, arm: str) -> str:
        """Whether failed calls are at most half of raw's, on every seed."""
        own, raw = (self._last(design, algorithm, name, "tool_error_rate") for name in (arm, "raw"))
        ratios = [own[seed] / raw[seed] for seed in sorted(own.keys() & raw.keys())]
        held = sum(ratio <= 0.5 for ratio in ratios)
        return f"{held} of {len(ratios)} seeds (largest ratio {max(ratios):.2f})"

    def no_worse(self, algorithm: str, arm: str) -> str:
        """Failed calls and accuracy of an arm against raw, in every design."""
        rows = []
        for design in arms.DESIGNS:
            cells = [
                _difference(self._paired(design, algorithm, arm, name), name)
                for name in ("tool_error_rate", "accuracy")
            ]
            rows.append([design, *cells])
        return _table(["design", FIGURES["tool_error_rate"], FIGURES["accuracy"]], rows)

    def losses(self) -> Iterator[str]:
        """Every core setting that purifies and is worse than raw on average, in any figure."""
        for algorithm in CORE_ALGORITHMS:
            for design in arms.DESIGNS:
                for arm in ("all", "winners"):
                    for figure in FIGURES:
                        mean = mean_of(self._paired(design, algorithm, arm, figure))
                        if mean is not None and _is_worse(mean.value, figure):
                            yield f"{ALGORITHMS[algorithm]}, {design}, {SHOWN[arm]}: {FIGURES[figure]} {_points(mean)}"

    def beaten(self) -> Iterator[str]:
        """Where masking failed turns does better than purifying all: what rewriting has to be weighed against."""
        for algorithm in CORE_ALGORITHMS:
            for design in arms.DESIGNS:
                own, masked = (self._last(design, algorithm, name, "tool_error_rate") for name in ("all", "masked"))
                mean = mean_of(analysis.paired(own, masked))
                if mean is not None and mean.value > 0:
                    yield f"{ALGORITHMS[algorithm]}, {design}: {_points(mean)} points of failed calls"

    def best_rate(self, algorithm: str) -> float:
        """The rate after which raw has most correct trajectories without a failed call, on the seeds of choices."""
        means = {rate: self._mean_tried(algorithm, rate, CRITERION) for rate in arms.CHOICES[algorithm]}
        return max(means, key=lambda rate: mean.value if (mean := means[rate]) else -1.0)

    def better_rates(self) -> Iterator[str]:
        """Where raw would do better by the criterion with another rate than the one that is used, and by how much."""
        for algorithm in arms.CHOICES:
            used, best = arms.learning_rate(algorithm), self.best_rate(algorithm)
            if best != used:
                own, other = (self._tried(algorithm, rate, CRITERION) for rate in (best, used))
                more = _points(mean_of(analysis.paired(own, other)))
                yield f"{ALGORITHMS[algorithm]}: {best:g} instead of {used:g}, {more} points of {FIGURES[CRITERION]}"

    def _tried(self, algorithm: str, rate: float, figure: str) -> dict[int, float]:
        tried = self.choices.filter(pl.col("algorithm") == algorithm, pl.col("learning_rate") == rate)
        return analysis.last(tried, figure)

    def _mean_tried(self, algorithm: str, rate: float, figure: str) -> Mean | None:
        return mean_of(self._tried(algorithm, rate, figure).values())

    def tried(self) -> str:
        """The raw arm of design C by learning rate."""
        rows = []
        for algorithm, rates in arms.CHOICES.items():
            for rate in rates:
                means = [self._mean_tried(algorithm, rate, figure) for figure in FIGURES]
                mark = " (used)" if rate == arms.learning_rate(algorithm) else ""
                rows.append([ALGORITHMS[algorithm], f"{rate:g}{mark}", *map(_share, means)])
        return _table(["", "learning rate", *FIGURES.values()], rows)

    def further(self) -> str:
        """Arms and algorithms beyond the core, as far as the file has them, beside those that they differ from."""
        further = [
            *self.results.filter(~pl.col("arm").is_in(tuple(arms.CORE)) | ~pl.col("algorithm").is_in(CORE_ALGORITHMS))
            .select("design", "algorithm", "arm")
            .unique()
            .sort("algorithm", "arm", "design")
            .iter_rows()
        ]
        rows = []
        for design, algorithm, arm in further:
            seeds = len(self._last(design, algorithm, arm, "accuracy"))
            means = self._means(design, algorithm, arm)
            rows.append([ALGORITHMS[algorithm], SHOWN[arm], design, str(seeds), *map(_share, means)])
        return _table(["", "arm", "design", "seeds", *FIGURES.values()], rows) if rows else ""

    def plot(self, algorithm: str) -> str:
        """Every figure over updates: a row a figure, a column a design."""
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


def mean_of(values: Iterable[float]) -> Mean | None:
    return analysis.mean_of(list(values))


def _is_worse(difference: float, figure: str) -> bool:
    return difference > 0 if figure in FALLING else difference < 0


def _share(mean: Mean | None) -> str:
    return "–" if mean is None else f"{mean.value:.3f}{_half(mean.half, '.3f')}"


def _signed(mean: Mean) -> str:
    return f"{mean.value:+.3f}{_half(mean.half, '.3f')}"


def _points(mean: Mean | None) -> str:
    """A difference in percentage points."""
    if mean is None:
        return "–"
    return f"{100 * mean.value:+.1f}{_half(None if mean.half is None else 100 * mean.half, '.1f')}"


def _half(half: float | None, form: str) -> str:
    return "" if half is None else f" ± {half:{form}}"


def _difference(values: list[float], figure: str) -> str:
    mean = mean_of(values)
    better = sum(_is_worse(-value, figure) for value in values)
    return "–" if mean is None else f"{_points(mean)} ({better} of {len(values)})"


def _agrees(predicted: int, effect: Mean | None) -> str:
    """Whether the effect on failed calls has the predicted sign; unclear where either interval holds 0."""
    if effect is None or predicted == 0 or effect.half is None or abs(effect.value) <= effect.half:
        return "unclear"
    return "yes" if (effect.value < 0) == (predicted > 0) else "no"


def _sooner(found: Sooner) -> str:
    if not found.raw_improved:
        return "raw got no better"
    return "not reached" if found.share is None else f"{found.share:.2f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
