"""The ratios that the library is to reach."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from benchmarks.batch import ONE_BY_ONE, WAVES
from benchmarks.build import BUILD_BATCH
from benchmarks.measure import BY_HAND, DIRECT, Comparison
from benchmarks.overhead import CREATE_ASYNC
from benchmarks.rivals.polyfactory import Polyfactory
from benchmarks.rivals.version1 import Version1
from benchmarks.suites import FIXTURES, SHARED, TRUNCATE


@dataclass(frozen=True)
class Target:
    """How the medians of two ways of the same work should compare.

    Args:
        benchmark: What the work is part of.
        store: How the name of its store begins.
        kind: The kind of the work.
        way: The way whose median is divided
        reference: by that of this one.
        before: The ratio before factories were compiled, from earlier runs. None if it is new.
        must: The ratio that has to be reached: at most this,
        aim: and better this. None where there is nothing more to aim for.
        at_most: False where the ratio has to be at least `must`.
    """

    benchmark: str
    store: str
    kind: str
    way: str
    reference: str
    before: float | None
    must: float
    aim: float | None = None
    at_most: bool = True

    def is_for(self, comparison: Comparison) -> bool:
        """Tell whether it says something of this comparison."""
        return (
            comparison.benchmark == self.benchmark
            and comparison.store.startswith(self.store)
            and comparison.kind == self.kind
            and {self.way, self.reference} <= comparison.seconds.keys()
        )

    def row(self, comparison: Comparison) -> str:
        """Return a line of a Markdown table."""
        ratio = round(comparison.ratio(self.way, self.reference), 2)
        cells = [
            f"{comparison.title}: {self.way} / {self.reference}",
            "" if self.before is None else f"{self.before:.2f}",
            f"{ratio:.2f}",
            f"{'≤' if self.at_most else '≥'} {self.must:.2f}",
            "" if self.aim is None else f"{self.aim:.2f}",
            self._reached(ratio),
        ]
        return f"| {' | '.join(cells)} |"

    def _reached(self, ratio: float) -> str:
        if self.aim is not None and ratio <= self.aim:
            return "aim"
        is_met = ratio <= self.must if self.at_most else ratio >= self.must
        return "must" if is_met else "**missed**"


def _batch(store: str, kind: str, reference: str, before: float, must: float, aim: float) -> Target:
    return Target("batch", store, kind, WAVES, reference, before, must, aim)


def _one(store: str, kind: str, before: float, must: float, aim: float | None = None) -> Target:
    return Target("overhead", store, kind, CREATE_ASYNC, BY_HAND, before, must, aim)


def _build(kind: str, before: float, must: float, aim: float) -> Target:
    return Target("build", "", kind, BUILD_BATCH, BY_HAND, before, must, aim)


def _other(store: str, kind: str, way: str, before: float, must: float) -> Target:
    return Target("others", store, kind, way, WAVES, before, must, at_most=False)


_SQLALCHEMY = "SQLAlchemy on PostgreSQL"

TARGETS = [
    _batch(_SQLALCHEMY, "flat", BY_HAND, before=1.17, must=0.87, aim=0.70),
    _batch(_SQLALCHEMY, "company", BY_HAND, before=1.39, must=0.80, aim=0.70),
    _batch(_SQLALCHEMY, "graph", BY_HAND, before=1.21, must=0.86, aim=0.70),
    _batch(_SQLALCHEMY, "flat", DIRECT, before=2.00, must=1.35, aim=1.15),
    _batch(_SQLALCHEMY, "company", DIRECT, before=2.17, must=1.35, aim=1.15),
    _batch(_SQLALCHEMY, "graph", DIRECT, before=1.78, must=1.35, aim=1.15),
    _batch(_SQLALCHEMY, "realistic", BY_HAND, before=1.11, must=0.45, aim=0.30),
    Target("auto", _SQLALCHEMY, "flat", "auto_declarations", BY_HAND, before=1.00, must=1.10),
    _one(_SQLALCHEMY, "flat", before=1.30, must=1.10, aim=1.00),
    _one(_SQLALCHEMY, "graph", before=1.72, must=1.25, aim=1.05),
    _one("Tortoise", "flat", before=1.55, must=1.25, aim=1.15),
    _batch("Tortoise", "flat", BY_HAND, before=1.50, must=1.00, aim=0.80),
    _batch("Tortoise", "company", BY_HAND, before=1.56, must=1.00, aim=0.80),
    _batch("Tortoise", "graph", BY_HAND, before=2.13, must=1.00, aim=0.80),
    _batch("Beanie", "flat", BY_HAND, before=1.23, must=1.00, aim=0.80),
    _batch("Beanie", "company", BY_HAND, before=1.41, must=1.00, aim=0.80),
    _batch("Beanie", "graph", BY_HAND, before=1.51, must=1.00, aim=0.80),
    _build("flat", before=1.06, must=0.45, aim=0.35),
    _build("graph", before=1.29, must=0.45, aim=0.35),
    _one("SQLAlchemy on SQLite", "flat", before=1.11, must=1.25),
    _one("Beanie", "flat", before=1.23, must=1.25),
    _one("MongoDB", "flat", before=1.04, must=1.25),
    _one("databases", "flat", before=0.88, must=1.25),
]

OTHER_WAYS = [
    _other(_SQLALCHEMY, "flat", ONE_BY_ONE, before=8.17, must=5),
    _other(_SQLALCHEMY, "company", ONE_BY_ONE, before=5.98, must=5),
    _other(_SQLALCHEMY, "graph", ONE_BY_ONE, before=5.48, must=5),
    _other(_SQLALCHEMY, "flat", Version1.name, before=10.98, must=12),
    _other(_SQLALCHEMY, "company", Version1.name, before=7.86, must=12),
    _other(_SQLALCHEMY, "flat", Polyfactory.name, before=5.82, must=4),
    _other(_SQLALCHEMY, "company", Polyfactory.name, before=2.65, must=4),
    _other(_SQLALCHEMY, "graph", Polyfactory.name, before=2.00, must=4),
    _other("Tortoise", "flat", ONE_BY_ONE, before=5.95, must=10),
    _other("Tortoise", "company", ONE_BY_ONE, before=4.51, must=10),
    _other("Tortoise", "graph", ONE_BY_ONE, before=3.57, must=10),
    _other("Beanie", "flat", ONE_BY_ONE, before=20.39, must=10),
    _other("Beanie", "company", ONE_BY_ONE, before=15.57, must=10),
    _other("Beanie", "graph", ONE_BY_ONE, before=11.15, must=10),
]

SUITES = [
    Target("suite", _SQLALCHEMY, "graph", FIXTURES, BY_HAND, before=None, must=1.05),
    Target("suite", _SQLALCHEMY, "graph", TRUNCATE, FIXTURES, None, must=3, at_most=False),
    Target("suite", _SQLALCHEMY, "graph", FIXTURES, SHARED, None, must=2, at_most=False),
]

MEMORY_BEFORE = 2_000_000
"""What a batch of 100,000 flat rows took over its objects before factories were compiled."""


def target_rows(targets: Iterable[Target], comparisons: Sequence[Comparison]) -> Iterator[str]:
    """Yield a line of a Markdown table for each of `targets` that there is a ratio for."""
    for target in targets:
        yield from (target.row(found) for found in comparisons if target.is_for(found))
