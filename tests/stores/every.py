"""The list of all stores, for what holds for each of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.stores import beanie, databases, mongo, sqlalchemy, tortoise
from tests.stores.base import Store

STORES: list[type[Store]] = [
    *sqlalchemy.STORES,
    *tortoise.STORES,
    *beanie.STORES,
    *mongo.STORES,
    *databases.STORES,
]


def params() -> Iterator[Any]:
    """Yield every store as a parameter, those after the first of an adapter ``unmeasured``."""
    seen: set[str] = set()
    for store in STORES:
        adapter = store.id.partition("-")[0]
        marks = [pytest.mark.unmeasured] if adapter in seen else []
        seen.add(adapter)
        yield pytest.param(store, id=store.id, marks=marks)
