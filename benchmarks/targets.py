"""The ratios that the library was designed for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.batch import ONE_BY_ONE, WAVES
from benchmarks.measure import BY_HAND, Comparison
from benchmarks.overhead import CREATE_ASYNC
from benchmarks.rivals.polyfactory import Polyfactory
from benchmarks.rivals.version1 import Version1


@dataclass(frozen=True)
class Target:
    """How the medians of two ways of the same work should compare.

    Args:
        benchmark: What the work is part of.
        store: How the name of its store begins.
        way: The way whose median is divided
        reference: by that of this one.
        limit: What the ratio should be
        at_most: at most, or at least.
        kind: The kind of the work; empty for any.
    """

    benchmark: str
    store: str
    way: str
    reference: str
    limit: float
    at_most: bool
    kind: str = ""

    def is_for(self, comparison: Comparison) -> bool:
        """Tell whether it says something of this comparison."""
        return (
            comparison.benchmark == self.benchmark
            and comparison.store.startswith(self.store)
            and self.kind in ("", comparison.kind)
            and {self.way, self.reference} <= comparison.seconds.keys()
        )

    def row(self, comparison: Comparison) -> str:
        """Return a line of a Markdown table."""
        ratio = comparison.ratio(self.way, self.reference)
        is_met = ratio <= self.limit if self.at_most else ratio >= self.limit
        return (
            f"| {comparison.title}: {self.way} / {self.reference} "
            f"| {'≤' if self.at_most else '≥'} {self.limit:g} | {ratio:.2f} "
            f"| {'met' if is_met else '**missed**'} |"
        )


_SQLALCHEMY = "SQLAlchemy on PostgreSQL"

TARGETS = [
    Target("overhead", "", CREATE_ASYNC, BY_HAND, 1.25, at_most=True),
    Target("batch", _SQLALCHEMY, WAVES, BY_HAND, 1.15, at_most=True, kind="flat"),
    Target("batch", _SQLALCHEMY, WAVES, BY_HAND, 1.20, at_most=True, kind="graph"),
    Target("batch", _SQLALCHEMY, ONE_BY_ONE, WAVES, 5, at_most=False),
    Target("batch", _SQLALCHEMY, Version1.name, WAVES, 12, at_most=False),
    Target("batch", _SQLALCHEMY, Polyfactory.name, WAVES, 4, at_most=False),
    Target("batch", "Tortoise", ONE_BY_ONE, WAVES, 10, at_most=False),
    Target("batch", "Beanie", ONE_BY_ONE, WAVES, 10, at_most=False),
]

MEMORY_OVER_OBJECTS = 150_000_000
"""What a batch of 100,000 flat rows may take over the objects that it returns, in bytes."""


def target_rows(comparisons: list[Comparison]) -> Iterator[str]:
    """Yield a line of a Markdown table for each target that can be told."""
    for comparison in comparisons:
        for target in TARGETS:
            if target.is_for(comparison):
                yield target.row(comparison)
