"""Histograms for a page that decides their colours and allows no style sheet but its own."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from purify.plots import histogram

SVG = "{http://www.w3.org/2000/svg}"


def drawn(counts: list[int], **marks: float) -> str:
    named = {at: name for name, at in marks.items()}
    return histogram(counts, low=0, high=1, x_label="sim", y_label="pairs", marks=named, label="A & B")


def test_bars_have_their_counts_and_the_marks_their_names() -> None:
    root = ElementTree.fromstring(drawn([1200, 0, 3, 4], gamma=0.5))
    assert (root.get("role"), root.get("aria-label")) == ("img", "A & B")
    texts = ["".join(element.itertext()).strip() for element in root.iter(f"{SVG}text")]
    assert {"1,200", "3", "4", "gamma", "sim", "pairs"} <= set(texts)


def test_bars_from_the_mark_on_have_the_second_colour() -> None:
    svg = drawn([1, 2, 3, 4], gamma=0.5)
    assert re.findall(r"fill: var\(--plot-(\d)", svg) == ["1", "1", "2", "2"]
    assert re.findall(r"fill: var\(--plot-(\d)", drawn([1, 2])) == ["2", "2"]
    # 0.3 is not a sum of tenths in floating point.
    assert re.findall(r"fill: var\(--plot-(\d)", drawn([1] * 10, gamma=0.3)) == ["1"] * 3 + ["2"] * 7


def test_it_brings_no_style_and_no_colour_of_its_own() -> None:
    svg = drawn([1, 2], gamma=0.5)
    assert "<style" not in svg and "<metadata" not in svg and '<g id="' not in svg
    assert "currentColor" in svg and not re.search(r"#0[123]0[123]0[123]", svg)
    assert svg == drawn([1, 2], gamma=0.5)


def test_nothing_to_count_is_an_empty_chart() -> None:
    assert ElementTree.fromstring(drawn([0, 0])).tag == f"{SVG}svg"
