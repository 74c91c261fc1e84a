"""What declarations that are taken from the model cost, over the same written out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import factory

from benchmarks.declarations import rounds_for
from benchmarks.measure import BY_HAND, Comparison, Way, compare
from benchmarks.stores.sqlalchemy import SQLAlchemyStore
from benchmarks.stores.sqlalchemy_models import Member

AUTOMATIC = "auto_declarations"
WORK = "flat rows of 8 columns"

WRITTEN = {
    "username": factory.Sequence(lambda n: f"user{n}"),
    "email": factory.Sequence(lambda n: f"user{n}@example.com"),
    "first_name": factory.Faker("first_name"),
    "last_name": factory.Faker("last_name"),
    "city": factory.Faker("city"),
    "phone": factory.Faker("numerify", text="+1555#######"),
    "age": factory.Faker("pyint", min_value=18, max_value=90),
    "active": False,
}
"""What a person writes for the fields of the model that are required, which are all."""


async def automatic(store: SQLAlchemyStore, *, size: int, rounds: int) -> Sequence[Comparison]:
    """Compare a factory without declarations with one that has them written out."""

    def way(name: str, **attributes: Any) -> Way:
        meta = type("Meta", (), {"model": Member, "auto_declarations": name == AUTOMATIC})
        made: Any = type(store.base)("Factory", (store.base,), {"Meta": meta, **attributes})
        return Way(name, partial(made.create_batch_async, size, **store.options), store.undo)

    comparison = Comparison(
        benchmark="auto",
        store=store.name,
        kind="flat",
        work=f"{size:,} {WORK}",
        rows=size,
        calls={BY_HAND: "declarations written out"},
    )
    ways = [way(BY_HAND, **WRITTEN), way(AUTOMATIC)]
    return [await compare(comparison, ways, rounds=rounds_for("flat", rounds))]
