"""What one ``create_async`` costs over storing the same object by hand."""

from __future__ import annotations

import factory

from benchmarks.declarations import PERSON, Factories
from benchmarks.measure import BY_HAND, Comparison, Way, compare
from benchmarks.stores.base import Store

CREATE_ASYNC = "create_async"


async def overhead(store: Store, *, calls: int, rounds: int) -> Comparison:
    """Compare the two, `calls` objects a round, one by one."""
    values = factory.make_factory(dict, **PERSON)
    create = Factories(store.base, store.models).person.create_async

    async def by_hand() -> None:
        for _ in range(calls):
            await store.insert(values.build())

    async def create_async() -> None:
        for _ in range(calls):
            await create(**store.options)

    comparison = Comparison(
        benchmark="overhead",
        store=store.name,
        kind="flat",
        work=f"{calls} rows, {store.name}",
        rows=calls,
        by_hand=f"`{store.insert_by}`",
    )
    ways = [Way(BY_HAND, by_hand, store.undo), Way(CREATE_ASYNC, create_async, store.undo)]
    return await compare(comparison, ways, rounds=rounds)
