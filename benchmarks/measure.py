"""Takes turns between ways of doing the same work, and compares their medians."""

from __future__ import annotations

import gc
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

BY_HAND = "by hand"
DIRECT = "direct"


class Way:
    """A way of doing a piece of work.

    Args:
        name: What the way is called.
        work: Does it, and returns what it has created.
        undo: Undoes it, and returns the number of rows that it had stored.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[], Awaitable[object]],
        undo: Callable[[], Awaitable[int]],
    ) -> None:
        self.name = name
        self.work = work
        self.undo = undo

    async def seconds(self) -> float:
        """Do the work once, and return how long it took."""
        gc.collect()
        start = time.perf_counter()
        created = await self.work()
        duration = time.perf_counter() - start
        del created  # not before: to free a batch takes time as well
        return duration


@dataclass
class Comparison:
    """How long each way of doing one piece of work took.

    Args:
        benchmark: What it is a part of.
        store: The name of the store.
        kind: The kind of the work.
        work: The work, as a table shows it.
        rows: How many rows it stores, or how many objects it builds.
        calls: What a way calls, where its name does not tell.
        seconds: For each way, the duration of each round.
    """

    benchmark: str
    store: str
    kind: str
    work: str
    rows: int
    calls: dict[str, str]
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def median(self, way: str) -> float:
        """Return the median duration of `way`, in seconds."""
        return median(self.seconds[way])

    def label(self, way: str) -> str:
        """Return the name of `way`, and what it calls."""
        return f"{way}: {self.calls[way]}" if way in self.calls else way

    @property
    def title(self) -> str:
        """The work, and where it is done."""
        return self.work if self.store in self.work else f"{self.work}, {self.store}"

    def per_row(self, way: str) -> float:
        """Return the median duration of `way` for one row, in seconds."""
        return self.median(way) / self.rows

    def ratio(self, way: str, reference: str) -> float:
        """Return the median of what `way` takes in a round over what `reference` takes in it.

        It varies less from run to run than the ratio of the two medians: what slows the machine for
        a second slows both ways of the same round.
        """
        rounds = zip(self.seconds[way], self.seconds[reference], strict=True)
        return median(one / other for one, other in rounds)


async def compare(comparison: Comparison, ways: Sequence[Way], *, rounds: int) -> Comparison:
    """Time each of `ways` once a round, after one round that does not count.

    The ways take turns, so that what slows the machine slows all of them. Each round begins with
    another way, so that none always follows the same. Garbage is collected before each way, so that
    none pays for another's; otherwise the collector runs as Python has it.

    Args:
        comparison: Where the durations are added.
        ways: All do the same.
        rounds: How often each is timed.

    Raises:
        RuntimeError: When one has stored more or fewer rows than it should.
    """
    comparison.seconds.update((way.name, []) for way in ways)
    for number in range(rounds + 1):
        turn = number % len(ways)
        for way in (*ways[turn:], *ways[:turn]):
            seconds = await way.seconds()
            rows = await way.undo()
            if rows != comparison.rows:
                raise RuntimeError(
                    f"{comparison.store}, {comparison.work}: {way.name!r} stored {rows} rows "
                    f"instead of {comparison.rows}"
                )
            if number:
                comparison.seconds[way.name].append(seconds)
    return comparison
