"""Divides what a store is asked for into statements of a length that it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def paged(
    items: Sequence[T],
    most: int,
    *,
    size_of: Callable[[T], int] | None = None,
    largest: int = 0,
) -> Iterator[Sequence[T]]:
    """Yield items in order, as many at a time as go into one statement.

    Args:
        items: Rows, or lookups.
        most: How many go into one statement; at least one does.
        size_of: Returns the size of an item, in what `largest` counts.
        largest: How large the items of one statement may be. An item that is larger goes alone.
    """
    most = max(most, 1)
    if size_of is None:
        for start in range(0, len(items), most):
            yield items[start : start + most]
        return
    start = total = 0
    for end, item in enumerate(items):
        size = size_of(item)
        if end > start and (end - start == most or total + size > largest):
            yield items[start:end]
            start, total = end, 0
        total += size
    if items:
        yield items[start:]
