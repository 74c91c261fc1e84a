"""Draws what batches cost as SVG, for light and for dark pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from benchmarks.batch import WAVES
from benchmarks.measure import Comparison
from benchmarks.results import Results

TIMES = "\N{MULTIPLICATION SIGN}"


@dataclass(frozen=True)
class Theme:
    """The colours of a chart."""

    name: str
    page: str
    text: str
    muted: str
    bar: str
    ours: str


THEMES = [
    Theme("light", page="#ffffff", text="#1f2328", muted="#59636e", bar="#8b949e", ours="#0969da"),
    Theme("dark", page="#0d1117", text="#f0f6fc", muted="#9198a1", bar="#656d76", ours="#4493f8"),
]


@dataclass(frozen=True)
class Bar:
    """A bar, with a label before it and a text after it."""

    label: str
    length: float
    text: str
    is_ours: bool


@dataclass(frozen=True)
class Panel:
    """Bars under a title."""

    title: str
    bars: Sequence[Bar]


@dataclass(frozen=True)
class Chart:
    """Panels under each other. The longest bar of all takes the width."""

    title: str
    caption: str
    panels: Sequence[Panel]


def write_chart(results: Results, folder: Path) -> None:
    """Draw the chart of the batches of SQLAlchemy on PostgreSQL, once for every theme."""
    folder.mkdir(parents=True, exist_ok=True)
    chart = batch_chart(results, "SQLAlchemy on PostgreSQL")
    for theme in THEMES:
        svg = ElementTree.tostring(draw(chart, theme), encoding="unicode")
        (folder / f"benchmark-{theme.name}.svg").write_text(f"{svg}\n", encoding="utf-8")


def batch_chart(results: Results, store: str) -> Chart:
    """Return a chart with the ratio of each way to `WAVES`, for each kind of work in a store.

    A ratio is drawn and not a duration: each is of one comparison, in which the two took turns.
    """
    batches = results.of("batch", store)
    others = {one.kind: one for one in results.of("others", store)}
    panels = []
    for batch in batches:
        bars = [_bar(batch, way) for way in batch.seconds]
        if batch.kind in others:
            other = others[batch.kind]
            bars += [_bar(other, way) for way in other.seconds if way != WAVES]
        panels.append(Panel(batch.work, bars))
    title = f"Creating and storing a batch, {batches[0].store}"
    return Chart(title, f"How many times as long as {WAVES} each way takes.", panels)


def _bar(comparison: Comparison, way: str) -> Bar:
    ratio = comparison.ratio(way, WAVES)
    label = comparison.label(way).replace("`", "")
    return Bar(label, ratio, f"{ratio:.2f} {TIMES}", is_ours=way == WAVES)


WIDTH, MARGIN = 800, 24
LABELS, TEXTS = 300, 150  # what is left of the bars, and right of the longest
ROW, BAR = 24, 14
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


def draw(chart: Chart, theme: Theme) -> Element:
    """Return a chart as SVG. It has a background: some pages show the light one on dark."""
    rows = sum(len(panel.bars) + 2 for panel in chart.panels)
    height = 2 * MARGIN + 2 * ROW + rows * ROW
    longest = max(bar.length for panel in chart.panels for bar in panel.bars)
    svg = Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": f"0 0 {WIDTH} {height}",
            "width": str(WIDTH),
            "height": str(height),
            "role": "img",
            "font-family": FONT,
            "font-size": "13",
        },
    )
    SubElement(svg, "title").text = chart.title
    _rect(svg, 0, 0, WIDTH, height, theme.page, 8)
    _text(svg, MARGIN, MARGIN + BAR, chart.title, theme.text, size="16", weight="600")
    y = MARGIN + ROW
    for panel in chart.panels:
        y += 2 * ROW
        _text(svg, MARGIN, y - ROW // 2, panel.title, theme.text, weight="600")
        for bar in panel.bars:
            _draw_bar(svg, y, bar, longest, theme)
            y += ROW
    _text(svg, MARGIN, height - MARGIN, chart.caption, theme.muted, size="12")
    return svg


def _draw_bar(svg: Element, y: int, bar: Bar, longest: float, theme: Theme) -> None:
    width = max(2, round((WIDTH - MARGIN - LABELS - TEXTS) * bar.length / longest))
    colour, weight = (theme.ours, "600") if bar.is_ours else (theme.muted, "400")
    _text(svg, LABELS - 10, y + BAR - 3, bar.label, colour, weight=weight, anchor="end")
    _rect(svg, LABELS, y, width, BAR, theme.ours if bar.is_ours else theme.bar, 2)
    _text(svg, LABELS + width + 8, y + BAR - 3, bar.text, theme.text, weight=weight)


def _rect(svg: Element, x: int, y: int, width: int, height: int, fill: str, radius: int) -> None:
    sides = {"x": x, "y": y, "width": width, "height": height, "rx": radius}
    SubElement(svg, "rect", {name: str(side) for name, side in sides.items()}, fill=fill)


def _text(
    svg: Element,
    x: int,
    y: int,
    text: str,
    fill: str,
    *,
    size: str = "13",
    weight: str = "400",
    anchor: str = "start",
) -> None:
    attributes = {"font-size": size, "font-weight": weight, "text-anchor": anchor}
    SubElement(svg, "text", {"x": str(x), "y": str(y)}, fill=fill, **attributes).text = text
