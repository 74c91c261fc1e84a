"""Writes the figures of a run into docs/performance.md and the README, and draws the chart.

``python -m benchmarks.docs FILE`` takes them from what ``python -m benchmarks --json FILE`` wrote.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path
from textwrap import wrap

from benchmarks.batch import ONE_BY_ONE, WAVES
from benchmarks.charts import write_chart
from benchmarks.measure import BY_HAND
from benchmarks.results import Results
from benchmarks.targets import OTHER_WAYS, SUITES, TARGETS

ROOT = Path(__file__).parent.parent


def write_docs(results: Results) -> None:
    """Replace the figures on the pages, and the chart.

    Raises:
        ValueError: When a ratio is missing, since the pages show one run, and all of it.
    """
    for target in (*TARGETS, *OTHER_WAYS, *SUITES):
        if not any(map(target.is_for, results.comparisons)):
            raise ValueError(f"not measured, but shown in the documentation: {target}")
    performance = ROOT / "docs" / "performance.md"
    _replace(performance, "ratios", results.ratios(TARGETS))
    _replace(performance, "other ways", results.ratios(OTHER_WAYS))
    _replace(performance, "suite", results.ratios(SUITES))
    _replace(performance, "medians", results.medians())
    _replace(performance, "conditions", results.conditions())
    _replace(ROOT / "README.md", "speed", _speed(results))
    _replace(ROOT / "README.md", "suite", results.ratios(SUITES))
    write_chart(results, ROOT / "docs" / "_static" / "charts")


def _replace(page: Path, name: str, lines: Iterable[str]) -> None:
    """Replace what stands between the comments that begin and end the figures called `name`."""
    figures = "\n".join(lines)
    text, number = re.subn(
        rf"(<!-- figures: {name} -->\n).*?(<!-- end of figures -->)",
        lambda found: f"{found[1]}\n{figures}\n\n{found[2]}",
        page.read_text(encoding="utf-8"),
        flags=re.DOTALL,
    )
    if number != 1:
        raise ValueError(f"{page} has {number} places for the figures called {name!r}")
    page.write_text(text, encoding="utf-8")


def _speed(results: Results) -> list[str]:
    store = "SQLAlchemy on PostgreSQL"
    batches = {one.kind: one.ratio(WAVES, BY_HAND) for one in results.of("batch", store)}
    others = {one.kind: one.ratio(ONE_BY_ONE, WAVES) for one in results.of("others", store)}
    return wrap(
        "Against `build_batch`, `add_all` and `flush` by hand, on PostgreSQL, 1,000 flat rows take "
        f"{batches['flat']:.2f} times as long, 1,000 users with a company and two posts "
        f"{batches['graph']:.2f} times, and with names and texts by Faker "
        f"{batches['realistic']:.2f} times. One by one, the first two take {others['flat']:.0f} "
        f"and {others['graph']:.0f} times as long as in a batch.",
        width=100,
    )


if __name__ == "__main__":
    write_docs(Results.read(Path(sys.argv[1])))
