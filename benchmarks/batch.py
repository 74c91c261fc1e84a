"""What a batch costs: in waves, one by one, by hand, and with other libraries."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

from async_factory_boy.factory import AsyncFactory
from benchmarks.declarations import ROWS, WORKS, Constructors, Factories, Kind, rounds_for
from benchmarks.measure import BY_HAND, DIRECT, Comparison, Way, compare
from benchmarks.stores.base import Store
from tests.servers import Servers

WAVES = "create_batch_async"
ONE_BY_ONE = "create_batch_async, one by one"


async def batches(
    store: Store, *, size: int, rounds: int, kinds: Collection[Kind]
) -> Sequence[Comparison]:
    """Compare waves with what is written by hand, with and without factories."""
    comparisons = []
    for kind in store.insert_many_kinds:
        if kind in kinds:
            ways = [by_hand(store, kind, size), in_waves(store, kind, size)]
            if kind in Constructors.kinds:
                ways.insert(0, direct(store, kind, size))
            comparison = _comparison("batch", store, kind, size)
            comparisons.append(await compare(comparison, ways, rounds=rounds_for(kind, rounds)))
    return comparisons


async def others(
    store: Store, servers: Servers, *, size: int, rounds: int, kinds: Collection[Kind]
) -> Sequence[Comparison]:
    """Compare waves with one by one and with other libraries.

    Few rounds are enough: these ways take several times as long.
    """
    async with AsyncExitStack() as stack:
        rivals = [await stack.enter_async_context(rival) for rival in store.rivals(servers)]
        comparisons = []
        for kind in store.insert_many_kinds:
            if kind in kinds and kind != "realistic":
                ways = [
                    in_waves(store, kind, size),
                    one_by_one(store, kind, size),
                    *(rival.way(kind, size) for rival in rivals if kind in rival.kinds),
                ]
                comparison = _comparison("others", store, kind, size)
                comparisons.append(await compare(comparison, ways, rounds=_few(rounds)))
        return comparisons


async def sizes(store: Store, *, sizes: Sequence[int], rounds: int) -> Sequence[Comparison]:
    """Compare waves and by hand for flat rows, in batches of several sizes.

    The larger a batch, the fewer rounds: it takes so long that one differs little from the next.
    """
    comparisons = []
    for size in sizes:
        ways = [by_hand(store, "flat", size), in_waves(store, "flat", size)]
        comparison = _comparison("sizes", store, "flat", size)
        number = _few(rounds) if size > 10_000 else rounds
        comparisons.append(await compare(comparison, ways, rounds=number))
    return comparisons


def _few(rounds: int) -> int:
    return max(2, rounds // 3)


def _comparison(benchmark: str, store: Store, kind: Kind, size: int) -> Comparison:
    return Comparison(
        benchmark=benchmark,
        store=store.name,
        kind=kind,
        work=f"{size:,} {WORKS[kind]}",
        rows=size * ROWS[kind],
        calls={
            DIRECT: f"constructors and `{store.insert_many_by}`",
            BY_HAND: f"`build_batch` and `{store.insert_many_by}`",
        },
    )


def direct(store: Store, kind: Kind, size: int) -> Way:
    """Return what somebody would write who has no factories, but the bulk methods of an ORM."""
    build = Constructors(store.models)
    return Way(DIRECT, partial(store.insert_many, build, kind, size), store.undo)


def by_hand(store: Store, kind: Kind, size: int) -> Way:
    """Return what somebody would write who has plain factories and the bulk methods of an ORM."""
    return Way(BY_HAND, partial(store.insert_many, store.plain, kind, size), store.undo)


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
