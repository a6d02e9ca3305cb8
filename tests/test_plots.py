"""Charts as SVG: what is in them, and that they are the same bytes each time."""

from __future__ import annotations

from xml.etree import ElementTree

from purify.plots import Curve, Panel, line_charts

PANELS = [
    Panel(
        "first",
        [Curve("raw", [0, 4, 8], [0.5, None, 0.25]), Curve("purified", [0, 4], [0.5, 0.125], [0.4, 0.1], [0.6, 0.2])],
    ),
    Panel("second", [Curve("raw", [0], [1.0])]),
    Panel("third", []),
]


def test_the_chart_says_what_it_shows() -> None:
    svg = line_charts(PANELS, x_label="updates", label="A & B")
    root = ElementTree.fromstring(svg)
    assert (root.get("role"), root.get("aria-label")) == ("img", "A & B")
    texts = {"".join(element.itertext()).strip() for element in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"first", "second", "third", "updates", "raw", "purified"} <= texts
    assert "50%" in texts


def test_the_same_numbers_are_the_same_bytes() -> None:
    assert line_charts(PANELS, x_label="updates") == line_charts(PANELS, x_label="updates")
    assert line_charts(PANELS, x_label="updates") != line_charts(PANELS[:2], x_label="updates")
