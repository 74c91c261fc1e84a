"""What a run has measured: kept as JSON, and shown as Markdown."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks.batch import WAVES
from benchmarks.measure import BY_HAND, DIRECT, Comparison
from benchmarks.targets import MEMORY_BEFORE, OTHER_WAYS, SUITES, TARGETS, Target, target_rows

_TITLES = {
    "suite": "A database for each test, {store}",
    "overhead": "One object at a time",
    "batch": "Batches, {store}",
    "others": "Batches in other ways, {store}",
    "build": "Batches that are built, {store}",
    "auto": "Declarations taken from the model, {store}",
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
        """Return all of it as Markdown, the ratios last."""
        parts = (self.medians(), self.ratios([*TARGETS, *OTHER_WAYS, *SUITES]), self.conditions())
        return "\n".join(line for part in parts for line in (*part, ""))

    def of(self, benchmark: str, store: str) -> list[Comparison]:
        """Return the comparisons of a benchmark in a store whose name begins with `store`."""
        return [
            one
            for one in self.comparisons
            if one.benchmark == benchmark and one.store.startswith(store)
        ]

    def ratios(self, targets: Iterable[Target]) -> Iterator[str]:
        """Yield a table of the ratios that there are `targets` for."""
        yield "| ratio of medians | before | now | must | aim | reached |"
        yield "|---|---:|---:|---:|---:|---|"
        yield from target_rows(targets, self.comparisons)

    def medians(self) -> Iterator[str]:
        """Yield tables of the medians of all that was measured, and of the memory."""

        def title(comparison: Comparison) -> str:
            return _TITLES[comparison.benchmark].format(store=comparison.store)

        parts = [
            [f"### {heading}", "", *_table(list(comparisons))]
            for heading, comparisons in groupby(self.comparisons, title)
        ]
        if self.memory is not None:
            parts.append([*_memory(self.memory)])
        for number, part in enumerate(parts):
            yield from ["", *part] if number else part

    def conditions(self) -> Iterator[str]:
        """Yield when it was measured, on which machine, and with which versions."""
        machine = self.machine
        versions = [f"{name} {version}" for name, version in machine["versions"].items()]
        yield f"Measured {machine['time']} on {machine['cores']} cores of {machine['processor']},"
        yield f"{machine['system']}, with {', '.join([machine['python'], *self.servers])};"
        yield f"{', '.join(versions)}."


def _table(comparisons: list[Comparison]) -> Iterator[str]:
    measured = comparisons[0].seconds
    references = [way for way in (DIRECT, BY_HAND, WAVES) if way in measured]
    columns = ["median", "per row", *(f"to {reference}" for reference in references)]
    yield "| " + " | ".join(["work", "way", *columns]) + " |"
    yield "|---|---|" + "---:|" * len(columns)
    for comparison in comparisons:
        for way in comparison.seconds:
            cells = [
                comparison.work,
                comparison.label(way),
                f"{comparison.median(way) * 1000:,.0f}\u00a0ms",
                f"{comparison.per_row(way) * 1_000_000:,.0f}\u00a0µs",
                *(_ratio(comparison, way, reference) for reference in references),
            ]
            yield "| " + " | ".join(cells) + " |"


def _ratio(comparison: Comparison, way: str, reference: str) -> str:
    return f"{comparison.ratio(way, reference):.2f}" if reference in comparison.seconds else ""


def _memory(memory: dict[str, Any]) -> Iterator[str]:
    yield from ["### Memory", ""]
    yield (
        f"A batch of {memory['size']:,} flat rows takes at most "
        f"{_megabytes(memory['over_objects'])} over the objects that it returns. "
        f"(Before, for 100,000: {_megabytes(MEMORY_BEFORE)}.)"
    )
    yield from ["", "| way | peak | with the objects |", "|---|---:|---:|"]
    names = {"waves": WAVES, "pages": f"{BY_HAND}, in pages", "at_once": f"{BY_HAND}, at once"}
    for way, name in names.items():
        peak, held = memory[way]["peak"], memory[way]["held"]
        yield f"| {name} | {_megabytes(peak)} | {_megabytes(held)} |"


def _megabytes(number: int) -> str:
    return f"{number / 1_000_000:,.0f} MB"
