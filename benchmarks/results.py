"""What a run has measured: kept as JSON, and shown as Markdown."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks.batch import WAVES
from benchmarks.measure import BY_HAND, Comparison
from benchmarks.targets import TARGETS

MEMORY_TARGET = 150_000_000

_TITLES = {
    "overhead": "One object at a time",
    "batch": "Batches, {store}",
    "sizes": "Batches of several sizes, {store}",
}


@dataclass
class Results:
    """What a run has measured.

    Args:
        machine: What it was measured with; see `benchmarks.machine`.
        servers: The databases, with their versions.
        comparisons: How long everything took.
        memory: See `benchmarks.memory.Memory.as_json`.
    """

    machine: dict[str, Any]
    servers: list[str] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)
    memory: dict[str, Any] | None = None

    def write(self, file: Path) -> None:
        """Write them to a file, which `read` reads."""
        file.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def read(cls, file: Path) -> Results:
        """Read what `write` has written."""
        results = cls(**json.loads(file.read_text()))
        results.comparisons = [
            Comparison(**values) for values in json.loads(file.read_text())["comparisons"]
        ]
        return results

    def markdown(self) -> str:
        """Return tables with the medians and the ratios of all that was measured."""
        return "\n".join([*self._tables(), *self._memory(), *self._targets(), *self._machine()])

    def _tables(self) -> Iterator[str]:
        for title, comparisons in groupby(self.comparisons, _title):
            yield from ["", f"### {title}", ""]
            yield from _table(list(comparisons))

    def _memory(self) -> Iterator[str]:
        if self.memory is None:
            return
        yield from ["", "### Memory", ""]
        size, over = self.memory["size"], self.memory["over_objects"]
        yield (
            f"A batch of {size:,} flat rows takes at most {_megabytes(over)} over the objects that "
            f"it returns (target: {_megabytes(MEMORY_TARGET)})."
        )
        yield from [
            "",
            f"| {size:,} flat rows, PostgreSQL | peak | afterwards |",
            "|---|---:|---:|",
        ]
        for way, name in {
            "waves": WAVES,
            "pages": "by hand, in pages of 1,000",
            "at_once": "by hand, by one flush",
        }.items():
            footprint = self.memory[way]
            yield f"| {name} | {_megabytes(footprint['peak'])} | {_megabytes(footprint['held'])} |"

    def _targets(self) -> Iterator[str]:
        rows = [
            target.row(one) for one in self.comparisons for target in TARGETS if target.is_for(one)
        ]
        if rows:
            yield from ["", "### Targets", ""]
            yield from ["| ratio of medians | target | measured | |", "|---|---:|---:|---|", *rows]

    def _machine(self) -> Iterator[str]:
        machine = self.machine
        versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
        yield from [
            "",
            f"Measured {machine['time']} on {machine['processor']}, {machine['cores']} cores, ",
        ]
        yield f"{machine['system']}; {machine['python']}; {', '.join(self.servers)}; {versions}."
