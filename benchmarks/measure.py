"""Takes turns between ways of doing the same work, and compares their medians."""

from __future__ import annotations

import gc
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from statistics import median


@dataclass
class Comparison:
    """How long each way of doing one piece of work took.

    Args:
        name: The work, as the table shows it.
        baseline: The way that the others are compared to.
        seconds: For each way, the duration of each round.
    """

    name: str
    baseline: str
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def ratio(self, way: str) -> float:
        """Return the median duration of `way` over that of the baseline."""
        return median(self.seconds[way]) / median(self.seconds[self.baseline])

    def rows(self) -> list[str]:
        """Return a line of a Markdown table for each way."""
        return [
            f"| {self.name} | {way} | {median(rounds) * 1000:.1f} ms | {self.ratio(way):.2f} |"
            for way, rounds in self.seconds.items()
        ]


HEADER = ["| work | way | median | ratio |", "|---|---|---:|---:|"]


async def compare(
    name: str,
    ways: Mapping[str, Callable[[], Awaitable[object]]],
    *,
    reset: Callable[[], Awaitable[object]],
    rounds: int = 9,
) -> Comparison:
    """Time each of `ways` once a round, after one round that does not count.

    Args:
        name: The work.
        ways: Coroutine functions that all do it; the first is the baseline.
        reset: Undoes the work, outside of the time that is taken.
        rounds: How often; the ways take turns, so that all meet the same weather.
    """
    comparison = Comparison(name, next(iter(ways)), {way: [] for way in ways})
    for number in range(rounds + 1):
        for way, work in ways.items():
            gc.collect()
            start = time.perf_counter()
            await work()
            duration = time.perf_counter() - start
            await reset()
            if number:
                comparison.seconds[way].append(duration)
    return comparison
