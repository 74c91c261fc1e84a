"""What one ``create_async`` costs over storing the same object by hand."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from benchmarks.declarations import ROWS, WORKS, Factories, Kind, rounds_for
from benchmarks.measure import BY_HAND, Comparison, Way, compare
from benchmarks.stores.base import Store

CREATE_ASYNC = "create_async"


async def overhead(
    store: Store, *, calls: int, rounds: int, kinds: Collection[Kind]
) -> Sequence[Comparison]:
    """Compare the two, `calls` objects a round, one by one."""
    return [
        await _overhead(store, kind, calls, rounds) for kind in store.insert_kinds if kind in kinds
    ]


async def _overhead(store: Store, kind: Kind, calls: int, rounds: int) -> Comparison:
    create = Factories(store.base, store.models).of(kind).create_async

    async def by_hand() -> None:
        for _ in range(calls):
            await store.insert(kind)

    async def create_async() -> None:
        for _ in range(calls):
            await create(**store.options)

    comparison = Comparison(
        benchmark="overhead",
        store=store.name,
        kind=kind,
        work=f"{calls} {WORKS[kind]}, {store.name}",
        rows=calls * ROWS[kind],
        calls={BY_HAND: f"`{store.insert_by}`"},
    )
    ways = [Way(BY_HAND, by_hand, store.undo), Way(CREATE_ASYNC, create_async, store.undo)]
    return await compare(comparison, ways, rounds=rounds_for(kind, rounds))
