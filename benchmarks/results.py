"""What a run has measured: kept as JSON, and shown as Markdown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks.batch import WAVES
from benchmarks.measure import BY_HAND, Comparison
from benchmarks.targets import MEMORY_OVER_OBJECTS, target_rows

_TITLES = {
    "overhead": "One object at a time",
    "batch": "Batches, {store}",
    "sizes": "Batches of several sizes, {store}",
}


@dataclass
class Results:
    """What a run has measured.

    Args:
        machine: What it was measured on and with; see `benchmarks.machine`.
        servers: The databases, with their versions.
        comparisons: How long everything took.
        memory: See `benchmarks.memory.Memory.as_json`.
    """

    machine: dict[str, Any]
    servers: list[str] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)
    memory: dict[str, Any] | None = None

    def write(self, file: Path) -> None:
        """Write them to a file, for `read`."""
        file.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def read(cls, file: Path) -> Results:
        """Read what `write` has written."""
        values = json.loads(file.read_text())
        comparisons = [Comparison(**one) for one in values.pop("comparisons")]
        return cls(**values, comparisons=comparisons)

    def markdown(self) -> str:
        """Return tables with the medians and the ratios of all that was measured."""
        parts = (self._comparisons(), self._memory(), self._targets(), self._machine())
        return "\n".join(line for part in parts for line in part)

    def _comparisons(self) -> Iterator[str]:
        def title(comparison: Comparison) -> str:
            return _TITLES[comparison.benchmark].format(store=comparison.store)

        for heading, comparisons in groupby(self.comparisons, title):
            yield from [f"### {heading}", "", *_table(list(comparisons)), ""]

    def _memory(self) -> Iterator[str]:
        if self.memory is None:
            return
        size, over = self.memory["size"], self.memory["over_objects"]
        yield from ["### Memory", ""]
        yield (
            f"A batch of {size:,} flat rows takes at most {_megabytes(over)} over the objects that "
            f"it returns. (Target, for 100,000: {_megabytes(MEMORY_OVER_OBJECTS)}.)"
        )
        yield from ["", "| way | peak | with the objects |", "|---|---:|---:|"]
        names = {"waves": WAVES, "pages": f"{BY_HAND}, in pages", "at_once": f"{BY_HAND}, at once"}
        for way, name in names.items():
            peak, held = self.memory[way]["peak"], self.memory[way]["held"]
            yield f"| {name} | {_megabytes(peak)} | {_megabytes(held)} |"
        yield ""

    def _targets(self) -> Iterator[str]:
        rows = list(target_rows(self.comparisons))
        if rows:
            yield from ["### Targets", "", "| ratio of medians | target | measured | |"]
            yield from ["|---|---:|---:|---|", *rows, ""]

    def _machine(self) -> Iterator[str]:
        machine = self.machine
        versions = [f"{name} {version}" for name, version in machine["versions"].items()]
        yield f"Measured {machine['time']} on {machine['cores']} cores of {machine['processor']},"
        yield f"{machine['system']}, with {', '.join([machine['python'], *self.servers])};"
        yield f"{', '.join(versions)}."


def _table(comparisons: list[Comparison]) -> Iterator[str]:
    references = [way for way in (BY_HAND, WAVES) if way in comparisons[0].seconds]
    columns = ["median", "per row", *(f"to {reference}" for reference in references)]
    yield "| " + " | ".join(["work", "way", *columns]) + " |"
    yield "|---|---|" + "---:|" * len(columns)
    for comparison in comparisons:
        for way in comparison.seconds:
            cells = [
                comparison.work,
                f"{way}: {comparison.by_hand}" if way == BY_HAND else way,
                f"{comparison.median(way) * 1000:,.0f}\u00a0ms",
                f"{comparison.per_row(way) * 1_000_000:,.0f}\u00a0µs",
                *(f"{comparison.ratio(way, reference):.2f}" for reference in references),
            ]
            yield "| " + " | ".join(cells) + " |"


def _megabytes(number: int) -> str:
    return f"{number / 1_000_000:,.0f} MB"
