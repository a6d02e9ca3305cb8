"""Charts as SVG text, the same bytes for the same numbers and version of matplotlib (`demo` and `report` extras)."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from xml.sax.saxutils import quoteattr

from matplotlib import rc_context, rcParamsDefault
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

COLOURS = ("#000000", "#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00")
"""Told apart by colour-blind people too (Okabe and Ito)."""
MARKERS = "osD^vP"
LEGEND = 0.4
"""Inches below the panels."""
STYLE = {"svg.fonttype": "none", "svg.hashsalt": "purify", "font.size": 9, "font.sans-serif": ["DejaVu Sans"]}
THEMED = {"#010101": "currentColor", "#020202": "var(--plot-1, #b35900)", "#030303": "var(--plot-2, #0072b2)"}
"""What stands in the SVG for the colours a histogram is drawn in, so that the page around it decides them."""


class Curve(NamedTuple):
    """One line; `low` and `high` are the ends of an interval around each point."""

    name: str
    x: Sequence[float]
    y: Sequence[float | None]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None


class Panel(NamedTuple):
    """One chart. Curves of one name have one colour in all panels."""

    title: str
    curves: Sequence[Curve]


def line_charts(panels: Sequence[Panel], *, x_label: str, columns: int = 2, label: str = "") -> str:
    """Panels of shares (0 to 1, shown as per cent) over `x_label`. `label` is what a screen reader says."""
    names = list(dict.fromkeys(curve.name for panel in panels for curve in panel.curves))
    rows = -(-len(panels) // columns)
    with rc_context({**rcParamsDefault, **STYLE}):
        figure = Figure(figsize=(4.2 * columns, 2.7 * rows + LEGEND))
        axes = figure.subplots(rows, columns, squeeze=False)
        for axis in axes.flat[len(panels) :]:
            axis.set_visible(False)
        for axis, panel in zip(axes.flat, panels, strict=False):
            for curve in panel.curves:
                at = names.index(curve.name) % len(COLOURS)
                y = [float("nan") if value is None else value for value in curve.y]
                axis.plot(curve.x, y, color=COLOURS[at], marker=MARKERS[at], markersize=4, label=curve.name)
                if curve.low is not None and curve.high is not None:
                    axis.fill_between(curve.x, curve.low, curve.high, color=COLOURS[at], alpha=0.12, linewidth=0)
            low, high = axis.get_ylim()
            axis.set_ylim(max(low, 0), min(high, 1.02))
            axis.set_title(panel.title, fontsize=10, loc="left")
            axis.set_xlabel(x_label)
            axis.yaxis.set_major_formatter(PercentFormatter(1))
            axis.xaxis.set_major_locator(MaxNLocator("auto", integer=True, min_n_ticks=1))
            axis.grid(alpha=0.25)
            axis.spines[["top", "right"]].set_visible(False)
        drawn = [dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True)) for axis in axes.flat]
        handles = {name: handle for found in drawn for name, handle in found.items()}
        figure.legend([handles[name] for name in names], names, loc="lower center", ncols=len(names), frameon=False)
        figure.tight_layout(rect=(0, LEGEND / figure.get_figheight(), 1, 1))
        return _svg(figure, label)


def histogram(
    counts: Sequence[int],
    *,
    low: float,
    high: float,
    x_label: str,
    y_label: str,
    marks: Mapping[float, str],
    label: str,
) -> str:
    """Bars of equal width from `low` to `high`, with their counts, and a named line at each mark.

    Bars that start at or above the first mark have the second colour. It takes its colours from the page (`THEMED`),
    and has no style sheet and no ids of its own, so that it can stand in a page that allows none.
    """
    ink, below, above = THEMED
    width = (high - low) / len(counts)
    starts = [low + index * width for index in range(len(counts))]
    split = min(marks, default=low)
    colours = [above if start >= split - 1e-9 else below for start in starts]
    with rc_context({**rcParamsDefault, **STYLE, "text.color": ink, "axes.labelcolor": ink, "axes.edgecolor": ink}):
        figure = Figure(figsize=(6, 2.6))
        axis = figure.subplots()
        bars = axis.bar(starts, counts, width=width * 0.9, align="edge", color=colours)
        axis.bar_label(bars, labels=[f"{count:,}" if count else "" for count in counts], padding=2, fontsize=8)
        axis.set_ylim(0, (max(counts, default=0) or 1) * 1.25)
        for at, name in marks.items():
            axis.axvline(at, color=ink, linewidth=1, linestyle="--")
            axis.annotate(name, (at, 1), xycoords=("data", "axes fraction"), xytext=(4, -9), textcoords="offset points")
        axis.set_xlabel(x_label)
        axis.set_ylabel(y_label)
        axis.set_xlim(low, high)
        axis.tick_params(length=0, pad=6, labelcolor=ink)
        axis.yaxis.set_major_locator(MaxNLocator("auto", integer=True, min_n_ticks=1))
        axis.spines[["top", "right", "left"]].set_visible(False)
        axis.patch.set_visible(False)
        figure.patch.set_visible(False)
        figure.tight_layout()
        svg = _svg(figure, label)
    for drawn, themed in THEMED.items():
        svg = svg.replace(drawn, themed)
    svg = re.sub(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>", "", svg, flags=re.DOTALL)
    return re.sub(r'<g id="[^"]*"', "<g", svg)


def _svg(figure: Figure, label: str) -> str:
    target = io.StringIO()
    figure.savefig(target, format="svg", metadata={"Date": None, "Creator": None})
    svg = target.getvalue()
    svg = svg[svg.index("<svg") :]
    return svg.replace("<svg ", f'<svg role="img" aria-label={quoteattr(label)} ', 1) if label else svg
