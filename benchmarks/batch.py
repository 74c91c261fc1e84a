"""What a batch costs: in waves, one by one, by hand, and with other libraries."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

from async_factory_boy.factory import AsyncFactory
from benchmarks.declarations import ROWS, WORKS, Factories, Kind
from benchmarks.measure import BY_HAND, Comparison, Way, compare
from benchmarks.stores.base import Store
from tests.servers import Servers

WAVES = "create_batch_async"
ONE_BY_ONE = "create_batch_async, one by one"


async def batches(
    store: Store, servers: Servers, *, size: int, rounds: int
) -> Sequence[Comparison]:
    """Compare all ways of creating a batch in a store, for each kind of work."""
    async with AsyncExitStack() as stack:
        rivals = [await stack.enter_async_context(rival) for rival in store.rivals(servers)]
        comparisons = []
        for kind in WORKS:
            ways = [
                by_hand(store, kind, size),
                in_waves(store, kind, size),
                one_by_one(store, kind, size),
                *(rival.way(kind, size) for rival in rivals if kind in rival.kinds),
            ]
            comparison = _comparison("batch", store, kind, size)
            comparisons.append(await compare(comparison, ways, rounds=rounds))
        return comparisons


async def sizes(store: Store, *, sizes: Sequence[int], rounds: int) -> Sequence[Comparison]:
    """Compare waves and by hand for flat rows, in batches of several sizes.

    The larger a batch, the fewer rounds: it takes so long that one differs little from the next.
    """
    comparisons = []
    for size in sizes:
        ways = [by_hand(store, "flat", size), in_waves(store, "flat", size)]
        comparison = _comparison("sizes", store, "flat", size)
        few = max(2, rounds // 3) if size > 10_000 else rounds
        comparisons.append(await compare(comparison, ways, rounds=few))
    return comparisons


def _comparison(benchmark: str, store: Store, kind: Kind, size: int) -> Comparison:
    return Comparison(
        benchmark=benchmark,
        store=store.name,
        kind=kind,
        work=f"{size:,} {WORKS[kind]}",
        rows=size * ROWS[kind],
        by_hand=f"`build_batch` and `{store.insert_many_by}`",
    )


def by_hand(store: Store, kind: Kind, size: int) -> Way:
    """Return what somebody would write who has plain factories and the bulk methods of an ORM."""
    return Way(BY_HAND, partial(store.insert_many, kind, size), store.undo)


def in_waves(store: Store, kind: Kind, size: int) -> Way:
    """Return what the library does."""
    return _of_library(WAVES, store.base, store, kind, size)


def one_by_one(store: Store, kind: Kind, size: int) -> Way:
    """Return what the library does when it is told to have no waves."""
    base: type[AsyncFactory[Any]] = store.base

    class OneByOne(base):  # type: ignore[misc, valid-type]
        class Meta:
            abstract = True
            batch_size = 1

    return _of_library(ONE_BY_ONE, OneByOne, store, kind, size)


def _of_library(name: str, base: Any, store: Store, kind: Kind, size: int) -> Way:
    create = Factories(base, store.models).of(kind).create_batch_async
    return Way(name, partial(create, size, **store.options), store.undo)
