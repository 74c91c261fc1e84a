"""A collection of PyMongo's async API, without an ODM."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from async_factory_boy.factory.mongo import AsyncMongoFactory
from benchmarks.declarations import Models
from benchmarks.stores.mongodb import MongoDBStore


class MongoStore(MongoDBStore):
    id: ClassVar = "mongo"
    name: ClassVar = "MongoDB collection (PyMongo)"
    insert_by = "insert_one"
    base = AsyncMongoFactory
    models = Models(dict)

    @property
    def options(self) -> Mapping[str, Any]:
        return {"mongo_collection": self.database["mongo_person"]}

    async def insert(self, values: Mapping[str, Any]) -> object:
        return await self.database["mongo_person"].insert_one(dict(values))
