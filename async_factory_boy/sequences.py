"""Which numbers the ``Sequence`` declarations of async factories give.

pytest's plugin says so, where a test suite asks for it. It does before factories are imported,
which takes a while: so this module imports nothing.
"""

from __future__ import annotations

worker: int | None = None
"""The number of this process among those that share a database; ``None`` where none does."""

offset = 0
"""What all numbers are raised by."""

# Prime, so that `Sequence(lambda n: COLORS[n % 4])` gives all of them still; and above any number
# of workers, those that replace crashed ones included.
STRIDE = 997


def actual(number: int) -> int:
    """Return the number that this process has in place of `number`, and no other process has."""
    number += offset
    return number if worker is None else number * STRIDE + worker
