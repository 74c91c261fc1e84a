"""Draws what was measured as SVG, for light and for dark pages.

``python -m benchmarks.charts FILE FOLDER`` draws what ``python -m benchmarks --json FILE`` wrote.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from benchmarks.batch import WAVES
from benchmarks.measure import BY_HAND, Comparison
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
    """Bars under a title; the longest takes the width if `longest` is its length."""

    title: str
    bars: Sequence[Bar]
    longest: float


@dataclass(frozen=True)
class Chart:
    """Panels under each other."""

    file: str
    title: str
    caption: str
    panels: Sequence[Panel]


def write_charts(results: Results, folder: Path) -> None:
    """Draw the charts that there are figures for, each once for every theme."""
    folder.mkdir(parents=True, exist_ok=True)
    for chart in charts(results):
        for theme in THEMES:
            svg = ElementTree.tostring(draw(chart, theme), encoding="unicode")
            file = folder / f"{chart.file}-{theme.name}.svg"
            file.write_text(f"{svg}\n", encoding="utf-8")


def charts(results: Results) -> list[Chart]:
    """Return a chart for the batches of each store, and one for the batches of several sizes."""
    drawn = []
    for file, store in (
        ("benchmark", "SQLAlchemy on PostgreSQL"),
        ("benchmark-sqlite", "SQLAlchemy on SQLite"),
        ("benchmark-tortoise", "Tortoise"),
        ("benchmark-beanie", "Beanie"),
    ):
        batches = _of(results, "batch", store)
        if batches:
            title = f"Creating and storing a batch, {batches[0].store}"
            caption = f"{_rounds(batches)} The factors {TIMES} are relative to {WAVES}."
            drawn.append(Chart(file, title, caption, [_durations(one) for one in batches]))
    sizes = _of(results, "sizes", "")
    if sizes:
        title = f"Time per row in batches of several sizes, {sizes[0].store}"
        longest = max(one.per_row(way) for one in sizes for way in one.seconds)
        panels = [_times_per_row(one, longest) for one in sizes]
        drawn.append(Chart("benchmark-sizes", title, _rounds(sizes), panels))
    return drawn


def _of(results: Results, benchmark: str, store: str) -> list[Comparison]:
    return [
        one
        for one in results.comparisons
        if one.benchmark == benchmark and one.store.startswith(store)
    ]


def _rounds(comparisons: Sequence[Comparison]) -> str:
    numbers = {len(rounds) for one in comparisons for rounds in one.seconds.values()}
    few, many = min(numbers), max(numbers)
    return f"Medians of {few} rounds." if few == many else f"Medians of {few} to {many} rounds."


def _durations(comparison: Comparison) -> Panel:
    def text(way: str) -> str:
        duration = f"{comparison.median(way) * 1000:,.0f} ms"
        factor = f" · {comparison.ratio(way, WAVES):.1f} {TIMES}"
        return duration if way == WAVES else duration + factor

    return Panel(
        comparison.work,
        [_bar(comparison, way, comparison.median(way), text(way)) for way in comparison.seconds],
        max(map(comparison.median, comparison.seconds)),
    )


def _times_per_row(comparison: Comparison, longest: float) -> Panel:
    times = {way: comparison.per_row(way) for way in comparison.seconds}
    bars = [
        _bar(comparison, way, time, f"{time * 1_000_000:,.0f} µs") for way, time in times.items()
    ]
    return Panel(comparison.work, bars, longest)


def _bar(comparison: Comparison, way: str, length: float, text: str) -> Bar:
    label = f"{way}: {comparison.by_hand}".replace("`", "") if way == BY_HAND else way
    return Bar(label, length, text, is_ours=way == WAVES)


WIDTH, MARGIN = 800, 24
LABELS, TEXTS = 300, 150  # what is left of the bars, and right of the longest
ROW, BAR = 24, 14
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


def draw(chart: Chart, theme: Theme) -> Element:
    """Return a chart as SVG. It has a background: some pages show the light one on dark."""
    rows = sum(len(panel.bars) + 2 for panel in chart.panels)
    height = 2 * MARGIN + 2 * ROW + rows * ROW
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
            _draw_bar(svg, y, bar, panel.longest, theme)
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


if __name__ == "__main__":
    write_charts(Results.read(Path(sys.argv[1])), Path(sys.argv[2]))
