"""The list of all stores, for what holds for each of them."""

from __future__ import annotations

from tests.stores import beanie, databases, mongo, sqlalchemy, tortoise
from tests.stores.base import Store

STORES: list[type[Store]] = [
    *sqlalchemy.STORES,
    *tortoise.STORES,
    *beanie.STORES,
    *mongo.STORES,
    *databases.STORES,
]
